package install_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestRemovable: an app goes with its companions, and only if no other requires it.
func TestRemovable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{
		"page.yaml":   manifest("page", isPage+", companions: [ui], data: {retain: false}"),
		"ui.yaml":     manifest("ui", ", companion_of: [page]"),
		"gate.yaml":   manifest("gate", asksPage),
		"may.yaml":    manifest("may", ", requires: [{capability: page, optional: true}]"),
		"broken.yaml": "{{{",
	})
	w.put(map[string]string{"gate.d/grants.toml": "allow = [\"use\"]\n", "may.d/grants.toml": "allow = [\"use\"]\n"})
	k, _ := w.compiled()
	for what, c := range map[string]struct {
		ids, all, notes []string
		err             string
	}{
		"a companion":                 {[]string{"gate", "page"}, []string{"gate", "page", "ui"}, []string{"ui is removed with page"}, ""},
		"named companions":            {[]string{"gate", "page", "ui"}, []string{"gate", "page", "ui"}, nil, ""},
		"what is required":            {[]string{"page"}, nil, []string{"ui is removed with page"}, "gate requires page, which page provides: remove gate as well, or first"},
		"an app that no app requires": {[]string{"gate"}, []string{"gate"}, nil, ""},
		"one that can't be read":      {[]string{"broken"}, []string{"broken"}, nil, ""},
		"one that does not exist":     {[]string{"none"}, nil, nil, `no app "none" is installed; see archgen status`},
	} {
		all, notes, err := install.Removable(k, w.dir(), c.ids)
		if (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %v, want %s", what, err, c.err)
		}
		if err == nil && !slices.Equal(all, c.all) || !slices.Equal(notes, c.notes) {
			t.Errorf("%s: %q, %q", what, all, notes)
		}
	}
	if d := cmp.Diff([]string{"page"}, install.Disposable(k, []string{"page", "ui"})); d != "" {
		t.Errorf("data that goes: -want +got:\n%s", d)
	}
	if list := install.Disposable(k, []string{"ui"}); len(list) > 0 {
		t.Errorf("%q is not removed", list)
	}
}

// TestData: what belongs to an app is deleted, wherever it is kept, and nothing of others.
func TestData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Answers = map[string]string{
		"volume ls": "web.data\nwebsite.data\nweb\n", "secret ls": "web.a\nother.a\n", "volume rm": "", "secret rm": "",
	}
	w.put(map[string]string{"web.d/mine.yaml": "app: {}\n", "page.d/grants.toml": "allow = []\n", "other.d/mine.yaml": "app: {}\n"})
	m := w.machine()
	for _, name := range []string{"web.a", "web.b", "other.b"} {
		if err := durable.Replace(m.Secrets.Dir, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	d, err := install.DataOf(t.Context(), m.Secrets, w.dir(), []string{"web", "page"})
	if err != nil || d.IsEmpty() {
		t.Fatal(d, err)
	}
	want := [][]string{{"web.data"}, {"web.a", "web.b"}, {filepath.Join(w.apps(), "web.d")}}
	if d := cmp.Diff(want, [][]string{d.Volumes, d.Secrets, d.Overlays}); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff([]string{"volume web.data", "secret web.a", "secret web.b", "overlays " + filepath.Join(w.apps(), "web.d")}, d.List()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	w.Asked = nil
	if err := d.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"volume rm -- web.data", "secret rm -- web.a"}, w.Asked); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	left, err := m.Secrets.Names()
	if d := cmp.Diff([]string{"other.b"}, left); d != "" || err != nil || w.has("web.d/mine.yaml") != "" || w.has("other.d/mine.yaml") == "" {
		t.Errorf("%v, secrets that are left: -want +got:\n%s", err, d)
	}
	d, err = install.DataOf(t.Context(), m.Secrets, w.dir(), []string{"page"})
	if err != nil || !d.IsEmpty() {
		t.Errorf("page has nothing but grants: %+v, %v", d, err)
	}
}

