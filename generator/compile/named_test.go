package compile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
)

// named is what arguments name: the apps that were read and asked for, the apps whose files
// are written, and whether files of others are stale.
type named struct {
	Read, Asked, Files []string
	Whole              bool
	Empty              [][]string
}

func (h *home) named(paths, ids []string) named {
	h.t.Helper()
	s := h.source()
	s.Ungranted = true
	k, err := s.Named(paths, ids)
	if err != nil || k.Result == nil {
		h.t.Fatal(err, k)
	}
	n := named{Whole: k.Whole, Empty: k.Empty}
	for _, m := range k.Loaded.Manifests {
		n.Read = append(n.Read, m.Document.App.ID)
	}
	for _, app := range k.Asked() {
		n.Asked = append(n.Asked, app.ID())
	}
	for _, f := range k.Files() {
		owned, _ := units.ReadOwnership(f.Content)
		if mayRemove := f.App != "" || k.Whole; k.OwnsFile(owned) != mayRemove {
			h.t.Errorf("%s may be removed: %v", f.Name, !mayRemove)
		}
		n.Files = append(n.Files, f.App)
	}
	slices.Sort(n.Files)
	n.Files = slices.Compact(n.Files)
	return n
}

// TestNamed: arguments name paths, or ids of installed apps, whose files alone are written
// then, with the networks that they are on.
func TestNamed(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	app := func(id, more string) string {
		return "app: {id: " + id + ", name: X, version: 1.0.0, container: {image: 'localhost/x:1', ports: [{name: web, container: 80}]}" + more + "}\n"
	}
	h.write("page", app("page", ", provides: [{capability: page, port: web}]"))
	h.write("gate", app("gate", ", requires: [{capability: page}]"))
	h.write("door", app("door", ""))
	apps, empty := filepath.Join(h.dir, "archipelago/apps"), t.TempDir()
	for what, c := range map[string]struct {
		paths, ids []string
		want       named
	}{
		"nothing":             {nil, nil, named{[]string{"door", "gate", "page"}, []string{"door", "gate", "page"}, []string{"", "door", "gate", "page"}, true, nil}},
		"an id":               {nil, []string{"gate"}, named{[]string{"door", "gate", "page"}, []string{"gate"}, []string{"", "gate"}, false, nil}},
		"an id on no network": {nil, []string{"door"}, named{[]string{"door", "gate", "page"}, []string{"door"}, []string{"door"}, false, nil}},
		"files":               {[]string{apps + "/page.yaml", apps + "/gate.yaml"}, nil, named{[]string{"page", "gate"}, []string{"gate", "page"}, []string{"", "gate", "page"}, false, nil}},
		"a directory":         {[]string{apps}, nil, named{[]string{"door", "gate", "page"}, []string{"door", "gate", "page"}, []string{"", "door", "gate", "page"}, true, nil}},
		"empty directories":   {[]string{empty, empty}, nil, named{nil, nil, nil, true, [][]string{{empty}, {empty}}}},
	} {
		if d := cmp.Diff(c.want, h.named(c.paths, c.ids)); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
}

func TestNamedFails(t *testing.T) {
	h := newHome(t)
	h.publishes("ant", "8080")
	t.Chdir(t.TempDir())
	if err := os.WriteFile("here", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for id, hint := range map[string]string{"none": "give the path of a file or directory", "here": "write ./here to mean the file or directory here"} {
		if _, err := h.source().Named(nil, []string{"ant", id}); err == nil || !strings.HasPrefix(err.Error(), `no app "`+id+`" is installed in `) || !strings.HasSuffix(err.Error(), hint) {
			t.Errorf("%s: %v", id, err)
		}
	}
	_, err := compile.Source{Root: "here"}.Named(nil, nil)
	if err == nil || err.Error() != "here is not a directory, so it can't be the root of a system image" {
		t.Errorf("%v", err)
	}
	_, err = compile.Source{Getenv: func(string) string { return "" }}.Named(nil, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "HOME is not set") {
		t.Errorf("%v", err)
	}
}
