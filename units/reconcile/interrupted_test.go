package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// killedAfterStart leaves what a pass leaves that changed an app, started it,
// and was killed before it could see whether it serves.
func (m *machine) killedAfterStart(t *testing.T, a units.App) {
	t.Helper()
	m.history.MarkChanged(a.ID)
	nobody := func(units.Ownership) bool { return false }
	if err := errors.Join(m.Sync(a.Files, nobody), m.Reload(t.Context()), m.Start(t.Context(), a.Parts[0].Service)); err != nil {
		t.Fatal(err)
	}
	m.log = nil
}

// TestWhatAKilledPassLeft is verified by the next one, as if it had made the
// change itself: what serves is kept as a generation, what does not goes back.
func TestWhatAKilledPassLeft(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		outcome reconcile.Outcome
		// done is what the pass does to the services, good what its last good files are then.
		done []string
		good string
	}{
		"it serves": {version: "2", outcome: reconcile.Unchanged, good: "2"},
		"it does not": {
			version: "2-silent", outcome: reconcile.RolledBack,
			done: []string{"write app@a.container 1", "reload", "start app@a.service 1"}, good: "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("a", "1"))
				m.killedAfterStart(t, app("a", c.version))
				r := m.run(t, app("a", c.version))
				if r.Results[0].Outcome != c.outcome {
					t.Errorf("%+v", r.Results[0])
				}
				log := slices.DeleteFunc(m.log, func(line string) bool { return line == "reset-failed app@a.service" })
				if d := cmp.Diff(c.done, log); d != "" {
					t.Errorf("-want +done:\n%s", d)
				}
				if good, err := m.Good(); err != nil || len(good) != 1 || good[0].Digest != c.good {
					t.Errorf("last good: %v, %v", good, err)
				}
				if m.history["a"].Changed {
					t.Error("nobody noted that it was verified")
				}
			})
		})
	}
}

// TestWhatAKilledPassLeftStarting is nobody's good generation until it serves.
func TestWhatAKilledPassLeftStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("a", "1"))
		m.killedAfterStart(t, app("a", "2"))
		u := m.units["app@a.service"]
		u.Active = units.Activating
		m.units["app@a.service"] = u
		m.run(t, app("a", "2"))
		if good, _ := m.Good(); good[0].Digest != "1" {
			t.Errorf("last good while it starts: %v", good)
		}
		u.Active = units.Active
		m.units["app@a.service"] = u
		m.run(t, app("a", "2"))
		if good, _ := m.Good(); good[0].Digest != "2" {
			t.Errorf("last good when it serves: %v", good)
		}
	})
}

// blind is a machine on which looking at services fails once it has been reloaded.
type blind struct{ *machine }

func (b blind) Observe(ctx context.Context, names []string, others bool) (map[string]units.Unit, error) {
	if slices.ContainsFunc(b.log, func(line string) bool { return line == "start app@a.service 2" }) {
		return nil, errors.New("looking at the container of app@a.service: input/output error")
	}
	return b.machine.Observe(ctx, names, others)
}

// TestWhatCantBeSeenIsNoReasonToGoBack: an error of the machine says nothing of
// the app. The next pass that can look decides.
func TestWhatCantBeSeenIsNoReasonToGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("a", "1"))
		host := m.host()
		host.Services = blind{m}
		want := units.Desired{Complete: true, Apps: []units.App{app("a", "2")}}
		r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, host)
		if err != nil || r.Results[0].Outcome != reconcile.Failed {
			t.Errorf("%+v, %v", r.Results, err)
		}
		if good, _ := m.Good(); good[0].Digest != "1" || m.files["app@a.container"].Digest != "2" {
			t.Errorf("last good %v, files %v", good, m.files)
		}
		m.run(t, app("a", "2"))
		if good, _ := m.Good(); good[0].Digest != "2" || m.starts["app@a.service"] != 2 {
			t.Errorf("last good when it can be seen: %v, after %d starts", good, m.starts["app@a.service"])
		}
	})
}
