package reconcile_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// foreign is the foreign containers of a simulated machine.
type foreign struct {
	m          *machine
	containers map[string]container // by id
	kept       units.Adoptions
	looks      int
	// rewrites is how many calls of Find change manifests, refuses why it can't adopt.
	rewrites int
	refuses  error
	stuck    bool // nothing can be stopped
	photos   []*machine
}

type container struct {
	name    string
	running bool
}

func withForeign(containers map[string]container) *machine {
	m := newMachine()
	m.foreign = &foreign{m: m, containers: containers}
	return m
}

// one is the usual case: the container x runs.
func one() map[string]container { return map[string]container{"c1": {"x", true}} }

func (f *foreign) Adopts() bool { return true }

func (f *foreign) Find(_ context.Context, apps []units.App) (map[string]units.Foreign, bool, error) {
	f.looks++
	found := map[string]units.Foreign{}
	for _, a := range apps {
		for id, c := range f.containers {
			if app, _, _ := strings.Cut(c.name, "."); app == a.ID && !strings.HasSuffix(c.name, ".legacy") {
				in := found[a.ID]
				in.Containers = append(in.Containers, units.ForeignContainer{ID: id, Name: c.name, Ran: c.running})
				in.Notes, in.Err = []string{"keeps data"}, f.refuses
				found[a.ID] = in
			}
		}
	}
	changed := f.rewrites > 0 && len(found) > 0
	if changed {
		f.rewrites--
	}
	return found, changed, nil
}

func (f *foreign) Park(_ context.Context, _ units.App, c units.ForeignContainer) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.note("park " + c.Name)
	if f.stuck {
		return errors.New("it does not stop")
	}
	if _, there := f.containers[c.ID]; there {
		f.containers[c.ID] = container{c.Name, false}
		f.photograph()
		f.containers[c.ID] = container{c.Name + ".legacy", false}
		f.photograph()
	}
	return nil
}

func (f *foreign) Unpark(_ context.Context, c units.ForeignContainer) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.note("unpark " + c.Name)
	if _, there := f.containers[c.ID]; !there {
		return errors.New("it was removed")
	}
	f.containers[c.ID] = container{c.Name, false}
	f.photograph()
	f.containers[c.ID] = container{c.Name, c.Ran}
	f.photograph()
	return nil
}

func (f *foreign) Remove(_ context.Context, c units.ForeignContainer) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.note("remove " + c.Name)
	delete(f.containers, c.ID)
	return nil
}

func (f *foreign) adoptions() units.Adoptions {
	if f == nil || f.kept == nil {
		return units.Adoptions{}
	}
	return maps.Clone(f.kept)
}

// photograph keeps the machine as it would be if the pass was killed now.
func (f *foreign) photograph() {
	if f == nil {
		return
	}
	n := newMachine()
	n.files, n.loaded, n.units, n.starts = maps.Clone(f.m.files), maps.Clone(f.m.loaded), maps.Clone(f.m.units), maps.Clone(f.m.starts)
	n.history, n.commits = maps.Clone(f.m.history), append([]units.Set{}, f.m.commits...)
	n.foreign = &foreign{m: n, containers: maps.Clone(f.containers), kept: maps.Clone(f.kept)}
	f.photos = append(f.photos, n)
}

