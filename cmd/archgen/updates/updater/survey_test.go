package updater

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/update"
)

// TestSurveyOfKept: what an earlier pass has compiled is enough where nothing is new. For another release
// the manifests are compiled, once, with their settings, and the services are observed.
func TestSurveyOfKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", container)
	w.install("blog", container+", update: {policy: hold}")
	k, want, err := w.Source.Installed()
	if err != nil || len(k.Diags) > 0 {
		t.Fatal(err, k.Diags)
	}
	w.Kept = func() (units.Desired, bool) { return want, true }
	for _, c := range []struct {
		what      string
		inspected int
		web, blog update.Reason
		offered   []string
	}{
		{what: "nothing is new", web: update.Current, blog: update.Current},
		{what: "one is", inspected: 1, web: update.Current, blog: update.Held, offered: []string{"blog"}},
		{what: "both are", inspected: 1, web: update.Manual, blog: update.Held, offered: []string{"web"}},
	} {
		for _, id := range c.offered {
			w.offer(id, "2", 2, container)
		}
		s, err := w.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		inspected, inspect := 0, s.Inspect
		s.Inspect = func(want units.Desired) (*compile.Compiled, map[string]units.Unit, error) {
			inspected++
			return inspect(want)
		}
		for range 2 {
			list, err := s.Apps(s.IDs())
			if err != nil || len(list) != 2 || list[1].ID != "web" {
				t.Fatal(list, err)
			}
			if blog, web := list[0].Findings[0].Reason, list[1].Findings[0].Reason; web != c.web || blog != c.blog || inspected != c.inspected {
				t.Errorf("%s: web %s, blog %s, inspected %d times", c.what, web, blog, inspected)
			}
		}
	}
}

// TestSurveyOfInvalid: an app whose installed manifest has errors runs with its earlier files, and counts as
// running. Here a grant is missing.
func TestSurveyOfInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", provides)
	w.install("shelf", requires)
	w.offer("shelf", "2", 2, requires)
	s, err := w.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.App("shelf")
	if _, isValid := s.Want.Find("shelf"); err != nil || isValid || a.Facts.Stopped {
		t.Errorf("valid %v, %+v, %v", isValid, a.Facts, err)
	}
}

// BenchmarkUpdates is what archgen updates does besides its start: 30 apps are installed, as many as
// possible of the catalog that archgen includes, and nothing is new.
func BenchmarkUpdates(b *testing.B) {
	w := newWorld(b)
	w.Entries = func() ([]catalog.Entry, error) {
		entries, _, err := catalog.All(nil)
		return entries, err
	}
	entries, _ := w.Entries()
	if err := os.MkdirAll(w.apps, 0o755); err != nil {
		b.Fatal(err)
	}
	rivals := []string{"bitcoin-core", "electrumx", "electrumx-ui", "fulcrum", "fulcrum-ui"}
	for _, e := range entries {
		r := updates.ReleaseOf(e)
		if slices.Contains(rivals, e.ID) {
			continue
		}
		if _, err := w.Dir.Install(updates.AppOf(e.ID, r, nil)); err != nil {
			b.Fatal(err)
		}
		if err := w.Machine.Store.SaveOrigin(e.ID, r); err != nil {
			b.Fatal(err)
		}
	}
	const apps = 30
	for n := len(w.Dir.Files()); n < apps; n++ {
		text := fmt.Sprintf("app: {id: own%d, name: X, version: '1', container: {image: 'localhost/x:1'}}\n", n)
		if err := os.WriteFile(filepath.Join(w.apps, fmt.Sprintf("own%d.yaml", n)), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	store := w.Machine.Store
	inputs := func() string {
		found, err := w.Source.Inputs()
		if err != nil {
			b.Fatal(err)
		}
		return found.String()
	}
	w.Kept = func() (units.Desired, bool) { return store.Compiled(statedir.ByApply, inputs()) }
	k, want, err := w.Source.Installed()
	if err != nil || k.Diags.HasErrors() {
		b.Fatal(err, k.Diags)
	}
	if err := os.MkdirAll(store.Runtime, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := store.SaveCompiled(statedir.ByApply, inputs(), want); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := w.Survey(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if list, err := s.Apps(s.IDs()); err != nil || len(list) != apps {
			b.Fatal(len(list), err)
		}
	}
}
