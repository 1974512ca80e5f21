package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// fakePodman holds the images of its set and records the changes that it is asked for.
type fakePodman struct {
	images map[string]bool
	calls  []string
}

// run is a podmancli.Runner. An image whose name begins with absent can't be pulled.
func (f *fakePodman) run(ctx context.Context, call podmancli.Call) error {
	last := call.Args[len(call.Args)-1]
	switch strings.Join(call.Args[:2], " ") {
	case "image exists":
		if !f.images[last] {
			return exec.CommandContext(ctx, "false").Run() // exit status 1 means no
		}
	case "secret inspect", "secret exists":
		return exec.CommandContext(ctx, "false").Run()
	case "pull --quiet":
		f.calls = append(f.calls, "pull "+last)
		if strings.HasPrefix(last, "absent") {
			return errors.New("not found")
		}
		f.images[last] = true
	case "secret create":
		f.calls = append(f.calls, "secret "+call.Args[len(call.Args)-2])
	default:
		return fmt.Errorf("unexpected: podman %v", call.Args)
	}
	return nil
}

// withImage returns an app of one container.
func withImage(id, image string, secrets ...units.Secret) units.App {
	file := units.File{Name: units.ContainerFile(id), App: id, Content: []byte("[Container]\nImage=" + image + "\n")}
	return units.App{ID: id, Files: units.Set{file}, Secrets: secrets}
}

