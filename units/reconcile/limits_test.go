package reconcile_test

import (
	"testing"
	"testing/synctest"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// The host hears of the apps that a pass starts, before it starts them. A pass that starts
// nothing, or restarts only what is up, says nothing.
func TestStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		host := m.Host()
		host.Starts = func(apps []units.App, _ map[string]units.Unit) {
			for _, a := range apps {
				m.Effects = append(m.Effects, reconciletest.Effect{Verb: "starts", Target: a.ID})
			}
		}
		run := func(apps ...units.App) {
			m.Effects = nil
			if _, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return units.Desired{Apps: apps, Complete: true}, nil }, host); err != nil {
				t.Error(err)
			}
		}
		run(app("knots", "1"))
		equal(t, "first", []string{"starts knots", "write app@knots.container 1", "reload", "start app@knots.service 1"}, m.Did())
		run(app("knots", "1"))
		equal(t, "idle", nil, m.Did())
		run(app("knots", "2"))
		equal(t, "restart", []string{"write app@knots.container 2", "reload", "restart app@knots.service 2"}, m.Did())
	})
}

// The room of limits is read only where a service failed on one, and leads to a restart.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		knots, lnd := app("knots", "1"), app("lnd", "1")
		m.run(t, knots, lnd)
		host, reads, room := m.Host(), 0, 0
		host.Limit = func(service string, _ units.Unit) units.Limit {
			if service == "app@knots.service" {
				return units.LimitKeys
			}
			return ""
		}
		host.Room = func() map[units.Limit]int { reads++; return map[units.Limit]int{units.LimitKeys: room} }
		run := func() (reasons []string) {
			r, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
				return units.Desired{Apps: []units.App{knots, lnd}, Complete: true}, nil
			}, host)
			for _, a := range r.Actions {
				reasons = append(reasons, string(a.Reason))
			}
			if err != nil {
				t.Error(err)
			}
			return reasons
		}
		equal(t, "all up", nil, run())
		if reads > 0 {
			t.Errorf("the room was read %d times for no limit", reads)
		}
		m.Set("app@knots.service", func(u *units.Unit) { u.Active, u.Restarting = units.Activating, true })
		equal(t, "at the limit", []string{"limit-reached"}, run())
		room = 1
		equal(t, "raised", []string{"limit-raised", "limit-raised"}, run())
	})
}
