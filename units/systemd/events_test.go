package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// next returns the next event; there must be one.
func next(t *testing.T, events <-chan systemd.Event) systemd.Event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the events ended")
		}
		return e
	case <-time.After(long):
		t.Fatal("no event came")
	}
	return systemd.Event{}
}

func expect(t *testing.T, events <-chan systemd.Event, want ...systemd.Event) {
	t.Helper()
	for _, e := range want {
		if got := next(t, events); got != e {
			t.Errorf("event %+v, want %+v", got, e)
		}
	}
}

var resync = systemd.Event{Kind: systemd.Resync}

func TestEventsOfUnitsAndJobs(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			events := m.Events(t.Context())
			expect(t, events, resync)
			fake.Set(systemd.Unit{Name: app})
			expect(t, events, systemd.Event{Kind: systemd.UnitChanged, Unit: app})
			if _, err := m.Start(t.Context(), app, systemd.Replace); err != nil {
				t.Fatal(err)
			}
			expect(t, events, systemd.Event{Kind: systemd.UnitChanged, Unit: app}, systemd.Event{Kind: systemd.JobRemoved, Unit: app})
			fake.Remove(app)
			expect(t, events, systemd.Event{Kind: systemd.UnitRemoved, Unit: app})
		})
	}
}

// A reload sends signals about every unit twice, which are not reported.
func TestEventsOfAReloadAreTwo(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			events := m.Events(t.Context())
			expect(t, events, resync)
			fake.OnReload(func() {
				for i := range 100 {
					fake.Set(systemd.Unit{Name: fmt.Sprintf("app@%d.service", i)})
				}
			})
			if err := m.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect(t, events, systemd.Event{Kind: systemd.Reloading}, systemd.Event{Kind: systemd.Reloaded})
			fake.Set(systemd.Unit{Name: app})
			expect(t, events, systemd.Event{Kind: systemd.UnitChanged, Unit: app})
		})
	}
}

// signal is a signal of systemd about a unit.
func signal(member, unit string) *dbus.Signal {
	path := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sdbus.PathBusEscape(unit))
	if member == "PropertiesChanged" {
		return &dbus.Signal{Path: path, Name: "org.freedesktop.DBus.Properties.PropertiesChanged"}
	}
	return &dbus.Signal{Path: "/org/freedesktop/systemd1", Name: "org.freedesktop.systemd1.Manager." + member, Body: []any{unit, path}}
}

// reloading is the signal that a reload begins or ends.
func reloading(begins bool) *dbus.Signal {
	return &dbus.Signal{Path: "/org/freedesktop/systemd1", Name: "org.freedesktop.systemd1.Manager.Reloading", Body: []any{begins}}
}

// told returns the events that a reader gets who starts to read after all signals.
func told(t *testing.T, send func(chan<- *dbus.Signal)) []systemd.Event {
	t.Helper()
	signals, events := make(chan *dbus.Signal), make(chan systemd.Event)
	go func() {
		systemd.Forward(t.Context(), signals, events)
		close(events)
	}()
	send(signals)
	var list []systemd.Event
	for {
		synctest.Wait()
		select {
		case e := <-events:
			list = append(list, e)
		default:
			close(signals)
			<-events
			return list
		}
	}
}

func TestEqualEventsAreSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := told(t, func(signals chan<- *dbus.Signal) {
			for range 1000 {
				signals <- signal("PropertiesChanged", "a.service")
				signals <- signal("UnitNew", "b.service")
				signals <- signal("PropertiesChanged", "b.service")
			}
		})
		want := []systemd.Event{
			resync,
			{Kind: systemd.UnitChanged, Unit: "a.service"},
			{Kind: systemd.UnitNew, Unit: "b.service"},
			{Kind: systemd.UnitChanged, Unit: "b.service"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestTooManyEventsAreOneResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := told(t, func(signals chan<- *dbus.Signal) {
			for i := range systemd.MaxQueued {
				signals <- signal("UnitNew", fmt.Sprintf("app@%d.service", i))
			}
			signals <- signal("UnitNew", app)
		})
		if diff := cmp.Diff([]systemd.Event{resync, {Kind: systemd.UnitNew, Unit: app}}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestAReloadThatNeverEndsSuppressesEventsOnlyForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := told(t, func(signals chan<- *dbus.Signal) {
			signals <- reloading(true)
			signals <- signal("PropertiesChanged", "a.service")
			<-time.After(3 * time.Minute)
			signals <- signal("PropertiesChanged", "b.service")
			signals <- signal("PropertiesChanged", "c.service")
		})
		if diff := cmp.Diff([]systemd.Event{resync, {Kind: systemd.UnitChanged, Unit: "c.service"}}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// The content of a signal is not trusted.
func TestInvalidSignalsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := told(t, func(signals chan<- *dbus.Signal) {
			for _, member := range []string{"UnitNew", "UnitRemoved", "JobRemoved", "JobNew", "UnitFilesChanged"} {
				signals <- &dbus.Signal{Path: "/org/freedesktop/systemd1", Name: "org.freedesktop.systemd1.Manager." + member}
				signals <- &dbus.Signal{Path: "/org/freedesktop/systemd1", Name: "org.freedesktop.systemd1.Manager." + member, Body: []any{1, 2, 3, 4}}
			}
			signals <- &dbus.Signal{Path: "/", Name: "org.freedesktop.DBus.Properties.PropertiesChanged"}
		})
		if diff := cmp.Diff([]systemd.Event{resync}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestASlowReaderDelaysNoCall(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	m.Events(t.Context())
	fake.Signals(app, 300)
	if result, err := m.Start(within(t, long), app, systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("start while no reader takes events: %q, %v", result, err)
	}
}

func TestEventsContinueAfterALostConnection(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			events := m.Events(t.Context())
			expect(t, events, resync)
			fake.Drop()
			expect(t, events, resync)
			fake.Stop()
			fake.Start()
			expect(t, events, resync)
			fake.Set(systemd.Unit{Name: app})
			expect(t, events, systemd.Event{Kind: systemd.UnitChanged, Unit: app})
		})
	}
}

// Another manager on the bus does not have the subscription.
func TestEventsContinueWithANewManagerOnTheBus(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.ConnectBus()
	events := m.Events(t.Context())
	expect(t, events, resync)
	fake.ChangeOwner()
	expect(t, events, resync)
	fake.Set(systemd.Unit{Name: app})
	expect(t, events, systemd.Event{Kind: systemd.UnitChanged, Unit: app})
}

func TestEventsEndWithTheirContext(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	for name, before := range map[string]func(){"connected": func() {}, "manager gone": fake.Stop} {
		ctx, cancel := context.WithCancel(t.Context())
		events := m.Events(ctx)
		before()
		cancel()
		ended := make(chan struct{})
		go func() {
			for range events {
				continue // only the end matters, not the remaining events
			}
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(long):
			t.Errorf("%s: the events never ended", name)
		}
	}
}

// Subscribing may fail for a while, like everything else.
func TestEventsTryUntilTheyAreSubscribed(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Fail("Subscribe", errors.New("not now"))
	events := m.Events(t.Context())
	select {
	case e := <-events:
		t.Fatalf("event %+v with no subscription", e)
	case <-time.After(soon):
	}
	fake.Fail("Subscribe", nil)
	expect(t, events, resync)
}

func TestUnitNamesAreReadFromObjectPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zA-Z0-9:_.\\@-]{1,60}`).Draw(t, "name")
		path := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sdbus.PathBusEscape(name))
		if got, ok := systemd.UnitName(path); !ok || cmp.Diff(name, got) != "" {
			t.Errorf("%q became %q, %v", name, got, ok)
		}
	})
	for _, path := range []dbus.ObjectPath{"/org/freedesktop/systemd1", "/org/freedesktop/systemd1/job/1", "/org/freedesktop/systemd1/unit/a_zzb"} {
		if name, ok := systemd.UnitName(path); ok {
			t.Errorf("%q is the unit %q", path, name)
		}
	}
}
