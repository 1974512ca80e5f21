package passes

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// TestRecompile: installed apps are compiled again if a file changed, or may have.
func TestRecompile(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	getenv := func(name string) string { return map[string]string{"HOME": home}[name] }
	dir := filepath.Join(home, ".config/archipelago/apps")
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	manifest := func(id string) string {
		return "app:\n  id: " + id + "\n  name: App\n  version: 1.0.0\n  container:\n    image: docker.io/library/" + id + ":1\n"
	}
	write("web.yaml", manifest("web"))
	r := recompiler{Source: compile.Source{Scope: units.User, Getenv: getenv, Podman: "5.4", Generator: "1"}}
	compiled := func() (*compile.Compiled, units.Desired) {
		t.Helper()
		k, want, err := r.installed()
		if err != nil || len(want.Apps) == 0 {
			t.Fatalf("%+v, %v, %v", want, err, k.Diags)
		}
		return k, want
	}
	settled := func() {
		for session.Inputs(r.Source) == "" {
			runtime.Gosched()
		}
	}
	k, _ := compiled()
	if again, _ := compiled(); again == k {
		t.Error("a file that has just changed may change again")
	}
	settled()
	k, want := compiled()
	want.Apps[0].Request = units.Stop
	again, want := compiled()
	if again != k || want.Apps[0].Request != "" {
		t.Errorf("compiled again: %v, %+v", again != k, want)
	}
	for name, text := range map[string]string{"web.yaml": manifest("web") + "# changed\n", "web.d/env.yaml": "app:\n  description: x\n", "database.yaml": manifest("database")} {
		settled()
		k, _ := compiled()
		write(name, text)
		if again, _ := compiled(); again == k {
			t.Errorf("%s changed, and nothing was compiled", name)
		}
	}
}

// TestRecompileLater: another command takes the result of the one before, unless a file changed, a
// manifest has diagnostics, or data on the machine has another format.
func TestRecompileLater(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	getenv := func(name string) string { return map[string]string{"HOME": home}[name] }
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const manifest = "app:\n  id: web\n  name: App\n  version: 1.0.0\n  container:\n    image: docker.io/library/web:1\n"
	write(".config/archipelago/apps/web.yaml", manifest)
	store := statedir.Store{State: filepath.Join(home, "state"), Runtime: filepath.Join(home, "run")}
	write("run/lock", "")
	source := compile.Source{Scope: units.User, Getenv: getenv, Podman: "5.4", Generator: "1", Format: store.DataFormat, FormatsDir: store.DataFormats()}
	run := func() (isCompiled bool, want units.Desired) {
		t.Helper()
		for session.Inputs(source) == "" {
			runtime.Gosched()
		}
		r := recompiler{Source: source, Store: store}
		k, want, err := r.installed()
		if err != nil {
			t.Fatal(err)
		}
		isCompiled = k.Set != nil
		if all, err := r.all(); err != nil || all.Set == nil {
			t.Errorf("without its manifests: %v", err)
		}
		return isCompiled, want
	}
	first, want := run()
	second, again := run()
	if !first || second {
		t.Fatalf("compiled: %v, %v", first, second)
	}
	if d := cmp.Diff(want, again); d != "" {
		t.Errorf("another desired state (-compiled +kept):\n%s", d)
	}
	source.Generator = "2"
	if isCompiled, _ := run(); !isCompiled {
		t.Error("that of another archgen is taken")
	}
	write("state/formats/web", "3\n")
	if isCompiled, _ := run(); !isCompiled {
		t.Error("the format of data changed, and nothing was compiled")
	}
	write(".config/archipelago/apps/web.yaml", strings.Replace(manifest, "  version", "  version: 2\n  version", 1))
	for range 2 {
		if isCompiled, _ := run(); !isCompiled {
			t.Error("the diagnostics are missing")
		}
	}
}
