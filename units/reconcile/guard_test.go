package reconcile_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// reloadHook is a systemd whose reload takes a while: something happens during each.
type reloadHook struct {
	*machine
	// during reports whether systemd has read the units.
	during func(reload int) bool
	n      int
}

func (h *reloadHook) Reload(ctx context.Context) error {
	h.n++
	if h.during(h.n) {
		return nil
	}
	return h.machine.Reload(ctx)
}

// TestRestoredDuringAReload: a file that is lost during a reload of a pass is restored before the
// reload ends, whether the pass is about its app or not. A file that the pass may change is not.
func TestRestoredDuringAReload(t *testing.T) {
	const x, y = "app@x.container", "app@y.container"
	for _, c := range []struct {
		name    string
		version string // of x in the pass, which had "1" before
		only    bool   // the pass is about x only
		ran     bool   // y was seen running
		lost    string
		reload  int  // during which it is lost
		isRead  bool // systemd reads the units before it is restored
		want    bool
		outcome reconcile.Outcome // of x
	}{
		{name: "unchanged app", version: "2", ran: true, lost: y, reload: 1, want: true, outcome: reconcile.Done},
		{name: "unchanged app of an earlier pass", version: "2", lost: y, reload: 1, want: true, outcome: reconcile.Done},
		{name: "changed app", version: "2", lost: x, reload: 1, want: true, outcome: reconcile.Done},
		{name: "other app", version: "2", only: true, ran: true, lost: y, reload: 1, want: true, outcome: reconcile.Done},
		{name: "other app that was never seen running", version: "2", only: true, lost: y, reload: 1, outcome: reconcile.Done},
		{name: "unit that systemd forgets", version: "2", ran: true, lost: y, reload: 1, isRead: true, want: true, outcome: reconcile.Done},
		{name: "app that is rolled back", version: "2-refused", lost: x, reload: 2, outcome: reconcile.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"), app("y", "1"))
				losses := make(chan []reconcile.Loss)
				var isThere bool
				hook := &reloadHook{machine: m, during: func(reload int) bool {
					if reload != c.reload {
						return false
					}
					m.Delete(c.lost)
					if c.isRead {
						_ = m.Reload(t.Context()) // it never fails
					}
					losses <- []reconcile.Loss{{App: app("x", c.version), File: c.lost}, {App: app("y", "1"), File: c.lost}}
					synctest.Wait()
					_, isThere = m.File(c.lost)
					return c.isRead
				}}
				host := m.Host()
				host.Services = hook
				host.Ran = func(a units.App) bool { return c.ran && a.ID == "y" }
				host.Losses = func(ctx context.Context) []reconcile.Loss {
					select {
					case list := <-losses:
						return list
					case <-ctx.Done():
						return nil
					}
				}
				want := units.Desired{Apps: []units.App{app("x", c.version)}}
				if !c.only {
					want = units.Desired{Apps: []units.App{app("x", c.version), app("y", "1")}, Complete: true}
				}
				r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, host)
				if err != nil || hook.n < c.reload || r.Of([]string{"x"}).Results[0].Outcome != c.outcome || c.outcome == reconcile.Done && r.Has(reconcile.Failed) {
					t.Errorf("%d reloads, %+v, %v", hook.n, r.Results, err)
				}
				if isThere != c.want {
					t.Errorf("before the reload ended, %s was there: %v, want %v", c.lost, isThere, c.want)
				}
				restorations := 0
				for _, a := range r.Actions {
					if a.Target == c.lost && a.Reason == units.ReasonFileMissing {
						restorations++
					}
				}
				if (restorations == 1) != c.want {
					t.Errorf("it was reported %d times: %+v", restorations, r.Actions)
				}
			})
		})
	}
}
