package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// machine is a simulated machine. What an app does is said by its version: the
// word after the dash, as in "2-crashes".
type machine struct {
	mu      sync.Mutex
	files   map[string]units.File
	loaded  map[string]string // service → digest that systemd has read
	units   map[string]units.Unit
	starts  map[string]int
	history units.History
	legacy  *legacy // nil: nobody looks for containers
	commits []units.Set
	locked  bool
	noImage map[string]bool
	// unreadable: Podman's generator can't read the directory's files.
	unreadable bool
	log        []string // what was done, in order
	reloads    int
	syncFail   error
	stuck      string // a file that nobody can replace or remove
}

func newMachine() *machine {
	return &machine{
		files: map[string]units.File{}, loaded: map[string]string{}, units: map[string]units.Unit{}, starts: map[string]int{},
		history: units.History{}, noImage: map[string]bool{},
	}
}

func app(id, version string, needs ...string) units.App {
	file := units.File{Name: "app@" + id + ".container", App: id, Digest: version, Content: []byte(version)}
	return units.App{
		ID: id, Enabled: true, Needs: needs, ManifestDigest: version, Files: units.Set{file},
		Parts: []units.Part{{Service: "app@" + id + ".service", File: file.Name, Digest: version}},
	}
}

func (m *machine) host() reconcile.Host {
	ask := func(_ context.Context, _ units.File, _ units.Part, u units.Unit) (units.Health, string) {
		if strings.Contains(u.Digest, "silent") {
			return units.Unsure, "connection refused"
		}
		return units.Serving, ""
	}
	host := reconcile.Host{
		Files: m, Services: m, Store: m, Now: time.Now, Settle: 5 * time.Second, Patience: 10 * time.Minute,
		Health: ask, Ask: ask,
		Supply: func(_ context.Context, a units.App, lack reconcile.Lack) error {
			if lack.Images && m.noImage[a.ID] {
				return errors.New("no route to registry")
			}
			return nil
		},
	}
	if m.legacy != nil {
		host.Legacy = m.legacy
	}
	return host
}

func (m *machine) run(t *testing.T, apps ...units.App) reconcile.Report {
	t.Helper()
	r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return units.Desired{Apps: apps, Whole: true}, nil }, m.host())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The files.

func (m *machine) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]units.FoundFile{}
	for _, f := range want {
		switch have, ok := m.files[f.Name]; {
		case !ok:
			found[f.Name] = units.FoundFile{State: units.FileMissing, App: f.App}
		case string(have.Content) == "foreign":
			found[f.Name] = units.FoundFile{State: units.FileForeign, App: f.App}
		case string(have.Content) != string(f.Content):
			found[f.Name] = units.FoundFile{State: units.FileDiffers, App: f.App}
		}
	}
	for name, f := range m.files {
		if _, wanted := want.Find(name); !wanted && f.App != "" {
			found[name] = units.FoundFile{State: units.FileStale, App: f.App, Service: units.ServiceOf(name)}
		}
	}
	var ours units.Set
	for _, f := range m.files {
		if f.App != "" {
			ours = append(ours, f)
		}
	}
	ours.Sort()
	return found, ours, nil
}

func (m *machine) Lost(want units.Set) (lost units.Set) {
	for _, f := range want {
		if _, ok := m.files[f.Name]; !ok {
			lost = append(lost, f)
		}
	}
	return lost
}

func (m *machine) Sync(want units.Set, owns func(units.Mark) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.syncFail != nil {
		return m.syncFail
	}
	stuck := &units.StuckError{File: m.stuck, Err: errors.New(m.stuck + " is immutable")}
	for _, f := range want {
		if string(m.files[f.Name].Content) != string(f.Content) {
			if f.Name == m.stuck {
				return stuck
			}
			m.note("write " + f.Name + " " + f.Digest)
		}
		m.files[f.Name] = f
	}
	for name, f := range m.files {
		if _, wanted := want.Find(name); !wanted && owns != nil && owns(units.Mark{App: f.App}) {
			if name == m.stuck {
				return stuck
			}
			m.note("remove " + name)
			delete(m.files, name)
		}
	}
	return nil
}

// systemd.

func (m *machine) note(text string) {
	m.legacy.photograph()
	m.log = append(m.log, text)
}

