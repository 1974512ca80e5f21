package reconcile_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// TestModel plays random schedules of faults against a fake machine, with passes that are killed at
// any moment. After the faults stop it checks that passes lead to the desired state: every app as
// its manifest says, at most one start for each fault, nothing to do on the next pass, no action on
// an app that no fault hit, an app that does not serve after a change back at its last-good files,
// and no foreign container lost whose app does not serve.
//
// MODEL_SCHEDULES sets how many schedules: 100,000 in make test, a million in
// make model.
func TestModel(t *testing.T) {
	t.Parallel()
	schedules := 5_000
	if text := os.Getenv("MODEL_SCHEDULES"); text != "" {
		var err error
		if schedules, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	percent := debug.SetGCPercent(800) // it makes much garbage, and keeps little
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		t.Run(strconv.Itoa(w), func(t *testing.T) {
			t.Parallel()
			for seed := w; seed < schedules && !t.Failed(); seed += workers {
				synctest.Test(t, func(t *testing.T) {
					if err := play(t.Context(), uint64(seed)); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
				})
			}
		})
	}
}

// simApp is one app of the model. Versions count from 1 and are the digests of its files.
type simApp struct {
	id string
	// turn delays its actions, so that those of two apps never happen at the same time: a schedule
	// must be repeatable.
	turn time.Duration
	// What the manifest says.
	version           int
	removed, stopped  bool
	invalid, disabled bool
	// isOverlooked: it crashed, and looks as if it was stopped. A pass that finds out starts it.
	isOverlooked bool
	// isEither: the operator stopped it, and systemd may have forgotten that.
	isEither bool
	// running is the version of its last start.
	running int
	// bad is a version that exits right after each start, ended the versions that exited or stopped
	// answering.
	bad    int
	ended  []int
	health units.Health
	// mustKill: it does not end when it is stopped.
	mustKill bool
	// The starts of the app that it follows: how many there were, and at which one it started.
	followed, seen int
	// follows is the app of the machine whose starts count.
	follows *simApp

	// why is the reason for the action that a pass carries out.
	why units.Reason
	// isDelayed: a pass was killed when it had recorded a repair and not made it yet, so that the next
	// one waits.
	isDelayed bool

	faults, starts, writes int
}

func (a *simApp) service() string { return units.ServiceName(a.id) }
func (a *simApp) file() string    { return units.ContainerFile(a.id) }
func (a *simApp) app() units.App  { return units.App{ID: a.id, ManifestDigest: digest(a.version)} }
func digest(version int) string   { return strconv.Itoa(version) }

// model is the machine of a schedule.
type model struct {
	*reconciletest.Machine
	ctx  context.Context
	apps []*simApp
	// skew is what was added to the clock.
	skew     time.Duration
	isKilled atomic.Bool
	// mu guards the apps while a pass runs. Its holder must not call the machine.
	mu sync.Mutex
	// late is the first app that a complete pass left waiting although it changed its files.
	late error
	log  []string
}

func (m *model) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func play(ctx context.Context, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a schedule must be repeatable
	m := newModel(ctx, 2+r.IntN(3))
	if err := m.install(seed%8 == 0); err != nil {
		return m.explain(err)
	}
	victims := m.apps[:1+r.IntN(len(m.apps))] // the others must stay as they are
	for i, a := range victims[1:] {
		if r.IntN(3) == 0 {
			a.follows = victims[i]
		}
	}
	for range 1 + r.IntN(12) {
		m.fault(r, victims[r.IntN(len(victims))])
		// Events get lost, and a pass may be killed at any moment.
		if r.IntN(3) > 0 {
			m.pass(time.Duration(r.IntN(10))*turn + turn/2)
		}
	}
	for _, a := range m.apps {
		a.mendManifest()
	}
	if err := m.settle(); err != nil {
		return m.explain(err)
	}
	return m.explain(errors.Join(m.late, m.lost(), m.check()))
}

// install has all apps run, by passes or, which is faster, as if by passes.
func (m *model) install(byPasses bool) error {
	if byPasses {
		err := m.settle()
		for _, a := range m.apps {
			a.starts, a.writes = 0, 0
		}
		return err
	}
	var all units.Set
	for _, a := range m.apps {
		app := a.wanted()
		m.Install(app)
		all, a.running = append(all, app.Files...), a.version
	}
	all.Sort()
	return m.Commit(all, "")
}

