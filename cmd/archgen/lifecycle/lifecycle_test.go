package lifecycle_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/lifecycle"
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/session/sessiontest"
	"github.com/archipelago-os/archipelago/units/machine"
)

const web = `app:
  id: web
  name: Web
  version: 1.0.0
  notices: [it has no login]
  secrets: [{name: password, generate: {}, show: true}]
  container:
    image: localhost/web:1
    ports: [{name: web, host: 8080, container: 8080, bind: 0.0.0.0}]
    volumes: [{name: data, target: /data}]
`

// world is a machine, and the verbs that change its apps.
type world struct {
	*sessiontest.World
	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{sessiontest.New(t), t}
}

// archgen is a command, with what is typed.
func (w *world) archgen(typed string) lifecycle.Apps {
	return lifecycle.Apps{Passes: &passes.Passes{
		Session: w.Session(typed), Timeout: time.Minute,
		ResumeUpdate: func(context.Context, *machine.Machine, passes.Request) error { return nil },
	}}
}

// file writes a manifest that is not installed.
func (w *world) file(text string) string {
	w.t.Helper()
	name := "web.yaml"
	if strings.Contains(text, "id: site") {
		name = "site.yaml"
	}
	path := filepath.Join(w.Home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// installWeb installs an app that has the rights that it asks for.
func (w *world) installWeb() {
	w.t.Helper()
	if err := w.archgen("").Install(lifecycle.Wanted{Names: []string{w.file(web)}, Allow: []string{"listen"}}); err != nil {
		w.t.Fatalf("%v\n%s%s", err, &w.Stdout, &w.Stderr)
	}
	w.Forget()
}

// TestInstall: an app starts with its manifest and its grants, and its notices are said first.
func TestInstall(t *testing.T) {
	w := newWorld(t)
	err := w.archgen("").Install(lifecycle.Wanted{Names: []string{w.file(web)}, Allow: []string{"listen:0.0.0.0:8080/tcp", "onion"}})
	if err != nil {
		t.Fatalf("%v\n%s", err, &w.Stderr)
	}
	if !w.IsActive("app@web.service") || !w.Exists(filepath.Join(w.Apps(), "web.d/grants.toml")) || !w.Exists(w.Unit("app@web.container")) {
		t.Errorf("it is not installed: %q", w.Log)
	}
	if out := w.Stdout.String(); !strings.HasPrefix(out, "web: it has no login\n") || !strings.HasSuffix(out, "password: archgen secret show web.password\n") {
		t.Errorf("stdout:\n%s", out)
	}
	for _, line := range []string{"rights of web:\n", "archgen: --allow onion: none of the apps needs that grant\n"} {
		if !strings.Contains(w.Stderr.String(), line) {
			t.Errorf("no %q in\n%s", line, &w.Stderr)
		}
	}
}

// TestInstallRefuses: no file is written for an app that lacks a right, can't be read, or is broken by
// the others.
func TestInstallRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		manifest string
		wanted   lifecycle.Wanted
		want     string
	}{
		"a right that is not granted": {web, lifecycle.Wanted{}, "nothing was installed: web asks for rights that are not granted; to grant them, add --allow listen:0.0.0.0:8080/tcp"},
		"a malformed grant":           {web, lifecycle.Wanted{Allow: []string{"no such"}}, `"no such"`},
		"an unknown app":              {web, lifecycle.Wanted{Names: []string{"none"}}, `no catalog has an app "none"`},
		"a broken manifest":           {"app: {id: web}\n", lifecycle.Wanted{}, session.ErrReported.Error()},
		"an unknown replaced app":     {web, lifecycle.Wanted{Replaced: []string{"none"}}, `can't replace "none"`},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			c.wanted.Names = append(c.wanted.Names, w.file(c.manifest))
			err := w.archgen("").Install(c.wanted)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if w.Exists(filepath.Join(w.Apps(), "web.yaml")) || len(w.Log) > 0 {
				t.Errorf("something was changed: %q", w.Log)
			}
		})
	}
}

