package reconcile_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// killedAfterStart leaves the state of a pass that changed and started an app, and was killed
// before it could verify it.
func (m *machine) killedAfterStart(t *testing.T, a units.App) {
	t.Helper()
	m.Records.MarkChanged(a.ID)
	none := func(units.Ownership) bool { return false }
	if err := errors.Join(m.Sync(a.Files, none), m.Reload(t.Context()), m.Restart(t.Context(), a.Parts[0].Service)); err != nil {
		t.Fatal(err)
	}
	m.Effects = nil
}

// TestChangeOfAKilledPass is verified by the next pass, as if that had made the change: an app
// that serves is stored in a generation, any other is rolled back.
func TestChangeOfAKilledPass(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		outcome reconcile.Outcome
		// done is the actions of the pass on services, good the last-good files afterwards.
		done []string
		good string
	}{
		"it serves": {version: "2", outcome: reconcile.Unchanged, good: "2"},
		"it does not": {
			version: "2-silent", outcome: reconcile.RolledBack,
			done: []string{"write app@a.container 1", "reload", "restart app@a.service 1"}, good: "1",
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
				log := slices.DeleteFunc(m.Did(), func(line string) bool { return line == "reset-failed app@a.service" })
				if d := cmp.Diff(c.done, log); d != "" {
					t.Errorf("-want +done:\n%s", d)
				}
				if good, err := m.Good(); err != nil || len(good) != 1 || good[0].Digest != c.good {
					t.Errorf("last good: %v, %v", good, err)
				}
				if m.Records["a"].Changed {
					t.Error("it was not recorded as verified")
				}
			})
		})
	}
}

// TestStartOfAKilledPass is not stored in a generation until it serves.
func TestStartOfAKilledPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("a", "1"))
		m.killedAfterStart(t, app("a", "2"))
		u := m.Unit("app@a.service")
		u.Active = units.Activating
		m.Put("app@a.service", u)
		m.run(t, app("a", "2"))
		if good, _ := m.Good(); good[0].Digest != "1" {
			t.Errorf("last good while it starts: %v", good)
		}
		u.Active = units.Active
		m.Put("app@a.service", u)
		m.run(t, app("a", "2"))
		if good, _ := m.Good(); good[0].Digest != "2" {
			t.Errorf("last good when it serves: %v", good)
		}
	})
}

// TestUnobservedServiceIsNotRolledBack: an error of the machine says nothing about the app. The
// next pass that can observe it decides.
func TestUnobservedServiceIsNotRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("a", "1"))
		m.Before = func(verb, _ string) error { // once the app was started
			if verb == "observe" && m.Starts("app@a.service") == 2 {
				return errors.New("reading the container of app@a.service: input/output error")
			}
			return nil
		}
		r, err := reconcile.Run(t.Context(), all(app("a", "2")), m.Host())
		m.Before = nil
		if err != nil || r.Results[0].Outcome != reconcile.Failed {
			t.Errorf("%+v, %v", r.Results, err)
		}
		if good, _ := m.Good(); good[0].Digest != "1" || m.digestOf("app@a.container") != "2" {
			t.Errorf("last good %v, file %s", good, m.digestOf("app@a.container"))
		}
		m.run(t, app("a", "2"))
		if good, _ := m.Good(); good[0].Digest != "2" || m.Starts("app@a.service") != 2 {
			t.Errorf("last good when it can be seen: %v, after %d starts", good, m.Starts("app@a.service"))
		}
	})
}

// TestKilledRollback: if a pass is killed during a rollback, the next one finishes it, and does not
// try the files again that did not serve.
func TestKilledRollback(t *testing.T) {
	moments := 0
	for isKilled := true; isKilled; moments++ {
		synctest.Test(t, func(t *testing.T) {
			m := newMachine()
			m.run(t, app("a", "1"))
			m.Effects = nil
			m.KillAfter(moments)
			_, _ = reconcile.Run(t.Context(), all(app("a", "2-silent")), m.Host())
			isKilled = m.Revive()
			isBegun := slices.Contains(m.Did(), "write app@a.container 1") || m.Records["a"].RolledBack
			m.Effects = nil
			m.run(t, app("a", "2-silent"))
			if did := m.Did(); isBegun && slices.Contains(did, "restart app@a.service 2-silent") {
				t.Errorf("killed at %d: %v", moments, did)
			}
			if u := m.mainOf("a"); u.Active != units.Active || u.Digest != "1" {
				t.Errorf("killed at %d: %+v", moments, u)
			}
		})
	}
	if moments < 8 {
		t.Errorf("only %d moments", moments)
	}
}

// TestUndoneRemoval: a service that failed, and that a killed pass has reset to remove it, starts if
// its manifest is restored. One that an operator stopped stays stopped.
func TestUndoneRemoval(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*machine)
		want units.ActiveState
	}{
		"failed":  {func(m *machine) { m.Exhaust("app@a.service") }, units.Active},
		"stopped": {func(m *machine) { m.StopByHand("app@a.service") }, units.Inactive},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("a", "1-stubborn"))
				time.Sleep(time.Hour)
				tt.end(m)
				m.Before = failing("sync", reconciletest.ErrKilled)
				_, _ = reconcile.Run(t.Context(), all(), m.Host())
				m.Before = nil
				if !slices.Contains(m.Did(), "reset-failed app@a.service") {
					t.Errorf("it did %v", m.Did())
				}
				m.run(t, app("a", "1-stubborn"))
				if u := m.mainOf("a"); u.Active != tt.want {
					t.Errorf("it is %+v after %v", u, m.Did())
				}
			})
		})
	}
}