// TestDataIsUnknown: what can't be listed is not deleted, and a failure does not keep the
// rest.
func TestDataIsUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.machine()
	for _, answers := range []map[string]string{{}, {"volume ls": ""}} {
		w.Answers = answers
		if _, err := install.DataOf(t.Context(), m.Secrets, w.dir(), []string{"web"}); err == nil {
			t.Errorf("Podman answers %q only, and there is no error", answers)
		}
	}
	w.Answers = map[string]string{"volume ls": "web.data", "secret ls": ""}
	w.put(map[string]string{"web.d/mine.yaml": "app: {}\n"})
	d, err := install.DataOf(t.Context(), m.Secrets, w.dir(), []string{"web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context()); err == nil || w.has("web.d/mine.yaml") != "" {
		t.Errorf("the volume is in use: %v; the overlays are left: %v", err, w.has("web.d/mine.yaml") != "")
	}
}

// TestRemoveNetworks: our networks without a file go, and those of others stay. Podman is
// not asked where there is nothing to do.
func TestRemoveNetworks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fake := systemdtest.New(t)
	fake.Set(
		systemd.Unit{Name: "archipelago-private.gone-network.service", LoadState: "not-found", ActiveState: "active", SubState: "exited"},
		systemd.Unit{Name: "archipelago-private.here-network.service", ActiveState: "active", SubState: "exited"},
	)
	m := &machine.Machine{Base: w.machine(), Services: machine.Services{Manager: fake.Connect(), Scope: units.User}}
	network := func(name string) {
		dir := m.Networks
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".json"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Replace(m.Paths.Units, units.NetworkFile("private.here"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	network("podman")
	network("private.here")
	if err := install.RemoveNetworks(t.Context(), m); err != nil || len(w.Asked) > 0 {
		t.Errorf("%v; Podman was asked %q", err, w.Asked)
	}
	network("private.gone")
	w.Answers = map[string]string{
		"network ls": "private.gone=map[io.archipelago.network:x]\nprivate.here=map[io.archipelago.network:x]\nprivate.foreign=map[]\npodman=map[]\n",
	}
	if err := install.RemoveNetworks(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := w.Asked[len(w.Asked)-1]; len(w.Asked) != 2 || got != "network rm -- private.gone" {
		t.Errorf("Podman was asked %q", w.Asked)
	}
	for name, want := range map[string]string{"gone": "inactive", "here": "active"} {
		if got := fake.Unit("archipelago-private." + name + "-network.service").ActiveState; got != want {
			t.Errorf("the unit of the network private.%s is %s, want %s", name, got, want)
		}
	}
}

// TestStopServices: what still runs of an app is stopped, and what failed is forgotten.
func TestStopServices(t *testing.T) {
	t.Parallel()
	fake := systemdtest.New(t)
	fake.Set(
		systemd.Unit{Name: "app@web.service", ActiveState: "activating", SubState: "auto-restart"},
		systemd.Unit{Name: "app@web.db.service", ActiveState: "failed"},
		systemd.Unit{Name: "app@website.service", ActiveState: "active"},
	)
	if err := install.StopServices(t.Context(), machine.Services{Manager: fake.Connect(), Scope: units.User}, []string{"web"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"app@web.service": "inactive", "app@web.db.service": "inactive", "app@website.service": "active"} {
		if got := fake.Unit(name).ActiveState; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestStopVolumes: the units of an app's volumes are stopped, and of no other's.
func TestStopVolumes(t *testing.T) {
	t.Parallel()
	fake := systemdtest.New(t)
	name := func(app string) string { return units.ObjectService(units.VolumeUnitFile(app, "data")) + ".service" }
	for _, app := range []string{"web", "website"} {
		fake.Set(systemd.Unit{Name: name(app), ActiveState: "active", SubState: "exited"})
	}
	if err := install.StopVolumes(t.Context(), machine.Services{Manager: fake.Connect(), Scope: units.User}, []string{"web"}); err != nil {
		t.Fatal(err)
	}
	for app, want := range map[string]string{"web": "inactive", "website": "active"} {
		if got := fake.Unit(name(app)).ActiveState; got != want {
			t.Errorf("%s is %s, want %s", name(app), got, want)
		}
	}
}

// TestProvideSecrets: the new apps have their secrets, and no other has.
func TestProvideSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Answers = map[string]string{"secret create": ""}
	m := w.machine()
	of := func(id string, length int) units.App {
		return units.App{ID: id, Secrets: []units.Secret{{Name: id + ".password", Length: length, Alphabet: "hex"}}}
	}
	want := units.Desired{Apps: []units.App{of("web", 8), of("other", 8), of("asks", 0)}}
	if err := install.ProvideSecrets(t.Context(), m, want, []string{"web"}); err != nil {
		t.Fatal(err)
	}
	if names, err := m.Secrets.Names(); fmt.Sprint(names) != "[web.password]" || err != nil {
		t.Errorf("%q, %v", names, err)
	}
	if err := install.ProvideSecrets(t.Context(), m, want, []string{"asks"}); err == nil || !strings.HasPrefix(err.Error(), "creating the secrets of asks: ") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	unlock, err := m.Store.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	cancel()
	if err := install.ProvideSecrets(ctx, m, want, []string{"web"}); err == nil {
		t.Error("another pass holds the lock")
	}
}

// TestDeleteWhatLeftoversUse: a container that a start has left keeps a volume of its app. It is removed
// with the volume; a foreign container keeps the volume.
func TestDeleteWhatLeftoversUse(t *testing.T) {
	t.Parallel()
	inUse := errors.New("volume web.data is being used by the following container(s): abc")
	for what, c := range map[string]struct {
		// left is how many containers of the app are left, one after the other.
		left    int
		isOther bool
		want    []string
		err     error
	}{
		"nothing is left":           {want: []string{"volume rm -- web.cache web.data"}},
		"a start that was stopped":  {left: 1, want: []string{"volume rm -- web.cache web.data", "ps", "rm --force --ignore -- abc", "volume ls", "volume rm -- web.data"}},
		"another container uses it": {isOther: true, want: []string{"volume rm -- web.cache web.data", "ps"}, err: inUse},
	} {
		w := newWorld(t)
		w.Answers = map[string]string{"volume ls": "web.cache\nweb.data\n", "secret ls": ""}
		m := w.machine()
		left, volumes := c.left, "web.cache\nweb.data\n"
		var log []string
		m.Secrets.Podman.Podman = func(_ context.Context, call podmancli.Call) error {
			command := strings.Join(call.Args, " ")
			switch {
			case strings.HasPrefix(command, "volume ls"):
				log = append(log, "volume ls")
				_, _ = io.WriteString(call.Stdout, volumes)
			case strings.HasPrefix(command, "secret ls"):
			case strings.HasPrefix(command, "ps "):
				log = append(log, "ps")
				if !strings.HasSuffix(command, "--filter=label=io.archipelago.app=web") {
					t.Errorf("%s: podman %s", what, command)
				}
				if left > 0 {
					_, _ = io.WriteString(call.Stdout, "abc\n")
				}
			default:
				log = append(log, command)
				if strings.HasPrefix(command, "rm ") {
					left--
				} else if left > 0 || c.isOther {
					volumes = "web.data\n"
					return inUse
				}
			}
			return nil
		}
		d, err := install.DataOf(t.Context(), m.Secrets, w.dir(), []string{"web"})
		if err != nil {
			t.Fatal(err)
		}
		log = nil
		err = d.Delete(t.Context())
		if d := cmp.Diff(c.want, log); d != "" || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, -want +got:\n%s", what, err, d)
		}
	}
}