func (m *machine) Observe(context.Context, []string, bool) (map[string]units.Unit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, u := range m.units {
		u.Loaded = m.loaded[name] != ""
		m.units[name] = u
	}
	for name := range m.loaded {
		if _, ok := m.units[name]; !ok {
			m.units[name] = units.Unit{Loaded: true, Active: units.Inactive}
		}
	}
	return maps.Clone(m.units), nil
}

func (m *machine) Reload(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reloads++
	m.note("reload")
	m.loaded = map[string]string{}
	for name, f := range m.files {
		if !strings.Contains(f.Digest, "refused") && f.App != "" && !m.unreadable {
			m.loaded[units.ServiceOf(name)] = f.Digest
		}
	}
	return nil
}

func (m *machine) Start(ctx context.Context, service string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	version := m.loaded[service]
	m.starts[service]++
	m.note("start " + service + " " + version)
	u := units.Unit{Active: units.Active, WasActive: true, Digest: version, Invocation: fmt.Sprint(m.starts[service])}
	if strings.Contains(version, "fails") {
		u.Active = units.Failed
		m.units[service] = u
		return errors.New("starting " + service + ": the job ended with failed")
	}
	m.units[service] = u
	if strings.Contains(version, "slow") {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return context.Cause(ctx)
	}
	if strings.Contains(version, "crashes") {
		go m.crash(service, u.Invocation)
	}
	if strings.Contains(version, "late") {
		return m.late(ctx, service, u)
	}
	return nil
}

// late lets a service be up, or down, five minutes after its start, which is what
// its start waits for.
func (m *machine) late(ctx context.Context, service string, u units.Unit) error {
	u.Active = units.Activating
	m.units[service] = u
	arrived := make(chan struct{})
	go func() {
		time.Sleep(5 * time.Minute)
		m.mu.Lock()
		defer m.mu.Unlock()
		u.Active = units.Active
		if strings.Contains(u.Digest, "lost") {
			u.Active = units.Failed
		}
		m.units[service] = u
		close(arrived)
	}()
	m.mu.Unlock()
	defer m.mu.Lock()
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// crash ends a service three seconds after its start; systemd starts it again.
func (m *machine) crash(service, invocation string) {
	time.Sleep(3 * time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[service]; u.Invocation == invocation {
		m.starts[service]++
		u.Invocation = fmt.Sprint(m.starts[service])
		m.units[service] = u
	}
}

func (m *machine) Restart(ctx context.Context, service string) error { return m.Start(ctx, service) }

func (m *machine) Recreate(ctx context.Context, service string) error { return m.Start(ctx, service) }

func (m *machine) ReloadNetwork(context.Context) error { return nil }

func (m *machine) Stop(_ context.Context, service string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("stop " + service)
	u := m.units[service]
	u.Active, u.Clean = units.Inactive, true
	if strings.Contains(u.Digest, "stubborn") {
		u.Active, u.Clean = units.Failed, false
	}
	m.units[service] = u
	return nil
}

func (m *machine) ResetFailed(_ context.Context, service string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("reset-failed " + service)
	if u := m.units[service]; u.Active == units.Failed {
		u.Active = units.Inactive
		m.units[service] = u
	}
	return nil
}

func (m *machine) Log(_ context.Context, service string, _ int) []string {
	return []string{"last words of " + service}
}

func (m *machine) GeneratorLog(_ context.Context, file string, _ time.Time) []string {
	return []string{"unsupported key in " + file}
}

// The store.

func (m *machine) Lock(context.Context) (func(), error) {
	if m.locked {
		return nil, errors.New("held by process 7")
	}
	m.locked = true
	return func() { m.locked = false }, nil
}

func (m *machine) History() (units.History, error) { return maps.Clone(m.history), nil }
func (m *machine) SaveHistory(h units.History) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = maps.Clone(h)
	return nil
}

func (m *machine) Adoptions() (units.Adoptions, error) { return m.legacy.adoptions(), nil }

func (m *machine) SaveAdoptions(a units.Adoptions) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("remember " + strings.Join(slices.Sorted(maps.Keys(a)), " "))
	m.legacy.kept = maps.Clone(a)
	return nil
}

func (m *machine) Commit(set units.Set, _ string) error {
	m.commits = append(m.commits, set)
	return nil
}