// TestReplace: the replaced app stops and keeps its data; the origin of the new one is recorded.
func TestReplace(t *testing.T) {
	w := newWorld(t)
	w.installWeb()
	other := strings.ReplaceAll(web, "web", "site")
	err := w.archgen("").Install(lifecycle.Wanted{Names: []string{w.file(other)}, Replaced: []string{"web"}, Allow: []string{"listen"}})
	if err != nil {
		t.Fatalf("%v\n%s", err, &w.Stderr)
	}
	if w.IsActive("app@web.service") || !w.IsActive("app@site.service") || w.Exists(filepath.Join(w.Apps(), "web.yaml")) {
		t.Errorf("it is not replaced: %q", w.Log)
	}
	if !w.Exists(filepath.Join(w.Home, ".local/state/archipelago/origins/site.json")) {
		t.Error("the origin of the new app is not recorded")
	}
}

// TestRemove: data is deleted once the operator confirms it, after the app has stopped.
func TestRemove(t *testing.T) {
	w := newWorld(t)
	w.installWeb()
	w.Answers["volume ls"] = "web.data\nwebsite.data\n"
	removal := lifecycle.Removal{IDs: []string{"web"}, Purge: true}
	err := w.archgen("no\n").Remove(removal)
	if err == nil || !w.IsActive("app@web.service") || !w.Exists(filepath.Join(w.Apps(), "web.yaml")) || len(w.Log) > 0 {
		t.Errorf("%v: nothing was confirmed, and this was done: %q", err, w.Log)
	}
	if err := w.archgen("y\n").Remove(removal); err != nil {
		t.Fatalf("%v\n%s", err, &w.Stderr)
	}
	if d := cmp.Diff([]string{"stop app@web.service", "volume rm -- web.data"}, w.Log); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if w.Exists(w.Unit("app@web.container")) || w.Exists(filepath.Join(w.Apps(), "web.d")) {
		t.Error("files of the app are left")
	}
}

// TestSetEnabled: disabling an app writes an overlay and lets the app run; enabling it starts it.
func TestSetEnabled(t *testing.T) {
	w := newWorld(t)
	w.installWeb()
	if err := w.archgen("").SetEnabled([]string{"none"}, false); err == nil {
		t.Error("an app was disabled that is not installed")
	}
	for _, isEnabled := range []bool{false, false, true} {
		if err := w.archgen("").SetEnabled([]string{"web"}, isEnabled); err != nil {
			t.Fatal(err)
		}
	}
	if said := w.Stderr.String(); strings.Count(said, "web: does not start at boot\n") != 1 || strings.Count(said, "web: starts at boot\n") != 1 {
		t.Errorf("stderr:\n%s", said)
	}
	if !w.IsActive("app@web.service") {
		t.Errorf("it does not run: %q", w.Log)
	}
}

// TestGrantAndRevoke: an app that lacks a right stops, and starts again with it.
func TestGrantAndRevoke(t *testing.T) {
	w := newWorld(t)
	w.installWeb()
	const right = "listen:0.0.0.0:8080/tcp"
	if err := w.archgen("").Revoke("web", []string{"onion"}); err == nil || !strings.Contains(err.Error(), "web is not granted onion") {
		t.Errorf("%v", err)
	}
	if err := w.archgen("").Revoke("web", []string{right}); err != nil || w.IsActive("app@web.service") {
		t.Errorf("%v, and it runs without a right that it needs", err)
	}
	if err := w.archgen("").Grant("web", []string{right, "onion"}); err != nil || !w.IsActive("app@web.service") {
		t.Errorf("%v, and it does not run with the right: %s", err, &w.Stderr)
	}
	if !strings.Contains(w.Stderr.String(), "archgen: web does not ask for onion; granted anyway\n") {
		t.Errorf("stderr:\n%s", &w.Stderr)
	}
	if err := w.archgen("").Grant("later", []string{right}); err != nil || !w.Exists(filepath.Join(w.Apps(), "later.d/grants.toml")) {
		t.Errorf("an app that is not installed has no grant: %v", err)
	}
	_, isUsage := errors.AsType[session.UsageError](w.archgen("").Grant("no/id", []string{right}))
	if !isUsage {
		t.Error("a malformed id is no error of the command line")
	}
}

// TestGrantInImage: in a system image only the file is written.
func TestGrantInImage(t *testing.T) {
	w := newWorld(t)
	a := w.archgen("")
	a.Root = filepath.Join(w.Home, "image")
	manifest := filepath.Join(a.Root, "etc/archipelago/apps/web.yaml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(manifest), 0o755), os.WriteFile(manifest, []byte(web), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := a.Grant("web", []string{"listen"}); err != nil || !w.Exists(filepath.Join(filepath.Dir(manifest), "web.d/grants.toml")) || len(w.Log) > 0 {
		t.Errorf("%v, %q", err, w.Log)
	}
}
