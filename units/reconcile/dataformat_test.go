package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/archipelago-os/archipelago/units"
)

// withFormat is an app whose version writes data in a format and reads it from another one on.
func withFormat(a units.App, written, reads int) units.App {
	a.Files = append(a.Files, units.File{
		Name: units.PrestartName(a.Parts[0].Service), App: a.ID, Digest: "r",
		Content: fmt.Appendf(nil, "[Recipe]\nDataFormat={\"written\":%d,\"reads\":%d}\n", written, reads),
	})
	a.Files.Sort()
	return a
}

// TestDataFormatAndRollback: an app that does not serve returns to its previous files, unless its
// start has converted the data to a format that they can't read.
func TestDataFormatAndRollback(t *testing.T) {
	for name, tt := range map[string]struct {
		before  int // the format that the previous files write
		started int // the format that the start records
		want    string
	}{
		"the same format":       {2, 2, "x rolled-back: "},
		"a newer one":           {1, 2, "x not-serving: "},
		"no format before":      {0, 2, "x rolled-back: "},
		"it was never recorded": {1, 0, "x rolled-back: "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				before := app("x", "1")
				if tt.before > 0 {
					before = withFormat(before, tt.before, 1)
				}
				m.run(t, before)
				m.Change(func() { m.Effects, m.Formats = nil, map[string]int{"x": tt.started} })
				got := results(m.run(t, withFormat(app("x", "2-loops"), 2, 1)))
				if len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
				isBack := slices.Contains(m.Did(), "write app@x.container 1")
				if isBack != (tt.want == "x rolled-back: ") {
					t.Errorf("what was done: %q", m.Did())
				}
				const why = "its previous files are not restored: the data of x has format 2, and this version reads at most 1"
				if !isBack && !strings.Contains(got[0], why) {
					t.Errorf("%q does not say %q", got[0], why)
				}
			})
		})
	}
}

// TestSavedDataAndRollback: an app whose data an update has saved does not return to its previous files by
// itself. They may not read what its start has made of the data, and the update restores both.
func TestSavedDataAndRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		m.Change(func() { m.Effects, m.Saved = nil, map[string]bool{"x": true} })
		got := results(m.run(t, app("x", "2-loops")))
		const want = "its previous files are not restored: the update restores them with the data"
		if len(got) != 1 || !strings.HasPrefix(got[0], "x not-serving: ") || !strings.Contains(got[0], want) || slices.Contains(m.Did(), "write app@x.container 1") {
			t.Errorf("%q; done: %q", got, m.Did())
		}
	})
}

// TestSavedDataOfARolledBackApp: an update that has saved the data of an app which was rolled back gives it the
// files of its manifest again.
func TestSavedDataOfARolledBackApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		m.run(t, app("x", "2-loops"))
		m.run(t, app("x", "2-loops"))
		if got := m.digestOf("app@x.container"); got != "1" {
			t.Fatalf("x has the file of %s", got)
		}
		m.Change(func() { m.Saved = map[string]bool{"x": true} })
		m.run(t, app("x", "2-loops"))
		if got := m.digestOf("app@x.container"); got != "2-loops" {
			t.Errorf("x has the file of %s", got)
		}
	})
}