// turn is the time of one action.
const turn = time.Second

func newModel(ctx context.Context, apps int) *model {
	m := &model{Machine: reconciletest.New(), ctx: ctx}
	m.Containers = map[string]reconciletest.Container{}
	for i := range apps {
		a := &simApp{id: string(rune('a' + i)), turn: turn + time.Duration(i)*7*time.Millisecond, version: 1, health: units.Serving}
		m.apps = append(m.apps, a)
	}
	m.Before, m.After, m.Started = m.before, func(string, string) { m.forget() }, m.started
	m.Behavior = func(service, version string) string {
		switch a := m.app(units.AppOf(service)); {
		case a.bad > 0 && version == digest(a.bad):
			return "exits"
		case a.mustKill:
			return "stubborn"
		}
		return ""
	}
	return m
}

// before is the time that a call takes. Nothing that a killed pass calls has an effect.
func (m *model) before(verb, target string) error {
	if verb != "save" && verb != "remember" && verb != "observe" { // which have no effect, or are made while the pass holds its lock
		takes := turn
		if a := m.app(cmp.Or(units.AppOf(target), target)); a != nil {
			takes = a.turn
		}
		time.Sleep(takes)
	}
	if m.isKilled.Load() {
		return reconciletest.ErrKilled
	}
	switch verb {
	case "reload":
		m.overlook(func(a *simApp) bool { return a.invalid })
	case "start", "restart", "restart-alone", "recreate":
		m.countStart(verb, target)
	}
	return nil
}

// countStart counts a start, unless it concerns what an earlier pass started.
func (m *model) countStart(verb, service string) {
	u, loaded := m.Unit(service), m.Loaded(service)
	records, _ := m.History()
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.app(units.AppOf(service))
	isNone := !u.Loaded || verb == "start" && u.Active == units.Active
	isRollback := a.why == units.ReasonRolledBack || loaded != digest(a.version) && records.RolledBack(a.app())
	if !isNone && !isRollback && a.why != units.ReasonLegacy {
		a.starts++
	}
}

// started is called when a program starts.
func (m *model) started(service, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.app(units.AppOf(service))
	a.running, _ = strconv.Atoi(version)
	a.seen, a.health = a.followed, units.Serving
	for _, other := range m.apps {
		if other.follows == a {
			other.followed++
			other.faults++
		}
	}
}

// mendManifest ends what only an operator can end.
func (a *simApp) mendManifest() {
	a.invalid = false
	if a.bad > 0 {
		a.version++
	}
}

func (m *model) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\n  %s", err, strings.Join(m.log, "\n  "))
}