func (m *machine) doings() []string {
	var list []string
	for _, text := range m.log {
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
		m.foreign.rewrites = 1
		r := m.run(t, app("x", "1"), app("y", "1"))
		equal(t, "results", []string{"x done", "y done"}, results(r))
		equal(t, "notes", []string{"keeps data"}, r.Results[0].Notes)
		equal(t, "of x", []string{
			"park x", "write app@x.container 1", "write app@y.container 1", "reload",
			"start app@x.service 1", "remove x",
		}, without(m.doings(), "start app@y.service 1"))
		if len(m.foreign.containers)+len(m.foreign.kept) > 0 {
			t.Errorf("not removed: %v, %v", m.foreign.containers, m.foreign.kept)
		}
		m.log, m.foreign.looks = nil, 0
		m.run(t, app("x", "1"), app("y", "1"))
		if m.foreign.looks > 0 || len(m.log) > 0 {
			t.Errorf("the second pass looked %d times and did %v", m.foreign.looks, m.log)
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
		m.log = nil
		equal(t, "next pass", []string{"adoption-reverted"}, reasons(m.run(t, app("x", "1-silent"))))
		equal(t, "next log", nil, m.log)
		asked := app("x", "1-silent")
		asked.Request = units.Start
		m.run(t, asked)
		if m.starts["app@x.service"] != 2 {
			t.Error("it was not tried again, although an operator requested it")
		}
		m.isGivenBack(t)
		m.run(t)
		if len(m.foreign.kept) > 0 {
			t.Errorf("the adoptions of a removed app are %v", m.foreign.kept)
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
	if c := m.foreign.containers["c1"]; c != (container{"x", true}) {
		t.Errorf("the container is %+v", c)
	}
	if len(m.files) > 0 || m.units["app@x.service"].Active == units.Active {
		t.Errorf("the app still has %v, %v", m.files, m.units)
	}
}

// TestAStoppedContainerStaysStopped if the app does not serve.
func TestAStoppedContainerStaysStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(map[string]container{"c1": {"x", false}})
		r := m.run(t, app("x", "1-fails"))
		if c := m.foreign.containers["c1"]; c != (container{"x", false}) {
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
		prepare func(*machine)
		want    string
	}{
		"its data would be lost": {
			func(m *machine) { m.foreign.refuses = errors.New("no volume for /data") },
			"x failed: no volume for /data",
		},
		"the image is unavailable": {
			func(m *machine) { m.noImage["x"] = true },
			"x failed: left unchanged: an image or a secret is unavailable: no route to registry",
		},
		"it does not stop": {
			func(m *machine) { m.foreign.stuck = true },
			"x failed: it does not stop; restarted the container x; archgen adopt x tries again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := withForeign(one())
				tt.prepare(m)
				equal(t, "results", []string{tt.want, "y done"}, results(m.run(t, app("x", "1"), app("y", "1"))))
				if m.foreign.containers["c1"] != (container{"x", true}) || m.starts["app@x.service"] > 0 {
					t.Errorf("the container is %+v after %v", m.foreign.containers["c1"], m.log)
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
		m.syncFail = errors.New("no space left on device")
		_, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
			return units.Desired{Apps: []units.App{app("x", "1")}, Complete: true}, nil
		}, m.host())
		if err == nil || m.foreign.containers["c1"] != (container{"x", true}) {
			t.Errorf("error %v; the container is %+v", err, m.foreign.containers["c1"])
		}
	})
}

// TestDiskFullAfterTheContainerStopped: it still restarts.
func TestDiskFullAfterTheContainerStopped(t *testing.T) {
	for saves := range 4 {
		synctest.Test(t, func(t *testing.T) {
			m := withForeign(one())
			host := m.host()
			host.Store = &filling{m, saves}
			_, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
				return units.Desired{Apps: []units.App{app("x", "1")}, Complete: true}, nil
			}, host)
			isServed := m.units["app@x.service"].Active == units.Active
			if isServed == m.foreign.containers["c1"].running {
				t.Errorf("full after %d writes: error %v, container %+v, app %+v", saves, err, m.foreign.containers["c1"], m.units)
			}
		})
	}
}

// filling is a store on a disk that is full after a number of writes.
type filling struct {
	*machine
	left int
}

func (f *filling) SaveHistory(h units.History) error {
	if f.isFull() {
		return errors.New("no space left on device")
	}
	return f.machine.SaveHistory(h)
}

func (f *filling) SaveAdoptions(a units.Adoptions) error {
	if f.isFull() {
		return errors.New("no space left on device")
	}
	return f.machine.SaveAdoptions(a)
}

func (f *filling) isFull() bool {
	f.left--
	return f.left < 0
}

// TestContainersStopBeforeAnythingStarts: the start of knots also starts lnd, and Podman would
// remove the foreign container without a stop timeout.
func TestContainersStopBeforeAnythingStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(map[string]container{"c1": {"knots", true}, "c2": {"lnd", true}})
		m.run(t, app("knots", "1"), app("lnd", "1", "knots"))
		var firstStart, lastStop int
		for i, text := range m.log {
			switch {
			case strings.HasPrefix(text, "park"):
				lastStop = i
			case strings.HasPrefix(text, "write") && firstStart == 0:
				firstStart = i
			}
		}
		if lastStop == 0 || firstStart < lastStop {
			t.Errorf("the order was %v", m.log)
		}
	})
}

