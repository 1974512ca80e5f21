package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

func withForeign(containers map[string]reconciletest.Container) *machine {
	m := newMachine()
	m.Containers = containers
	return m
}

// one is the usual case: the container x runs.
func one() map[string]reconciletest.Container {
	return map[string]reconciletest.Container{"c1": {Name: "x", Running: true}}
}

// running is the container x as it was found.
var running = reconciletest.Container{Name: "x", Running: true}

func (m *machine) doings() []string {
	var list []string
	for _, text := range m.Did() {
		if !strings.HasPrefix(text, "remember") {
			list = append(list, text)
		}
	}
	return list
}

// TestAdopt: the container stops before the unit starts, and is removed only after the app was
// verified to serve.
func TestAdopt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		m.Rewrites = 1
		r := m.run(t, app("x", "1"), app("y", "1"))
		equal(t, "results", []string{"x done", "y done"}, results(r))
		equal(t, "notes", []string{"keeps data"}, r.Results[0].Notes)
		equal(t, "of x", []string{
			"park x", "write app@x.container 1", "write app@y.container 1", "reload",
			"start app@x.service 1", "remove x",
		}, without(m.doings(), "start app@y.service 1"))
		if len(m.Containers)+len(m.Adopted) > 0 {
			t.Errorf("not removed: %v, %v", m.Containers, m.Adopted)
		}
		m.Effects, m.Looks = nil, 0
		m.run(t, app("x", "1"), app("y", "1"))
		if m.Looks > 0 || len(m.Did()) > 0 {
			t.Errorf("the second pass looked %d times and did %v", m.Looks, m.Did())
		}
	})
}

func without(list []string, word string) []string {
	var rest []string
	for _, text := range list {
		if text != word {
			rest = append(rest, text)
		}
	}
	return rest
}

// TestAdoptionIsReverted: an app that does not serve leaves no unit, and the container is restored
// until an operator requests the app or the manifest changes.
func TestAdoptionIsReverted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		equal(t, "results", []string{
			"x not-serving: app@x.service runs and does not serve: connection refused; restarted the container x; archgen adopt x tries again",
		}, results(m.run(t, app("x", "1-silent"))))
		equal(t, "log", []string{
			"park x", "write app@x.container 1-silent", "reload", "start app@x.service 1-silent",
			"stop app@x.service", "reset-failed app@x.service", "remove app@x.container", "reload", "unpark x",
		}, m.doings())
		m.isGivenBack(t)
		m.Effects = nil
		equal(t, "next pass", []string{"adoption-reverted"}, reasons(m.run(t, app("x", "1-silent"))))
		equal(t, "next log", nil, m.Did())
		asked := app("x", "1-silent")
		asked.Request = units.Start
		m.run(t, asked)
		if m.Starts("app@x.service") != 2 {
			t.Error("it was not tried again, although an operator requested it")
		}
		m.isGivenBack(t)
		m.run(t)
		if len(m.Adopted) > 0 {
			t.Errorf("the adoptions of a removed app are %v", m.Adopted)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		m.run(t, app("x", "1-silent"))
		equal(t, "another manifest", []string{"x done"}, results(m.run(t, app("x", "2"))))
	})
}

func (m *machine) isGivenBack(t *testing.T) {
	t.Helper()
	if c := m.Containers["c1"]; c != running {
		t.Errorf("the container is %+v", c)
	}
	if left, _ := m.Read(); len(left) > 0 || m.mainOf("x").Active == units.Active {
		t.Errorf("the app still has %v, %v", left, m.mainOf("x"))
	}
}

// TestAStoppedContainerStaysStopped if the app does not serve.
func TestAStoppedContainerStaysStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(map[string]reconciletest.Container{"c1": {Name: "x", Running: false}})
		r := m.run(t, app("x", "1-fails"))
		if c := m.Containers["c1"]; c != (reconciletest.Container{Name: "x", Running: false}) {
			t.Errorf("the container is %+v", c)
		}
		if !strings.Contains(r.Results[0].Error, "restored the container x") {
			t.Error(r.Results[0].Error)
		}
	})
}

// TestAFailedAdoptionLeavesTheContainerRunning: a container that can't be adopted keeps running.
func TestAFailedAdoptionLeavesTheContainerRunning(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*reconciletest.Machine)
		want    string
	}{
		"its data would be lost": {
			func(m *reconciletest.Machine) { m.Refuses = errors.New("no volume for /data") },
			"x failed: no volume for /data",
		},
		"the image is unavailable": {
			func(m *reconciletest.Machine) { m.Lacks["x"] = errNoRoute },
			"x failed: left unchanged: an image or a secret is unavailable: no route to registry",
		},
		"it does not stop": {
			func(m *reconciletest.Machine) { m.Unstoppable = true },
			"x failed: it does not stop; restarted the container x; archgen adopt x tries again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := withForeign(one())
				tt.prepare(m.Machine)
				equal(t, "results", []string{tt.want, "y done"}, results(m.run(t, app("x", "1"), app("y", "1"))))
				if m.Containers["c1"] != running || m.Starts("app@x.service") > 0 {
					t.Errorf("the container is %+v after %v", m.Containers["c1"], m.Did())
				}
			})
		})
	}
}