// faults is what can happen to an app. u is its service.
var faults = []struct {
	name string
	do   func(m *model, a *simApp, u units.Unit)
}{
	{"edit the manifest", func(_ *model, a *simApp, _ units.Unit) { a.version++ }},
	{"delete the file", func(m *model, a *simApp, _ units.Unit) { m.Delete(a.file()) }},
	{"truncate the file", func(m *model, a *simApp, _ units.Unit) { m.Truncate(a.file()) }},
	{"kill the container", func(m *model, a *simApp, u units.Unit) {
		if u.Active == units.Active {
			a.ended = append(a.ended, a.running)
			m.Crash(a.service())
		}
	}},
	{"crash until systemd stops restarting it", func(m *model, a *simApp, u units.Unit) {
		if u.Active == units.Active {
			a.ended = append(a.ended, a.running)
			m.Exhaust(a.service())
		}
	}},
	{"crash repeatedly with this manifest", func(m *model, a *simApp, u units.Unit) {
		if u.Active == units.Active && m.Loaded(a.service()) == digest(a.version) && !a.invalid && !a.removed {
			a.bad, a.ended = a.version, append(a.ended, a.running)
			m.Crash(a.service())
		}
	}},
	{"start by another unit at the start limit", func(m *model, a *simApp, u units.Unit) {
		if u.Restarting && u.Loaded { // it is refused
			m.Set(a.service(), func(u *units.Unit) { u.Active, u.Restarting = units.Failed, false })
		}
	}},
	{"stop by the operator", func(m *model, a *simApp, u units.Unit) { m.stopByHand(a, u) }},
	{"stop that has to kill it", func(m *model, a *simApp, u units.Unit) {
		a.mustKill = true
		m.stopByHand(a, u)
		a.mustKill = false
	}},
	{"start by the operator", func(m *model, a *simApp, u units.Unit) {
		if (u.Active == units.Inactive || u.Active == units.Failed) && u.Loaded && m.place(a) != inPlace {
			m.StartByHand(a.service())
			a.stopped = false
			m.Records.Reset(a.id)
		}
	}},
	{"pause the container", func(m *model, a *simApp, u units.Unit) {
		if u.Active == units.Active {
			m.Set(a.service(), func(u *units.Unit) { u.Paused = true })
		}
	}},
	{"stop answering", func(_ *model, a *simApp, u units.Unit) {
		if u.Active == units.Active {
			a.health, a.ended = units.Unhealthy, append(a.ended, a.running)
		}
	}},
	{"restart the app that it follows", func(_ *model, a *simApp, _ units.Unit) {
		if a.follows == nil {
			a.followed++
		}
	}},
	{"create a foreign container with its name", func(m *model, a *simApp, u units.Unit) {
		if (u.Active == units.Inactive || u.Active == units.Failed) && m.place(a) == nowhere {
			m.Containers[a.id] = reconciletest.Container{Name: a.id, Running: true}
		}
	}},
	{"stop slowly", func(m *model, a *simApp, _ units.Unit) {
		m.StopTakes[a.service()] = 40*time.Second - m.StopTakes[a.service()]
	}},
	{"daemon-reload by another program", func(m *model, _ *simApp, _ units.Unit) {
		m.overlook(func(*simApp) bool { return true })
		m.Load()
	}},
	{"remove the manifest", func(_ *model, a *simApp, _ units.Unit) { a.removed = true }},
	{"restore the manifest", func(_ *model, a *simApp, _ units.Unit) { a.removed = false }},
	{"break the manifest", func(_ *model, a *simApp, _ units.Unit) { a.invalid = true }},
	{"fix the manifest", func(_ *model, a *simApp, _ units.Unit) { a.invalid = false }},
	{"disable", func(_ *model, a *simApp, _ units.Unit) { a.disabled = true }},
	{"enable", func(_ *model, a *simApp, _ units.Unit) { a.disabled = false }},
	{"clock jump", nil},
}

func (m *model) fault(r *rand.Rand, a *simApp) {
	f := faults[r.IntN(len(faults))]
	m.note("%s: %s", a.id, f.name)
	if f.do == nil {
		m.skew += time.Duration(r.Int64N(int64(2*365*24*time.Hour))) - 365*24*time.Hour
	} else {
		f.do(m, a, m.Unit(a.service()))
	}
	m.forget()
	a.faults++
	time.Sleep(time.Duration(r.Int64N(int64(time.Minute))))
	if r.IntN(2) == 0 {
		m.Tick()
	}
}

// stopByHand is a stop by an operator. It looks like the work of a pass if a pass was killed that was
// about to stop and start the service, or to stop it and restore what it has replaced.
func (m *model) stopByHand(a *simApp, u units.Unit) {
	if u.Loaded && (u.Active == units.Active || u.Restarting) {
		m.StopByHand(a.service())
		invocation, isBegun := m.Records[a.id].Pending[a.service()]
		isReverting := m.Adopted[a.id].Withdrawn != "" && m.place(a) == parked
		a.stopped, a.isOverlooked = (!isBegun || invocation != u.Invocation) && !isReverting, false
	}
}

// overlook is about apps that crashed while systemd had no unit for them. If systemd reads the units
// before work on them has begun, they look from then on as if they were stopped.
func (m *model) overlook(by func(*simApp) bool) {
	files, _ := m.Read()
	records, _ := m.History()
	for _, a := range m.apps {
		_, isBegun := records[a.id].Pending[a.service()]
		u := m.Unit(a.service())
		if !isBegun && by(a) && u.Active == units.Failed && !u.Loaded {
			m.mu.Lock()
			_, a.stopped = files.Find(a.file())
			a.isOverlooked = a.stopped
			m.mu.Unlock()
		}
	}
}

// forget is about services that have no file and are down: systemd forgets them, and with them that
// the operator stopped them. A failed unit is remembered, but not its Restart=.
func (m *model) forget() {
	for _, a := range m.apps {
		if u := m.Unit(a.service()); !u.Loaded && u.Active != units.Active {
			m.mu.Lock()
			a.isEither = a.isEither || a.stopped && u.Active == units.Failed
			a.stopped = false
			m.mu.Unlock()
		}
	}
}