// testMachine returns a machine in a directory of its own, with a systemd that has no
// units.
func testMachine(t *testing.T, run podmancli.Runner, record func(dir, name string, content []byte) error) *Machine {
	t.Helper()
	home, fake := t.TempDir(), systemdtest.New(t)
	runtime := filepath.Join(home, "run")
	for name, value := range map[string]string{"HOME": home, "XDG_RUNTIME_DIR": runtime, "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_DATA_HOME": ""} {
		t.Setenv(name, value)
	}
	if err := errors.Join(os.Mkdir(runtime, 0o700), os.Symlink(filepath.Dir(fake.Private().Private), filepath.Join(runtime, "systemd"))); err != nil {
		t.Fatal(err)
	}
	m, err := Open(t.Context(), Options{Scope: units.User, Getenv: os.Getenv, Podman: run, Record: record})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestModes: the mode of a host decides what it may do. A preview changes nothing. A daemon
// adopts no container and leaves health to its prober.
func TestModes(t *testing.T) {
	has := func(h reconcile.Host) string {
		var list []string
		for _, c := range []struct {
			name string
			is   bool
		}{
			{"health", h.Health != nil && h.Ask != nil},
			{"config", h.Config != nil},
			{"supply", h.Supply != nil},
			{"record", h.Record != nil},
			{"foreign", h.Foreign != nil},
			{"wait", h.WaitTimeout > 0},
			{"progress", h.Progress != nil},
		} {
			if c.is {
				list = append(list, c.name)
			}
		}
		return strings.Join(list, " ")
	}
	m := testMachine(t, (&fakePodman{}).run, func(string, string, []byte) error { return nil })
	got := map[string]string{
		"preview": has(m.ForPreview()), "daemon": has(m.ForDaemon(&Table{})),
		"apply": has(m.ForApply(Apply{Timeout: 1, Progress: func(reconcile.Event) {}})),
	}
	want := map[string]string{
		"preview": "health config", "apply": "health config supply record wait progress", "daemon": "config supply record foreign wait",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for mode, host := range map[string]reconcile.Host{"preview": m.ForPreview(), "daemon": m.ForDaemon(&Table{}), "apply": m.ForApply(Apply{})} {
		if host.StabilizationTime != stabilizationTime {
			t.Errorf("%s: an app has to stay up for %v", mode, host.StabilizationTime)
		}
	}
	foreign := m.ForDaemon(&Table{}).Foreign
	if found, _, err := foreign.Find(t.Context(), []units.App{{ID: "web"}}); foreign.Adopts() || err != nil || len(found) > 0 {
		t.Errorf("foreign containers of an empty storage: %v, %v", found, err)
	}
}

// TestNobodysMachine: without HOME a user has no machine, and without systemd only the base
// of one.
func TestNobodysMachine(t *testing.T) {
	nothing := func(string) string { return "" }
	if _, err := Open(t.Context(), Options{Scope: units.User, Getenv: nothing}); err == nil || !strings.Contains(err.Error(), "HOME") {
		t.Errorf("without HOME: %v", err)
	}
	home := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", home)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	getenv := func(name string) string {
		return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": home}[name]
	}
	if _, err := Open(t.Context(), Options{Scope: units.User, Getenv: getenv}); err == nil {
		t.Error("opened without a systemd")
	}
	b, err := Find(Options{Scope: units.User, Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Renderer().Started("app@x"); err == nil {
		t.Error("a start is known without a systemd")
	}
	if _, err := b.Renderer().Secret("x.password"); err == nil {
		t.Error("a secret has a value that Podman does not have")
	}
}

// TestSupplyOfApply: images and secrets are available before an app is changed. An image
// that was fetched ahead, successfully or not, is not pulled again.
func TestSupplyOfApply(t *testing.T) {
	noCreds(t)
	generated := units.Secret{Name: "web.password", Length: 8, Alphabet: "hex"}
	both := units.Prerequisites{Images: true, Secrets: true}
	for name, c := range map[string]struct {
		app     units.App
		lack    units.Prerequisites
		fetched Fetched
		want    []string
		fails   bool
	}{
		"image and secret":   {withImage("web", "new", generated), both, nil, []string{"pull new", "secret web.password"}, false},
		"image that is here": {withImage("web", "here"), both, nil, nil, false},
		"only the secret":    {withImage("web", "new", generated), units.Prerequisites{Secrets: true}, nil, []string{"secret web.password"}, false},
		"only the image":     {withImage("web", "new", generated), units.Prerequisites{Images: true}, nil, []string{"pull new"}, false},
		"absent image":       {withImage("web", "absent", generated), both, nil, []string{"pull absent"}, true},
		"fetched ahead":      {withImage("web", "new", generated), both, Fetched{"web": nil}, []string{"secret web.password"}, false},
		"not to be fetched":  {withImage("web", "new", generated), both, Fetched{"web": errors.New("not found")}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			podman := &fakePodman{images: map[string]bool{"here": true}}
			m := testMachine(t, podman.run, nil)
			err := m.ForApply(Apply{Fetched: c.fetched}).Supply(t.Context(), c.app, c.lack)
			if (err != nil) != c.fails {
				t.Errorf("%v", err)
			}
			if d := cmp.Diff(c.want, podman.calls); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// noCreds stores secrets without systemd-creds, which may be missing here.
func noCreds(t *testing.T) {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "systemd-creds"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// TestFetchAhead fetches images before a pass, only for apps whose containers it changes,
// and none twice.
func TestFetchAhead(t *testing.T) {
	podman := &fakePodman{images: map[string]bool{}}
	m := testMachine(t, podman.run, nil)
	same, stopping := withImage("same", "same"), withImage("stopping", "stopping")
	same.Files[0].Content = []byte("[X-Archipelago]\nApp=same\n[Container]\nImage=same\n")
	stopping.Request = units.Stop
	foreign := filepath.Join(m.Paths.Units, units.ContainerFile("foreign"))
	if err := errors.Join(m.Files().Sync(same.Files, nil), os.WriteFile(foreign, []byte("[Container]\nImage=mine\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	earlier := errors.New("earlier")
	want := units.Desired{Apps: []units.App{
		same, stopping, withImage("foreign", "foreign"), withImage("new", "new"), withImage("gone", "absent"), withImage("tried", "absent-too"),
	}}
	var told []string
	got := m.FetchAhead(t.Context(), want, Fetched{"tried": earlier}, func(app, image string) { told = append(told, app+" "+image) })
	if d := cmp.Diff([]string{"pull new", "pull absent"}, podman.calls); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff([]string{"new new", "gone absent"}, told); d != "" {
		t.Errorf("told: -want +got:\n%s", d)
	}
	if err, isTried := got["new"]; err != nil || !isTried || got["gone"] == nil || !errors.Is(got["tried"], earlier) || len(got) != 3 {
		t.Errorf("fetched: %v", got)
	}
}

// TestSupplyOfADaemon: a daemon has systemd pull only what Podman's files don't show as
// available. A secret that only Podman can read counts as available, one that the user may
// not read does not.
func TestSupplyOfADaemon(t *testing.T) {
	secret := units.Secret{Name: "web.password"}
	denied := fmt.Errorf("reading it: %w", fs.ErrPermission)
	failed := errors.New("it failed")
	for name, c := range map[string]struct {
		app    units.App
		lack   units.Prerequisites
		secret error
		get    error
		gets   int
		want   error
	}{
		"nothing":                      {app: withImage("web", "x")},
		"an image":                     {app: withImage("web", "x"), lack: units.Prerequisites{Images: true}, gets: 1},
		"an image that is unavailable": {app: withImage("web", "x"), lack: units.Prerequisites{Images: true}, get: failed, gets: 1, want: failed},
		"no image, as for a build":     {app: units.App{ID: "web"}, lack: units.Prerequisites{Images: true}},
		"an image, and secrets":        {app: units.App{ID: "web", Secrets: []units.Secret{secret}}, lack: units.Prerequisites{Images: true}, gets: 1},
		"a secret that is there":       {app: withImage("web", "x", secret), lack: units.Prerequisites{Secrets: true}},
		"a secret":                     {app: withImage("web", "x", secret), secret: failed, gets: 1},
		"a secret of another user":     {app: withImage("web", "x", secret), secret: denied, gets: 1, want: denied},
	} {
		t.Run(name, func(t *testing.T) {
			gets := 0
			s := daemonSupply{
				storage: t.TempDir(),
				secret:  func(string) (string, error) { return "", c.secret },
				get:     func(context.Context, units.App) error { gets++; return c.get },
			}
			if err := s.supply(t.Context(), c.app, c.lack); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if gets != c.gets {
				t.Errorf("systemd was asked %d times, want %d", gets, c.gets)
			}
		})
	}
}

// TestRenderedApps: an app is known by its unit files.
func TestRenderedApps(t *testing.T) {
	dir := t.TempDir()
	text := []byte("[X-Archipelago]\nApp=web\n[Container]\nImage=x\n")
	if err := os.WriteFile(filepath.Join(dir, units.ContainerFile("web")), text, 0o600); err != nil {
		t.Fatal(err)
	}
	list := Files(dir).Rendered([]string{"web", "other"})
	if len(list) != 1 || list[0].ID != "web" || len(list[0].Parts) != 1 {
		t.Errorf("%+v", list)
	}
}
