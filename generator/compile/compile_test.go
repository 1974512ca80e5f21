package compile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// home is a user's machine: manifests, and the unit files that were rendered last.
type home struct {
	t     *testing.T
	dir   string
	files units.Set
}

func newHome(t *testing.T) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(h.dir, "archipelago/apps"), 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

// publishes installs an app with host ports, as in "8080" or "8080-8082".
func (h *home) publishes(id string, ports ...string) {
	h.t.Helper()
	list := make([]string, 0, len(ports))
	for i, p := range ports {
		first, count := 0, 1
		if n, _ := fmt.Sscanf(p, "%d-%d", &first, &count); n == 2 {
			count -= first - 1
		}
		list = append(list, fmt.Sprintf("{host: %d, container: %d, count: %d, bind: '::1'}", first, 1000*(i+1), count))
	}
	h.write(id, fmt.Sprintf("app: {id: %s, name: X, version: 1.0.0, container: {image: 'localhost/x:1', ports: [%s]}}\n", id, strings.Join(list, ", ")))
}

func (h *home) write(id, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, "archipelago/apps", id+".yaml"), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) source() compile.Source {
	return compile.Source{
		Podman: "5.4.2", Generator: "0.1.0", Rendered: func() (units.Set, error) { return h.files, nil },
		Getenv: func(name string) string { return map[string]string{"XDG_CONFIG_HOME": h.dir}[name] },
	}
}

// pass compiles what is installed and writes the unit files, but for those of apps
// that are kept as they are. It returns the ids of these.
func (h *home) pass() (kept []string, diags diag.List) {
	h.t.Helper()
	k, want, err := h.source().Installed()
	if err != nil || k.Result == nil {
		h.t.Fatal(err, k.Diags)
	}
	isGone := func(f units.File) bool { return !slices.Contains(want.Invalid, f.App) }
	h.files = slices.Concat(slices.DeleteFunc(h.files, isGone), want.Files())
	return want.Invalid, k.Diags
}

// isKept demands that one app is kept, with one diagnostic that says a part of a text.
func (h *home) isKept(id, why string) {
	h.t.Helper()
	kept, diags := h.pass()
	if d := cmp.Diff([]string{id}, kept); d != "" {
		h.t.Fatalf("kept as they are, -want +got:\n%s\n%v", d, diags)
	}
	if len(diags) != 1 || !strings.Contains(diags[0].Message, why) {
		h.t.Errorf("%v, want one about %q", diags, why)
	}
}

func (h *home) allGood() {
	h.t.Helper()
	if kept, diags := h.pass(); len(kept) > 0 || len(diags) > 0 {
		h.t.Fatalf("%v kept as they are: %v", kept, diags)
	}
}

// TestLostDirectory: where the directory of manifests is gone, no app of it was removed;
// where it is empty, all were.
func TestLostDirectory(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.publishes("ant", "8080")
	h.publishes("bull", "8081")
	h.allGood()
	source := h.source()
	dir := filepath.Join(h.dir, "archipelago/apps")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	k, want, err := source.Installed()
	if err != nil || want.Complete || len(k.Diags) != 1 || !strings.Contains(k.Diags[0].Message, "unchanged: ant, bull") {
		t.Errorf("without the directory: whole %v, %v, %v", want.Complete, k.Diags, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if k, want, err = source.Installed(); err != nil || !want.Complete || len(k.Diags) > 0 {
		t.Errorf("with an empty one: whole %v, %v, %v", want.Complete, k.Diags, err)
	}
}

// TestWhoWasThereFirst: an app that is installed keeps its port when another one wants
// it, a new one or one that had another, and gives it away when it is done with it.
func TestWhoWasThereFirst(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.publishes("m", "8080")
	h.publishes("bull", "8000-8009")
	h.allGood()
	h.publishes("ant", "8080")
	h.isKept("ant", "the host port 8080/tcp is already published by m")
	h.publishes("m", "8080", "7000") // it has other unit files, and the port still
	h.isKept("ant", "already published by m")
	h.publishes("ant", "8008")
	h.isKept("ant", "the host port 8008/tcp is already published by bull")
	h.publishes("ant", "9000")
	h.allGood()
	h.publishes("ant", "8080", "9000")
	h.isKept("ant", "already published by m")
	h.publishes("m", "7000")
	h.allGood()
	h.publishes("m", "8080", "7000")
	h.isKept("m", "already published by ant")
}

// TestPortOfABrokenManifest: no other app gets the port of an app whose manifest is broken,
// for example while an editor saves it.
func TestPortOfABrokenManifest(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.publishes("m", "8080")
	h.allGood()
	h.publishes("ant", "8080")
	h.write("m", "app: {")
	kept, diags := h.pass()
	if d := cmp.Diff([]string{"ant", "m"}, kept); d != "" {
		t.Errorf("kept as they are, -want +got:\n%s\n%v", d, diags)
	}
	h.publishes("m", "8080")
	h.isKept("ant", "already published by m")
}