// place is where the foreign container of an app is. One that an app has replaced may stay if a pass
// is killed before it removes it.
func (m *model) place(a *simApp) place {
	switch {
	case m.Containers[a.id].Name == a.id:
		return inPlace
	case m.Adopted[a.id].Containers != nil:
		return parked
	}
	return nowhere
}

type place int

const (
	nowhere place = iota
	inPlace
	parked
)

func (m *model) lost() error {
	if len(m.Replaced) > 0 {
		return fmt.Errorf("%v was started although the foreign container was not parked", m.Replaced)
	}
	return nil
}

// pass is a pass that is killed after a while, if it takes longer.
func (m *model) pass(kill time.Duration) reconcile.Report {
	m.note("pass")
	m.isKilled.Store(false)
	timer := time.AfterFunc(kill, func() { m.isKilled.Store(true) })
	defer timer.Stop()
	var waiting []*simApp
	for _, a := range m.apps {
		if m.Unit(a.service()).Restarting {
			waiting = append(waiting, a)
		}
	}
	r, err := reconcile.Run(m.ctx, m.desired, m.host())
	switch {
	case m.isKilled.Load():
		m.note("  killed")
		for _, a := range m.apps {
			_, isBegun := m.Records[a.id].Pending[a.service()]
			a.isDelayed = a.isDelayed || isBegun && m.Records[a.id].Tries > 0
		}
	case err != nil:
		m.late = errors.Join(m.late, err)
	default:
		m.checkLate(r, waiting)
	}
	return r
}

func (m *model) host() reconcile.Host {
	host := m.Host()
	host.Now = func() time.Time { return time.Now().Add(m.skew) }
	host.Health = func(_ context.Context, _ units.File, p units.Part, _ units.Unit) (units.Health, string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.app(units.AppOf(p.Service)).health, ""
	}
	host.Ask, host.Progress = host.Health, m.progress
	host.Config = func(service string, _ []byte) (want, have units.ConfigDigests, err error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		a := m.app(units.AppOf(service))
		want.Watched, have.Watched = digest(a.followed), digest(a.seen)
		return want, have, nil
	}
	return host
}

// progress observes what a pass does, and why.
func (m *model) progress(e reconcile.Event) {
	a := m.app(e.App)
	if m.isKilled.Load() || a == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !e.Ended:
		a.why = e.Reason
		return
	case e.Kind == units.Write && e.Reason != units.ReasonRolledBack && e.Target == a.file():
		a.writes++
	}
	m.note("  %s %s (%s)", e.Kind, e.Target, e.Reason)
}

// desired is what the manifests say.
func (m *model) desired() (units.Desired, error) {
	want := units.Desired{Complete: true}
	for _, a := range m.apps {
		switch {
		case a.removed:
		case a.invalid:
			want.Invalid = append(want.Invalid, a.id)
		default:
			want.Apps = append(want.Apps, a.wanted())
		}
	}
	return want, nil
}

// wanted is the app as its manifest says.
func (a *simApp) wanted() units.App {
	text := "[Install]\nWantedBy=default.target\n"
	if a.disabled {
		text = ""
	}
	text += "[X-Archipelago]\nApp=" + a.id + "\nManifestDigest=" + digest(a.version) + "\n"
	files := units.Set{
		{Name: a.file(), App: a.id, Digest: digest(a.version), Content: []byte(text)},
		{Name: units.PrestartName(a.service()), App: a.id, Content: []byte("[Recipe]\n")},
	}
	part := units.Part{Service: a.service(), File: a.file(), Digest: digest(a.version)}
	app := units.App{ID: a.id, Enabled: !a.disabled, ManifestDigest: digest(a.version), Files: files}
	if a.follows != nil {
		app.Needs, app.RestartAfter, part.TracksAddressOf = []string{a.follows.id}, []string{a.follows.id}, []string{a.follows.service()}
	}
	app.Parts = []units.Part{part}
	return app
}