func (m *machine) LastGood(id string) (units.Set, error) {
	for _, set := range slices.Backward(m.commits) {
		var own units.Set
		for _, f := range set {
			if f.App == id {
				own = append(own, f)
			}
		}
		if len(own) > 0 {
			return own, nil
		}
	}
	return nil, nil
}

func results(r reconcile.Report) []string {
	list := make([]string, 0, len(r.Results))
	for _, a := range r.Results {
		text := a.App + " " + string(a.Outcome)
		if a.Error != "" {
			text += ": " + a.Error
		}
		list = append(list, text)
	}
	return list
}

func equal(t *testing.T, what string, want, got []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: -want +got:\n%s", what, d)
	}
}

// TestInstallThenNothing: the first pass installs in order of need, the second
// does nothing at all.
func TestInstallThenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		lnd, knots := app("lnd", "1", "knots"), app("knots", "1")
		equal(t, "results", []string{"knots done", "lnd done"}, results(m.run(t, lnd, knots)))
		equal(t, "log", []string{
			"write app@knots.container 1", "write app@lnd.container 1", "reload",
			"start app@knots.service 1", "start app@lnd.service 1",
		}, m.log)
		if len(m.commits) != 1 || len(m.commits[0]) != 2 {
			t.Errorf("commits: %v", m.commits)
		}
		m.log = nil
		r := m.run(t, lnd, knots)
		equal(t, "second results", []string{"knots unchanged", "lnd unchanged"}, results(r))
		equal(t, "second log", nil, m.log)
		if r.Changed() || len(m.commits) != 1 {
			t.Errorf("the second pass changed something: %v", r.Actions)
		}
	})
}

// TestNeverSaidToBeStarted: what dies after its start, or never answers.
func TestNeverSaidToBeStarted(t *testing.T) {
	for version, want := range map[string]string{
		"1-crashes": "x not-serving: app@x.service was started, ended, and was started again within 5s",
		"1-silent":  "x not-serving: app@x.service runs and does not serve: connection refused",
		"1-fails":   "x not-serving: starting app@x.service: the job ended with failed",
	} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				r := m.run(t, app("x", version), app("y", "1"))
				equal(t, "results", []string{want, "y done"}, results(r))
				equal(t, "last words", []string{"last words of app@x.service"}, r.Results[0].Log)
			})
		})
	}
}

// TestPartsThatArriveLater: the job of the main service does not wait for what it
// only pulls in; the pass does.
func TestPartsThatArriveLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		x := app("x", "1")
		x.Files = append(x.Files, units.File{Name: "app@x.db.container", App: "x", Digest: "1", Content: []byte("db")})
		x.Parts = append(x.Parts, units.Part{Service: "app@x.db.service", File: "app@x.db.container", Digest: "1"})
		m.units["app@x.db.service"] = units.Unit{Active: units.Activating, Digest: "1", Invocation: "1"}
		go func() {
			time.Sleep(time.Minute)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.units["app@x.db.service"] = units.Unit{Active: units.Active, Digest: "1", Invocation: "1"}
		}()
		equal(t, "results", []string{"x done"}, results(m.run(t, x)))
	})
}

// TestRollBack: a change that breaks an app is taken back, is not tried again,
// and its dependents run afterwards; until the manifest changes or a person asks.
func TestRollBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("knots", "1"), app("lnd", "1", "knots"))
		m.log = nil
		equal(t, "results", []string{
			"knots rolled-back: app@knots.service was started, ended, and was started again within 5s; it runs with its earlier files again",
			"lnd done",
		}, results(m.run(t, app("knots", "2-crashes"), app("lnd", "2", "knots"))))
		equal(t, "log", []string{
			"write app@knots.container 2-crashes", "write app@lnd.container 2", "reload", "start app@knots.service 2-crashes",
			"write app@knots.container 1", "reload", "reset-failed app@knots.service", "start app@knots.service 1",
			"start app@lnd.service 2",
		}, m.log)
		if got := m.commits[len(m.commits)-1]; got[0].Digest != "1" || got[1].Digest != "2" {
			t.Errorf("the generation holds %v", got)
		}
		time.Sleep(24 * time.Hour)
		m.log = nil
		r := m.run(t, app("knots", "2-crashes"), app("lnd", "2", "knots"))
		equal(t, "next pass", nil, m.log)
		equal(t, "reason", []string{"rolled-back"}, reasons(r))
		m.run(t, app("knots", "3"), app("lnd", "2", "knots"))
		equal(t, "a new manifest", []string{"write app@knots.container 3", "reload", "start app@knots.service 3"}, m.log)
		m.log = nil
		m.run(t, app("knots", "4-silent"), app("lnd", "2", "knots"))
		m.log = nil
		asked := app("knots", "4-silent")
		asked.Asked = units.Restart
		equal(t, "asked", []string{
			"knots rolled-back: app@knots.service runs and does not serve: connection refused; it runs with its earlier files again", "lnd unchanged",
		}, results(m.run(t, asked, app("lnd", "2", "knots"))))
	})
}

