package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// TestRestoreNeedsNoImage: what runs as it should has its image, so a lost file
// comes back at once, and also where no registry answers.
func TestRestoreNeedsNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		delete(m.files, "app@x.container")
		m.noImage["x"] = true
		m.log = nil
		r := m.run(t, app("x", "1"))
		if failed, _ := r.Count(); failed > 0 {
			t.Errorf("it failed: %+v", r.Results)
		}
		equal(t, "log", []string{"write app@x.container 1", "reload"}, m.log)
	})
}

// busy is a systemd of which each look is noted.
type busy struct{ *machine }

func (b busy) Observe(ctx context.Context, names []string, others bool) (map[string]units.Unit, error) {
	b.note("observe")
	return b.machine.Observe(ctx, names, others)
}

// TestRestoreFirst: a lost file of an app that was seen running with it is there
// again before systemd is asked, and the pass tells of it as of any other. Of other
// apps nobody knows yet whether they are new.
func TestRestoreFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		ran  func(units.App) bool
		fail error
		want []string
	}{
		{name: "seen running", ran: func(units.App) bool { return true }, want: []string{"write app@x.container 1", "observe", "reload", "observe"}},
		{name: "unknown", ran: func(units.App) bool { return false }, want: []string{"observe", "write app@x.container 1", "reload", "observe"}},
		{name: "nobody knows", want: []string{"observe", "write app@x.container 1", "reload", "observe"}},
		{name: "no space", ran: func(units.App) bool { return true }, fail: errors.New("no space left"), want: []string{"observe"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				delete(m.files, "app@x.container")
				m.log, m.syncFail = nil, c.fail
				host := m.host()
				host.Services, host.Ran = busy{m}, c.ran
				want := units.Desired{Apps: []units.App{app("x", "1")}, Whole: true}
				r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, host)
				equal(t, "log", c.want, m.log)
				if !errors.Is(err, c.fail) {
					t.Errorf("error %v, want %v", err, c.fail)
				}
				actions := []units.Action{
					{App: "x", Kind: units.Write, Target: "app@x.container", Reason: units.BecauseMissing},
					{Kind: units.Reload, Reason: units.BecauseMissing},
				}
				if d := cmp.Diff(actions, r.Actions); c.fail == nil && d != "" {
					t.Errorf("actions (-want +got):\n%s", d)
				}
			})
		})
	}
}
