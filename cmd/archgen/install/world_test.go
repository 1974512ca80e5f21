package install_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// world is a user's home and a Podman.
type world struct {
	podmantest.Podman
	t    *testing.T
	home string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, home: t.TempDir()}
	if err := os.MkdirAll(w.apps(), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) apps() string { return filepath.Join(w.home, ".config/archipelago/apps") }

func (w *world) getenv(name string) string { return map[string]string{"HOME": w.home}[name] }

// put writes files of the directory of installed manifests.
func (w *world) put(files map[string]string) {
	w.t.Helper()
	for name, text := range files {
		path := filepath.Join(w.apps(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// has is the content of a file of the directory of manifests, empty for none.
func (w *world) has(name string) string {
	text, _ := os.ReadFile(filepath.Join(w.apps(), name))
	return string(text)
}

// granted is what is granted to an app, nil where no file says so.
func (w *world) granted(id string) []string {
	w.t.Helper()
	var loaded manifests.Loaded
	if diags := loaded.LoadGrants([]string{w.apps()}, id); len(diags) > 0 {
		w.t.Fatal(diags)
	}
	return loaded.Grants[id].Allow
}

func (w *world) dir() installed.Directory {
	w.t.Helper()
	dir, err := installed.Of(paths.Env{Scope: units.User, Getenv: w.getenv})
	if err != nil {
		w.t.Fatal(err)
	}
	return dir
}

func (w *world) source() compile.Source {
	return compile.Source{Scope: units.User, Generator: "test", Getenv: w.getenv}
}

// compiled is the installed apps.
func (w *world) compiled() (*compile.Compiled, units.Desired) {
	w.t.Helper()
	k, want, err := w.source().Installed()
	if err != nil {
		w.t.Fatal(err)
	}
	return k, want
}

// podman is a podmancli.Runner. What has no answer does not exist.
func (w *world) podman(ctx context.Context, call podmancli.Call) error {
	err := w.Run(ctx, call)
	if err != nil && strings.Contains(strings.Join(call.Args, " "), " exists ") {
		return exec.CommandContext(ctx, "false").Run() // exit status 1 means no
	}
	return err
}

// machine is the world without a systemd.
func (w *world) machine() machine.Base {
	p := paths.Paths{Units: filepath.Join(w.home, "units"), State: filepath.Join(w.home, "state"), Runtime: filepath.Join(w.home, "run")}
	storage := filepath.Join(w.home, "storage")
	return machine.Base{
		Scope: units.User, Paths: p, Storage: storage, Volumes: filepath.Join(storage, "volumes"), Networks: filepath.Join(storage, "networks"), Podman: w.podman,
		Store: statedir.Store{State: p.State, Runtime: p.Runtime, Now: time.Now},
		Secrets: machine.Secrets{
			Store:  secret.Store{Dir: p.Secrets(), Runtime: p.SecretsLock(), Scope: units.User},
			Podman: podmancli.Secrets{Storage: storage, Podman: w.podman},
		},
	}
}

// entry reads a manifest of its own, web.yaml in other/.
func (w *world) entry(name, text string) catalog.Entry {
	w.t.Helper()
	file := filepath.Join(w.home, "other", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	e, _, diags, err := catalog.ReadEntry(file)
	if err != nil || len(diags) > 0 {
		w.t.Fatal(diags, err)
	}
	return e
}

// install begins an installation of entries.
func (w *world) install(replaced []string, entries ...catalog.Entry) *install.Installation {
	w.t.Helper()
	in, err := install.New(w.dir(), nil, replaced)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		in.Add(e)
	}
	if err := in.Complete(); err != nil {
		w.t.Fatal(err)
	}
	return in
}

// stage compiles an installation.
func (w *world) stage(in *install.Installation) *install.Staged {
	w.t.Helper()
	s, err := in.Stage(w.source())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Remove)
	return s
}