func reasons(r reconcile.Report) []string {
	list := make([]string, 0, len(r.Actions))
	for _, a := range r.Actions {
		list = append(list, string(a.Reason))
	}
	return list
}

// TestOneBadAppHurtsNoOther: each kind of trouble stays with its app.
func TestOneBadAppHurtsNoOther(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*machine)
		bad     units.App
		want    string
		version string // of the bad app afterwards
	}{
		"Podman's generator refuses it": {
			bad:     app("bad", "2-refused"),
			want:    "bad failed: systemd has no unit app@bad.service after the reload: Podman's generator made none of app@bad.container; its files are as they were before",
			version: "1",
		},
		"its image can't be had": {
			prepare: func(m *machine) { m.noImage["bad"] = true },
			bad:     app("bad", "2"),
			want:    "bad failed: what it needs can't be had, so nothing of it was changed: no route to registry",
			version: "1",
		},
		"somebody else's file is in its place": {
			prepare: func(m *machine) {
				m.files["app@bad.container"] = units.File{Name: "app@bad.container", Content: []byte("foreign")}
			},
			bad:     app("bad", "2"),
			want:    "bad failed: a file with the name of one of its units was not written by archgen: app@bad.container; move it away",
			version: "foreign",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("bad", "1"), app("good", "1"))
				if tt.prepare != nil {
					tt.prepare(m)
				}
				equal(t, "results", []string{tt.want, "good done"}, results(m.run(t, tt.bad, app("good", "2"))))
				if got := string(m.files["app@bad.container"].Content); got != tt.version {
					t.Errorf("the bad app's file is %s, want %s", got, tt.version)
				}
				if u := m.units["app@bad.service"]; u.Active != units.Active || u.Digest != "1" || u.Invocation != "1" {
					t.Errorf("the bad app is %+v, want untouched", u)
				}
			})
		})
	}
}

// TestPassOverSomeApps leaves the others alone, and keeps them in the generation.
func TestPassOverSomeApps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		m.log = nil
		r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return units.Desired{Apps: []units.App{app("x", "2")}}, nil }, m.host())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "results", []string{"x done"}, results(r))
		equal(t, "log", []string{"write app@x.container 2", "reload", "start app@x.service 2"}, m.log)
		if got := m.commits[1]; len(got) != 2 || got[0].Digest != "2" || got[1].App != "y" {
			t.Errorf("the generation holds %v", got)
		}
	})
}

// TestNothingIsReloadedForNothing: the only change could not be made.
func TestNothingIsReloadedForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.noImage["x"] = true
		m.run(t, app("x", "1"))
		equal(t, "log", nil, m.log)
	})
}

// edited is a machine on which somebody replaces a file while a pass looks around.
type edited struct {
	*machine
	file string
}

func (e edited) Observe(ctx context.Context, names []string, others bool) (map[string]units.Unit, error) {
	e.files[e.file] = units.File{Name: e.file, App: "web", Content: []byte("junk")}
	found, err := e.machine.Observe(ctx, names, others)
	for name, u := range found {
		u.NeedsReload = true
		found[name] = u
	}
	return found, err
}