// TestUnwritableUnitsRevertTheAdoption: if the units can't be written, the container is restored at once.
func TestUnwritableUnitsRevertTheAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		r := m.run(t, app("x", "1-refused"))
		equal(t, "notes", []string{
			"keeps data",
			"its unit files could not be written; restarted the container x; archgen adopt x tries again",
		}, r.Results[0].Notes)
		m.isGivenBack(t)
	})
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		m.Before = failing("sync", errors.New("no space left on device"))
		_, err := reconcile.Run(t.Context(), all(app("x", "1")), m.Host())
		if err == nil || m.Containers["c1"] != running {
			t.Errorf("error %v; the container is %+v", err, m.Containers["c1"])
		}
	})
}

// TestDiskFullAfterTheContainerStopped: it still restarts.
func TestDiskFullAfterTheContainerStopped(t *testing.T) {
	for saves := range 4 {
		synctest.Test(t, func(t *testing.T) {
			m, left := withForeign(one()), saves
			m.Before = func(verb, _ string) error {
				if verb != "save" && verb != "remember" {
					return nil
				}
				if left--; left < 0 {
					return errors.New("no space left on device")
				}
				return nil
			}
			_, err := reconcile.Run(t.Context(), all(app("x", "1")), m.Host())
			isServed := m.mainOf("x").Active == units.Active
			if isServed == m.Containers["c1"].Running {
				t.Errorf("full after %d writes: error %v, container %+v, app %+v", saves, err, m.Containers["c1"], m.mainOf("x"))
			}
		})
	}
}

// TestContainersStopBeforeAnythingStarts: the start of knots also starts lnd, and Podman would
// remove the foreign container without a stop timeout.
func TestContainersStopBeforeAnythingStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(map[string]reconciletest.Container{"c1": {Name: "knots", Running: true}, "c2": {Name: "lnd", Running: true}})
		m.run(t, app("knots", "1"), app("lnd", "1", "knots"))
		var firstStart, lastStop int
		for i, text := range m.Did() {
			switch {
			case strings.HasPrefix(text, "park"):
				lastStop = i
			case strings.HasPrefix(text, "write") && firstStart == 0:
				firstStart = i
			}
		}
		if lastStop == 0 || firstStart < lastStop {
			t.Errorf("the order was %v", m.Did())
		}
	})
}

// TestWithoutPodman no foreign container is adopted, and none is removed.
func TestWithoutPodman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, looks := newMachine(), 0
		run := func() reconcile.Report {
			host := m.Host()
			host.Foreign = reconcile.RefuseForeign(func() ([]string, error) { looks++; return []string{"x"}, nil })
			r, err := reconcile.Run(t.Context(), all(app("x", "1"), app("y", "1")), host)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		equal(t, "results", []string{"x failed: archgen did not create the container x; run archgen adopt x to adopt it", "y done"}, results(run()))
		equal(t, "log", []string{"write app@y.container 1", "reload", "start app@y.service 1"}, m.doings())
		m.run(t, app("x", "1"), app("y", "1")) // of a host that does not look for them
		looks = 0
		if run(); looks > 0 {
			t.Error("it looks for containers although nothing starts")
		}
	})
}

// TestOnePartOnly: a part is not adopted while other parts of the app run.
func TestOnePartOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(map[string]reconciletest.Container{"c2": {Name: "x.db", Running: true}})
		m.Containers = map[string]reconciletest.Container{}
		m.run(t, app("x", "1"))
		m.Containers["c2"] = reconciletest.Container{Name: "x.db", Running: true}
		two := app("x", "2")
		two.Files = append(two.Files, units.File{Name: "app@x.db.container", App: "x", Digest: "2", Content: []byte("2")})
		two.Parts = append(two.Parts, units.Part{Service: "app@x.db.service", File: "app@x.db.container", Digest: "2"})
		equal(t, "results", []string{
			"x failed: archgen did not create the container x.db, and other parts of x run; run archgen stop x, then archgen adopt x",
		}, results(m.run(t, two)))
		if u := m.Unit("app@x.service"); u.Digest != "1" {
			t.Errorf("the app is %+v, want untouched", u)
		}
	})
}

// TestSlowAdoption: while an app starts slowly, the container stays parked, and a later pass
// finishes the adoption.
func TestSlowAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		equal(t, "results", []string{"x starting: it is not up after 10m0s; it continues to start"}, results(m.run(t, app("x", "1-slow"))))
		if c := m.Containers["c1"]; c != (reconciletest.Container{Name: "x.legacy", Running: false}) {
			t.Errorf("the container is %+v", c)
		}
		m.Put("app@x.service", units.Unit{Active: units.Active, Digest: "1-slow", Invocation: "1"})
		equal(t, "results", []string{"x done"}, results(m.run(t, app("x", "1-slow"))))
		if len(m.Containers) > 0 {
			t.Errorf("not removed: %v", m.Containers)
		}
	})
}

