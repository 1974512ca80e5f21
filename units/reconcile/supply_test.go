package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// TestRestoreOfAStoppedAppNeedsNoImage: a stopped app has lost its files, and no registry answers. It
// ran with its image.
func TestRestoreOfAStoppedAppNeedsNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		m.Delete("app@x.container")
		m.StopByHand("app@x.service")
		m.Load()
		m.Lacks["x"], m.Effects = errNoRoute, nil
		m.run(t, app("x", "1"))
		equal(t, "log", []string{"write app@x.container 1", "reload"}, m.Did())
	})
}

// TestMootPull: a failed pull is reset in a pass over its app alone, too. When the pull unit of a
// removed app ends, the pass reports nothing else.
func TestMootPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("web", "1"), app("other", "1"))
		m.Effects = nil
		for _, id := range []string{"web", "other"} {
			m.Put(units.PullOf(id), units.Unit{Loaded: true, Active: units.Failed})
		}
		_, err := reconcile.Run(t.Context(), some(app("web", "1")), m.Host())
		equal(t, "log", []string{"reset-failed archipelago-pull@web.service"}, m.Did())
		if err != nil {
			t.Error(err)
		}
	})
}

// TestStopWaitsForNoImage: an app whose manifest names an unavailable image stops with the files
// that it runs with; one that never ran causes no error.
func TestStopWaitsForNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("web", "1"))
		m.Effects = nil
		m.Lacks["web"], m.Lacks["new"] = errNoRoute, errNoRoute
		changed, added := app("web", "2"), app("new", "1")
		changed.Request, added.Request = units.Stop, units.Stop
		r, err := reconcile.Run(t.Context(), some(added, changed), m.Host())
		equal(t, "log", []string{"stop app@web.service"}, m.Did())
		equal(t, "results", []string{"new unchanged", "web done"}, results(r))
		if err != nil {
			t.Error(err)
		}
	})
}

// TestSlowImages: an app whose images are being pulled keeps running as it is, and delays no
// repair of other apps; it is changed once the images are available.
func TestSlowImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("slow", "1"), app("web", "1"))
		m.Delete("app@web.container")
		m.Effects = nil
		var came bool
		host := m.Host()
		host.Supply = func(_ context.Context, a units.App, _ units.Prerequisites) error {
			if a.ID == "slow" && !came {
				return units.ErrPending
			}
			return nil
		}
		desired := all(app("slow", "2"), app("web", "1"))
		r, err := reconcile.Run(t.Context(), desired, host)
		equal(t, "results", []string{"slow starting: " + units.ErrPending.Error(), "web unchanged"}, results(r))
		if !slices.Contains(r.Actions, units.Action{App: "slow", Kind: units.Leave, Reason: units.ReasonPulling}) {
			t.Errorf("nothing says that the app waits: %v", r.Actions)
		}
		equal(t, "log", []string{"write app@web.container 1", "reload"}, m.Did())
		came, m.Effects = true, nil
		if _, again := reconcile.Run(t.Context(), desired, host); err != nil || again != nil {
			t.Error(err, again)
		}
		equal(t, "log", []string{"write app@slow.container 2", "reload", "restart app@slow.service 2"}, m.Did())
	})
}

// TestEditWhileImagesCome: the manifest changes while images are pulled. The pull may be for the
// new manifest, so nothing changes for the old one.
func TestEditWhileImagesCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("web", "1"))
		m.Effects = nil
		version := "2"
		host := m.Host()
		host.Supply = func(context.Context, units.App, units.Prerequisites) error {
			version = "1"
			return nil
		}
		r, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
			return units.Desired{Apps: []units.App{app("web", version)}, Complete: true}, nil
		}, host)
		equal(t, "log", nil, m.Did())
		if err != nil || r.Results[0].Outcome != reconcile.Starting || r.Due.IsZero() {
			t.Errorf("%v, %+v, due %v", err, r.Results, r.Due)
		}
	})
}

// TestAcquisitionEnds: a pass waits for prerequisites no longer than for one app that starts; the next
// pass acquires the rest at once.
func TestAcquisitionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		host := m.Host()
		host.WaitTimeout = 10 * time.Second
		var asked atomic.Int32
		host.Supply = func(context.Context, units.App, units.Prerequisites) error {
			asked.Add(1)
			time.Sleep(6 * time.Second)
			return units.ErrPending
		}
		apps := make([]units.App, 0, 50)
		for i := range cap(apps) {
			apps = append(apps, app(fmt.Sprint("a", i), "1"))
		}
		began := time.Now()
		r, err := reconcile.Run(t.Context(), all(apps...), host)
		if took := time.Since(began); err != nil || took > 20*time.Second || asked.Load() > 12 || r.Due.After(time.Now()) || r.Due.IsZero() {
			t.Errorf("%v, %v, asked %d times, due %v", err, took, asked.Load(), r.Due)
		}
	})
}

// TestObjectsBeforeStarts: the networks and volumes of the apps that a pass starts exist before it
// starts any, and a pass that starts none creates none.
func TestObjectsBeforeStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.Lacks["out"] = errNoRoute
		host := m.Host()
		host.Create = func(_ context.Context, apps []units.App) {
			for _, a := range apps {
				<-time.After(time.Minute)
				m.Change(func() { m.Effects = append(m.Effects, reconciletest.Effect{Verb: "create", Target: a.ID}) })
			}
		}
		pass := func(apps ...units.App) {
			m.Effects = nil
			_, _ = reconcile.Run(t.Context(), all(apps...), host)
		}
		pass(app("a", "1"), app("b", "1", "a"), app("out", "1"))
		equal(t, "log", []string{
			"write app@a.container 1", "write app@b.container 1", "reload", "create a", "create b", "start app@a.service 1", "start app@b.service 1",
		}, m.Did())
		pass(app("a", "1"), app("b", "2", "a"), app("out", "1"))
		equal(t, "log of a restart", []string{"write app@b.container 2", "reload", "restart app@b.service 2"}, m.Did())
	})
}