// TestWithoutPodman no foreign container is adopted, and none is removed.
func TestWithoutPodman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, looks := newMachine(), 0
		run := func() reconcile.Report {
			host := m.host()
			host.Foreign = reconcile.RefuseForeign(func() ([]string, error) { looks++; return []string{"x"}, nil })
			want := units.Desired{Apps: []units.App{app("x", "1"), app("y", "1")}, Complete: true}
			r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, host)
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
		m := withForeign(map[string]container{"c2": {"x.db", true}})
		m.foreign.containers = map[string]container{}
		m.run(t, app("x", "1"))
		m.foreign.containers["c2"] = container{"x.db", true}
		two := app("x", "2")
		two.Files = append(two.Files, units.File{Name: "app@x.db.container", App: "x", Digest: "2", Content: []byte("2")})
		two.Parts = append(two.Parts, units.Part{Service: "app@x.db.service", File: "app@x.db.container", Digest: "2"})
		equal(t, "results", []string{
			"x failed: archgen did not create the container x.db, and other parts of x run; run archgen stop x, then archgen adopt x",
		}, results(m.run(t, two)))
		if u := m.units["app@x.service"]; u.Digest != "1" {
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
		if c := m.foreign.containers["c1"]; c != (container{"x.legacy", false}) {
			t.Errorf("the container is %+v", c)
		}
		m.units["app@x.service"] = units.Unit{Active: units.Active, Digest: "1-slow", Invocation: "1"}
		m.loaded["app@x.service"] = "1" // starting it again takes no time
		equal(t, "results", []string{"x done"}, results(m.run(t, app("x", "1-slow"))))
		if len(m.foreign.containers) > 0 {
			t.Errorf("not removed: %v", m.foreign.containers)
		}
	})
}

// TestCanceledAdoption: if the pass is canceled, the container restarts.
func TestCanceledAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withForeign(one())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := reconcile.Run(ctx, func() (units.Desired, error) {
			return units.Desired{Apps: []units.App{app("x", "1-slow")}, Complete: true}, nil
		}, m.host())
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
				m := withForeign(map[string]container{})
				m.run(t, app("x", "0"))
				stopped := app("x", "0")
				stopped.Request = units.Stop
				m.run(t, stopped)
				m.foreign.containers["c1"] = container{"x", true}
				asked := app("x", "1-slow")
				asked.Request = units.Start
				m.run(t, asked)
				end.Invocation = m.units["app@x.service"].Invocation
				m.units["app@x.service"] = end
				if end.Restarting { // healthd can't revert it and leaves it to archgen
					host := m.host()
					host.Foreign, m.log = nil, nil
					_, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
						return units.Desired{Apps: []units.App{app("x", "1-slow")}, Complete: true}, nil
					}, host)
					if err != nil || len(m.log) > 0 {
						t.Errorf("%v, did %v", err, m.log)
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
			synctest.Test(t, func(t *testing.T) {
				m := withForeign(one())
				m.run(t, app("x", version))
				if len(m.foreign.photos) < 8 {
					t.Fatalf("only %d moments", len(m.foreign.photos))
				}
				for i, killed := range m.foreign.photos {
					resumed(t, i, killed, version)
				}
			})
		})
	}
}

func resumed(t *testing.T, moment int, m *machine, version string) {
	t.Helper()
	for range 3 { // a failed service may be backing off
		m.run(t, app("x", version))
	}
	isUp := m.units["app@x.service"].Active == units.Active
	c, there := m.foreign.containers["c1"]
	switch {
	case version == "1" && (!isUp || there && c.name == "x"):
		t.Errorf("killed at %d: the app is %+v, the container %+v\n%s", moment, m.units, c, strings.Join(m.log, "\n"))
	case version != "1" && (isUp || c != (container{"x", true}) || len(m.files) > 0):
		t.Errorf("killed at %d: the app is %+v, the container %+v, the files %v\n%s", moment, m.units, c, m.files, strings.Join(m.log, "\n"))
	}
	if len(m.foreign.kept["x"].Containers) > 0 {
		t.Errorf("killed at %d: the adoptions are still %v", moment, m.foreign.kept)
	}
}