// TestCanceledAdoption: if the pass is canceled, the container restarts.
func TestCanceledAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := reconcile.Run(ctx, all(app("x", "1-slow")), m.Host())
		if err != nil || r.Results[0].Outcome != reconcile.NotServing {
			t.Errorf("%v, %v", results(r), err)
		}
		m.isGivenBack(t)
	})
}

// TestSlowAdoptionThatFails is reverted like any other, and does not roll back to what the app was
// before the container.
func TestSlowAdoptionThatFails(t *testing.T) {
	for name, end := range map[string]units.Unit{
		"for good": {Active: units.Failed}, "and is restarted repeatedly": {Active: units.Activating, Restarting: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := withForeign(map[string]reconciletest.Container{})
				m.run(t, app("x", "0"))
				stopped := app("x", "0")
				stopped.Request = units.Stop
				m.run(t, stopped)
				m.Containers["c1"] = reconciletest.Container{Name: "x", Running: true}
				asked := app("x", "1-slow")
				asked.Request = units.Start
				m.run(t, asked)
				end.Invocation = m.Unit("app@x.service").Invocation
				m.Put("app@x.service", end)
				if end.Restarting { // healthd can't revert it and leaves it to archgen
					host := m.Host()
					host.Foreign, m.Effects = nil, nil
					_, err := reconcile.Run(t.Context(), all(app("x", "1-slow")), host)
					if err != nil || len(m.Did()) > 0 {
						t.Errorf("%v, did %v", err, m.Did())
					}
				}
				want := "x not-serving: app@x.service was started and has failed; restarted the container x"
				if r := m.run(t, app("x", "1-slow")); !strings.HasPrefix(results(r)[0], want) {
					t.Errorf("%v, want %s…", results(r), want)
				}
				m.isGivenBack(t)
			})
		})
	}
}

// TestKilledAdoption: after a kill at any moment, the next pass ends with either the app serving
// or the container running, never with both or none.
func TestKilledAdoption(t *testing.T) {
	for _, version := range []string{"1", "1-silent", "1-fails"} {
		t.Run(version, func(t *testing.T) {
			moments := 0
			for isKilled := true; isKilled; moments++ {
				synctest.Test(t, func(t *testing.T) {
					m := withForeign(one())
					m.KillAfter(moments)
					_, _ = reconcile.Run(t.Context(), all(app("x", version)), m.Host())
					isKilled = m.Revive()
					m.resumed(t, moments, version)
				})
			}
			if moments < 8 {
				t.Fatalf("only %d moments", moments)
			}
		})
	}
}

// TestKilledAdoptionOfADisabledApp: an app that is disabled after a kill at any moment is not started.
// Its container runs again, unless the app serves.
func TestKilledAdoptionOfADisabledApp(t *testing.T) {
	disabled := app("x", "1")
	disabled.Enabled = false
	restored := false
	moments := 0
	for isKilled := true; isKilled; moments++ {
		synctest.Test(t, func(t *testing.T) {
			m := withForeign(one())
			m.KillAfter(moments)
			_, _ = reconcile.Run(t.Context(), all(app("x", "1")), m.Host())
			isKilled = m.Revive()
			starts := m.Starts("app@x.service")
			m.run(t, disabled)
			c, exists := m.Containers["c1"]
			isUp := m.mainOf("x").Active == units.Active
			if isUp == (exists && c == running) || !isUp && c.Name != "x" || len(m.Adopted) > 0 {
				t.Errorf("killed at %d: the app is %+v, the container %+v, the adoptions %v\n%s", moments, m.mainOf("x"), c, m.Adopted, strings.Join(m.Did(), "\n"))
			}
			if !isUp && m.Starts("app@x.service") > starts {
				t.Errorf("killed at %d: it was started", moments)
			}
			restored = restored || strings.Contains(strings.Join(m.Did(), "\n"), "unpark x")
			m.Effects = nil
			m.run(t, disabled)
			equal(t, "next pass", nil, m.Did())
		})
	}
	if moments < 6 || !restored {
		t.Errorf("%d moments, and the container was restored: %v", moments, restored)
	}
}

func (m *machine) resumed(t *testing.T, moment int, version string) {
	t.Helper()
	for range 3 { // a failed service may be backing off
		m.run(t, app("x", version))
	}
	isUp := m.mainOf("x").Active == units.Active
	c, exists := m.Containers["c1"]
	files, _ := m.Read()
	switch {
	case version == "1" && (!isUp || exists && c.Name == "x"):
		t.Errorf("killed at %d: the app is %+v, the container %+v\n%s", moment, m.mainOf("x"), c, strings.Join(m.Did(), "\n"))
	case version != "1" && (isUp || c != running || len(files) > 0):
		t.Errorf("killed at %d: the app is %+v, the container %+v, the files %v\n%s", moment, m.mainOf("x"), c, files, strings.Join(m.Did(), "\n"))
	}
	if len(m.Adopted["x"].Containers) > 0 {
		t.Errorf("killed at %d: the adoptions are still %v", moment, m.Adopted)
	}
}