// TestEditWhileItLooks: a change that systemd was found to know of is never
// reloaded without being looked at.
func TestEditWhileItLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, web := newMachine(), app("web", "1")
		m.run(t, web)
		host := m.host()
		host.Services = edited{m, "app@web.container"}
		plan, err := reconcile.Preview(t.Context(), units.Desired{Apps: []units.App{web}, Whole: true}, host)
		if err != nil {
			t.Fatal(err)
		}
		want := []units.Action{{App: "web", Kind: units.Write, Target: "app@web.container", Reason: units.BecauseDiffers}}
		if diff := cmp.Diff(want, plan.Files); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSlowStart: a pass does not wait for ever, and takes nothing back.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		began := time.Now()
		equal(t, "results", []string{
			"x starting: it is not up after 10m0s, and goes on by itself", "y done",
		}, results(m.run(t, app("x", "2-slow"), app("y", "2"))))
		if took := time.Since(began); took != 10*time.Minute {
			t.Errorf("the pass took %v", took)
		}
		if got := m.files["app@x.container"].Digest; got != "2-slow" {
			t.Errorf("x has the file of %s", got)
		}
	})
}

// TestCalled: a pass that others are waiting for does not wait to see whether an app
// serves. The next one finds out, at once where it has been up for long enough, and
// takes back what does not serve.
func TestCalled(t *testing.T) {
	for _, c := range []struct {
		version string
		up      time.Duration
		want    string
		took    time.Duration
	}{
		{"2", 0, "x unchanged", 5 * time.Second},
		{"2", 3 * time.Second, "x unchanged", 2 * time.Second},
		{"2", time.Minute, "x unchanged", 0},
		{"2-silent", time.Minute, "x rolled-back: app@x.service runs and does not serve: connection refused; it runs with its earlier files again", 7 * time.Second},
	} {
		t.Run(fmt.Sprint(c.version, " up for ", c.up), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				called := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(called) })
				host := m.host()
				host.Called = func() <-chan struct{} { return called }
				want := func() (units.Desired, error) {
					return units.Desired{Apps: []units.App{app("x", c.version)}, Whole: true}, nil
				}
				began := time.Now()
				r, err := reconcile.Run(t.Context(), want, host)
				if err != nil || time.Since(began) != time.Second {
					t.Errorf("the pass that was called took %v: %v", time.Since(began), err)
				}
				equal(t, "called", []string{"x starting: whether it serves is still to be seen: others had to be looked at"}, results(r))
				u := m.units["app@x.service"]
				u.Up = c.up
				m.units["app@x.service"] = u
				began = time.Now()
				equal(t, "next pass", []string{c.want}, results(m.run(t, app("x", c.version))))
				if took := time.Since(began); took != c.took {
					t.Errorf("the next pass took %v, want %v", took, c.took)
				}
				if good := m.commits[len(m.commits)-1]; string(good[0].Content) != m.files["app@x.container"].Digest {
					t.Errorf("kept as good was %s", good[0].Content)
				}
			})
		})
	}
}

// TestCalledWhileItAsks: an app that could not say to the end how it is was not heard,
// however often it was asked before.
func TestCalledWhileItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		host := m.host()
		called, asked := make(chan struct{}), 0
		host.Called = func() <-chan struct{} { return called }
		host.Ask = func(ctx context.Context, _ units.File, _ units.Part, _ units.Unit) (units.Health, string) {
			if asked++; asked == 5 {
				close(called)
				<-ctx.Done()
			}
			return units.Unsure, "no answer"
		}
		r, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
			return units.Desired{Apps: []units.App{app("x", "2")}, Whole: true}, nil
		}, host)
		equal(t, "results", []string{"x starting: whether it serves is still to be seen: others had to be looked at"}, results(r))
		if err != nil {
			t.Error(err)
		}
	})
}

// TestErrorsOfTheWholePass change nothing, or leave the rest to the next pass.
func TestErrorsOfTheWholePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.locked = true
		want := func() (units.Desired, error) {
			return units.Desired{Apps: []units.App{app("x", "1")}, Whole: true}, nil
		}
		if _, err := reconcile.Run(t.Context(), want, m.host()); err == nil || err.Error() != "held by process 7" {
			t.Errorf("error %v", err)
		}
		m.locked, m.syncFail = false, errors.New("no space left on device")
		r, err := reconcile.Run(t.Context(), want, m.host())
		if err == nil || r.Changed() {
			t.Errorf("error %v, report %v", err, r)
		}
		m.syncFail = nil
		equal(t, "next pass", []string{"x done"}, results(m.run(t, app("x", "1"))))
		if m.locked {
			t.Error("the lock is still held")
		}
	})
}

