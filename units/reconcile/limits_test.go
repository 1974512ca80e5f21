package reconcile_test

import (
	"testing"
	"testing/synctest"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// The host hears of the apps that a pass starts, before it starts them. A pass that starts
// nothing, or restarts only what is up, says nothing.
func TestStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		host := m.host()
		host.Starts = func(apps []units.App, _ map[string]units.Unit) {
			for _, a := range apps {
				m.log = append(m.log, "starts "+a.ID)
			}
		}
		run := func(apps ...units.App) {
			m.log = nil
			if _, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return units.Desired{Apps: apps, Complete: true}, nil }, host); err != nil {
				t.Error(err)
			}
		}
		run(app("knots", "1"))
		equal(t, "first", []string{"starts knots", "write app@knots.container 1", "reload", "start app@knots.service 1"}, m.log)
		run(app("knots", "1"))
		equal(t, "idle", nil, m.log)
		run(app("knots", "2"))
		equal(t, "restart", []string{"write app@knots.container 2", "reload", "start app@knots.service 2"}, m.log)
	})
}