// checkLate finds apps that a complete pass leaves waiting.
func (m *model) checkLate(r reconcile.Report, waiting []*simApp) {
	has := func(fits func(units.Action) bool) bool { return slices.ContainsFunc(r.Actions, fits) }
	for _, a := range waiting {
		isWritten := has(func(b units.Action) bool { return b.Kind == units.Write && b.Target == a.file() })
		if isWritten && m.Unit(a.service()).Restarting && digest(a.running) != m.Loaded(a.service()) {
			m.late = fmt.Errorf("%s got other files and waits for an automatic restart with them", a.id)
		}
	}
	for _, a := range m.apps {
		isRestarted := func(b units.Action) bool { return b.Changes() && b.Target == a.follows.service() }
		if a.follows != nil && !a.isDelayed && has(isRestarted) && m.isBehind(a) {
			m.late = fmt.Errorf("%s uses an address that %s had before the pass", a.id, a.follows.id)
		}
	}
}

// isBehind reports whether an app is up and the app that it follows restarted since.
func (m *model) isBehind(a *simApp) bool {
	isUp := func(a *simApp) bool {
		u := m.Unit(a.service())
		return u.Active == units.Active && u.Job == "" && !u.Paused
	}
	return isUp(a) && isUp(a.follows) && a.health == units.Serving && !a.removed && !a.invalid && a.seen != a.followed
}

func (m *model) app(id string) *simApp {
	for _, a := range m.apps {
		if a.id == id {
			return a
		}
	}
	return nil
}

// settle runs passes, an hour apart, until there is nothing to do.
func (m *model) settle() error {
	for range 8 {
		m.Tick()
		time.Sleep(time.Hour)
		if r := m.pass(24 * time.Hour); !r.Changed() {
			return nil
		}
	}
	return errors.New("still busy after 8 passes")
}

func (m *model) check() error {
	for _, a := range m.apps {
		if err := m.checkApp(a, m.Records.RolledBack(a.app())); err != nil {
			return fmt.Errorf("%s: %w", a.id, err)
		}
		if a.faults == 0 && a.starts+a.writes > 0 {
			return fmt.Errorf("%s was not hit and has %d starts and %d writes", a.id, a.starts, a.writes)
		}
		if a.starts > a.faults {
			return fmt.Errorf("%s has %d starts for %d faults", a.id, a.starts, a.faults)
		}
	}
	return nil
}

// checkApp reports what is wrong with an app in the end. An app that exited or stopped
// answering before it was verified with a version may be back at the previous one.
func (m *model) checkApp(a *simApp, isRolledBack bool) error {
	version, u := a.version, m.Unit(a.service())
	if good, _ := m.Good(); isRolledBack && slices.Contains(a.ended, version) {
		if f, exists := good.Find(a.file()); exists {
			version, _ = strconv.Atoi(f.Digest)
		}
	}
	f, exists := m.File(a.file())
	isDown := func(a *simApp) bool { return a != nil && m.Unit(a.service()).Active != units.Active }
	switch {
	case a.removed && (exists || u.Active != units.Inactive):
		return fmt.Errorf("removed, but its file is %s and it is %s", f.Digest, u.Active)
	case a.removed:
	case m.place(a) == parked && (a.disabled || !a.stopped): // archgen start resumes that of a stopped app
		return errors.New("its container is still parked")
	case m.place(a) == inPlace && (!exists || slices.Contains(a.ended, version)): // it did not serve after the adoption, or before
	case f.Digest != digest(version) || m.Loaded(a.service()) != digest(version):
		return fmt.Errorf("its file is %s, systemd has %s, wanted %d", f.Digest, m.Loaded(a.service()), version)
	case a.stopped && !a.isOverlooked && u.Active != units.Inactive && u.Active != units.Failed:
		return fmt.Errorf("stopped by the operator, but %s", u.Active)
	case a.stopped && (!a.isOverlooked || u.Active != units.Active), a.disabled, a.isEither && u.Active == units.Failed:
	case isDown(a.follows) && slices.Contains(a.ended, version): // that may be the only cause
	case u.Active != units.Active || a.running != version || u.Paused || a.health != units.Serving, a.seen != a.followed && !isDown(a.follows):
		return fmt.Errorf("%s, runs %d of %d, paused %v, %s, follows %d of %d", u.Active, a.running, version, u.Paused, a.health, a.seen, a.followed)
	case u.Active == units.Active && u.Restarts > 0:
		return fmt.Errorf("it is healthy for long, and %d automatic restarts count", u.Restarts)
	}
	return nil
}