// TestOneFileIsStuck: it is in nobody else's way, whether it is to be replaced or
// removed, and its app stays as it is.
func TestOneFileIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"), app("z", "1"))
		m.log, m.stuck = nil, "app@y.container"
		equal(t, "results", []string{"x done", "y failed: app@y.container is immutable", "z done"},
			results(m.run(t, app("x", "2"), app("y", "2"), app("z", "2"))))
		if slices.ContainsFunc(m.log, func(line string) bool { return strings.Contains(line, "app@y.") }) {
			t.Errorf("y did not stay as it is: %v", m.log)
		}
		equal(t, "results of removing", []string{"x done", "y failed: app@y.container is immutable", "z unchanged"},
			results(m.run(t, app("x", "3"), app("z", "2"))))
		m.stuck = ""
		equal(t, "next results", []string{"x unchanged", "z unchanged"}, results(m.run(t, app("x", "3"), app("z", "2"))))
		if _, ok := m.files["app@y.container"]; ok {
			t.Error("the file of y is still there")
		}
	})
}

// TestRemoveStopsFirst: the service ends while its unit still says how.
func TestRemoveStopsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		m.log = nil
		m.run(t, app("y", "1"))
		equal(t, "log", []string{"stop app@x.service", "remove app@x.container", "reload"}, m.log)
		if r, kept := m.history["x"]; kept {
			t.Errorf("the record of x is still there: %v", r)
		}
	})
}

// TestRemoveOfWhatMustBeKilled leaves nothing that the next pass has to do.
func TestRemoveOfWhatMustBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1-stubborn"), app("y", "1"))
		m.log = nil
		m.run(t, app("y", "1"))
		equal(t, "log", []string{"stop app@x.service", "reset-failed app@x.service", "remove app@x.container", "reload"}, m.log)
		m.log = nil
		m.run(t, app("y", "1"))
		equal(t, "next pass", nil, m.log)
	})
}

// TestRemoveOfWhatLostItsUnit: it gets it back for as long as it takes to stop.
func TestRemoveOfWhatLostItsUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		delete(m.files, "app@x.container")
		_ = m.Reload(t.Context())
		m.log = nil
		m.run(t, app("y", "1"))
		equal(t, "log", []string{"write app@x.container 1", "reload", "stop app@x.service", "remove app@x.container", "reload"}, m.log)
		m.log = nil
		m.run(t, app("y", "1"))
		equal(t, "next pass", nil, m.log)
	})
}

// TestGeneratorThatReadsNothing: apps whose files were not changed keep them, and
// the error does not speak of earlier ones.
func TestGeneratorThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		m.log, m.unreadable = nil, true
		equal(t, "results", []string{
			"x failed: systemd has no unit app@x.service after the reload: Podman's generator made none of app@x.container; its files are as they were before",
			"y failed: systemd has no unit app@y.service after the reload: Podman's generator made none of app@y.container; archgen doctor looks for what keeps it from doing so",
		}, results(m.run(t, app("x", "2"), app("y", "1"))))
		equal(t, "log", []string{"write app@x.container 2", "reload", "write app@x.container 1", "reload"}, m.log)
		m.unreadable = false
		equal(t, "next results", []string{"x done", "y unchanged"}, results(m.run(t, app("x", "2"), app("y", "1"))))
	})
}

// TestPreviewDoesNothing and says what Run would do.
func TestPreviewDoesNothing(t *testing.T) {
	m := newMachine()
	plan, err := reconcile.Preview(t.Context(), units.Desired{Apps: []units.App{app("x", "1")}, Whole: true}, m.host())
	if err != nil || len(plan.Files) != 1 || len(plan.Steps) != 1 {
		t.Errorf("plan %v, %v", plan, err)
	}
	if len(m.files)+len(m.log) != 0 {
		t.Errorf("something was done: %v", m.log)
	}
}

// TestBudgetLastsOverPasses: a service that keeps failing is started at growing
// intervals, each known before it happens.
func TestBudgetLastsOverPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		for range 24 * 60 {
			m.run(t, app("x", "1-fails"))
			time.Sleep(time.Minute)
		}
		if got := m.starts["app@x.service"]; got < 24 || got > 34 {
			t.Errorf("%d starts in a day, want about one an hour", got)
		}
		r := m.run(t, app("x", "1-fails"))
		equal(t, "reason", []string{"gave-up"}, reasons(r))
	})
}
