package main

import (
	"testing"

	"github.com/archipelago-os/archipelago/units/systemd"
)

// TestOfService: what changes of an app is about that app, and what systemd loads and
// forgets because somebody looked at it is about nobody, or each pass led to another.
func TestOfService(t *testing.T) {
	for _, c := range []struct {
		event systemd.Event
		app   string
		tells bool
	}{
		{systemd.Event{Kind: systemd.Resync}, "", true},
		{systemd.Event{Kind: systemd.Reloaded}, "", true},
		{systemd.Event{Kind: systemd.Reloading}, "", false},
		{systemd.Event{Kind: systemd.UnitChanged, Unit: "app@web.db.service"}, "web", true},
		{systemd.Event{Kind: systemd.JobRemoved, Unit: "archipelago-pull@web.service"}, "web", true},
		{systemd.Event{Kind: systemd.UnitChanged, Unit: "dbus.service"}, "", false},
		{systemd.Event{Kind: systemd.UnitNew, Unit: "app@web.service"}, "", false},
		{systemd.Event{Kind: systemd.UnitRemoved, Unit: "app@web.service"}, "", false},
	} {
		if hint, tells := ofService(c.event); hint.App != c.app || tells != c.tells {
			t.Errorf("%+v: %+v, %v", c.event, hint, tells)
		}
	}
}
