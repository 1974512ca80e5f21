package reconcile_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// TestRestoreNeedsNoImage: an app that runs has its image, so a lost file is restored at once,
// even if no registry answers.
func TestRestoreNeedsNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		m.Delete("app@x.container")
		m.Lacks["x"] = errNoRoute
		m.Effects = nil
		r := m.run(t, app("x", "1"))
		if failed, _ := r.Count(); failed > 0 {
			t.Errorf("it failed: %+v", r.Results)
		}
		equal(t, "log", []string{"write app@x.container 1", "reload"}, m.Did())
	})
}

// TestRestoreFirst: a lost file of an app that was seen running with it is restored before systemd
// is observed, and reported like any other. Other apps may be new.
func TestRestoreFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		ran  func(units.App) bool
		fail error
		want []string
	}{
		{name: "seen running", ran: func(units.App) bool { return true }, want: []string{"write app@x.container 1", "observe", "reload", "observe"}},
		{name: "unknown", ran: func(units.App) bool { return false }, want: []string{"observe", "write app@x.container 1", "reload", "observe"}},
		{name: "unknown for all", want: []string{"observe", "write app@x.container 1", "reload", "observe"}},
		{name: "no space", ran: func(units.App) bool { return true }, fail: errors.New("no space left"), want: []string{"observe"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				m.Delete("app@x.container")
				m.Effects = nil
				m.Before = func(verb, _ string) error {
					if verb == "observe" {
						m.Effects = append(m.Effects, reconciletest.Effect{Verb: verb})
					}
					return failing("sync", c.fail)(verb, "")
				}
				host := m.Host()
				host.Ran = c.ran
				r, err := reconcile.Run(t.Context(), all(app("x", "1")), host)
				equal(t, "log", c.want, m.Did())
				if !errors.Is(err, c.fail) {
					t.Errorf("error %v, want %v", err, c.fail)
				}
				actions := []units.Action{
					{App: "x", Kind: units.Write, Target: "app@x.container", Reason: units.ReasonFileMissing},
					{Kind: units.Reload, Reason: units.ReasonFileMissing},
				}
				if d := cmp.Diff(actions, r.Actions); c.fail == nil && d != "" {
					t.Errorf("actions (-want +got):\n%s", d)
				}
			})
		})
	}
}

// TestRestoredFilesAreReportedOnce, whatever their names and number.
func TestRestoredFilesAreReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		x, y := app("x", "1"), app("y", "1")
		for i, name := range []string{"archipelago-x.data.volume", "a.network"} {
			x.Files = append(x.Files, units.File{Name: name, App: "x", Digest: strconv.Itoa(i), Content: []byte("1")})
		}
		x.Files.Sort()
		m.run(t, x, y)
		files, _ := m.Read()
		for _, f := range files {
			m.Delete(f.Name)
		}
		host := m.Host()
		host.Ran = func(units.App) bool { return true }
		r, err := reconcile.Run(t.Context(), all(y, x), host)
		if len(r.Actions) != 5 || err != nil {
			t.Errorf("%d actions, want 4 writes and a reload: %v, %v", len(r.Actions), r.Actions, err)
		}
	})
}

// TestLostFileIsNoChange: the files of an app without the lost one are no previous version. The
// lost file is restored, and stays even if later actions fail.
func TestLostFileIsNoChange(t *testing.T) {
	for name, broken := range map[string]func(*machine){
		"can't be started":        func(m *machine) { m.Before = failing("start", errors.New("no space left")) },
		"generator reads nothing": func(m *machine) { m.Unreadable = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				x := app("x", "1")
				x.Files = append(x.Files, units.File{Name: "archipelago-x.data.volume", App: "x", Digest: "1", Content: []byte("1")})
				m.run(t, x)
				m.Delete("app@x.container")
				m.Put("app@x.service", units.Unit{Active: units.Failed})
				m.Records, m.Effects = units.History{}, nil
				broken(m)
				r, err := reconcile.Run(t.Context(), all(x), m.Host())
				if failed, _ := r.Count(); err != nil || failed != 1 {
					t.Errorf("%v, %+v; want the app to fail", err, r.Results)
				}
				if _, ok := m.File("app@x.container"); !ok {
					t.Errorf("the file was removed again: %q", m.Did())
				}
			})
		})
	}
}
