package units_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// TestModel plays random schedules of faults against a simulated machine. After the faults stop it
// checks that Decide leads to the desired state: every app as its manifest says, at most one start
// for each fault, nothing to do on the next pass, no action on an app that no fault hit, an app
// that does not serve after a change back at its last-good files, and no foreign container lost
// whose app does not serve.
//
// MODEL_SCHEDULES sets how many schedules: 100,000 in make test, a million in
// make model.
func TestModel(t *testing.T) {
	schedules := 5_000
	if text := os.Getenv("MODEL_SCHEDULES"); text != "" {
		var err error
		if schedules, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for seed := w; seed < schedules && !t.Failed(); seed += workers {
				if err := play(uint64(seed)); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	wg.Wait()
}

// simApp is one app of the simulated machine. Versions count from 1.
type simApp struct {
	id string
	// What the manifest says.
	version           int
	removed, stopped  bool
	invalid, disabled bool
	// isEither: the operator stopped it, and systemd may have forgotten that.
	isEither bool
	// What exists. A file of version 0 is missing, of -1 truncated.
	disk, loaded int
	active       units.ActiveState
	running      int
	// limited: systemd gave up on it.
	limited    bool
	restarting bool
	// bad is a version that exits right after each start, ended the versions that did.
	bad    int
	ended  []int
	paused bool
	health units.Health
	// The starts of the app that it follows: how many there were, and at which one it started.
	followed, seen int
	// follows is the app of the machine whose starts count.
	follows *simApp
	// slow: it stops slowly, and job is the job that systemd has for it meanwhile.
	slow bool
	job  string
	// started: systemd remembers a start; invocation counts the starts.
	started    bool
	invocation int
	// good is the last version that was verified to serve, 0 if none was.
	good int
	// foreign is the foreign container with its name.
	foreign place

	faults, starts, writes int
}

// place is where a foreign container is.
type place int

const (
	nowhere place = iota
	inPlace
	parked
)

func (a *simApp) service() string { return "app@" + a.id + ".service" }
func (a *simApp) file() string    { return "app@" + a.id + ".container" }
func digest(version int) string   { return strconv.Itoa(version) }

type machine struct {
	apps      []*simApp
	history   units.History
	adoptions units.Adoptions
	now       time.Time
	// lost is the first foreign container that Podman removed for an app.
	lost error
	// begun is the services on which this pass has begun to work.
	begun []string
	// late is the first app that a complete pass left waiting although it changed its files.
	late error
	log  []string
}

func (m *machine) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func play(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a schedule must be repeatable
	m := &machine{history: units.History{}, adoptions: units.Adoptions{}, now: now}
	for i := range 2 + r.IntN(3) {
		m.apps = append(m.apps, &simApp{id: string(rune('a' + i)), version: 1, active: units.Inactive})
	}
	if err := m.settle(); err != nil {
		return m.explain(err)
	}
	for _, a := range m.apps {
		a.starts, a.writes = 0, 0
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
		if plan := m.decide(); r.IntN(3) > 0 {
			m.carryOut(plan, r.IntN(1+len(plan.Actions())))
		}
	}
	for _, a := range m.apps {
		a.mendManifest()
	}
	if err := m.settle(); err != nil {
		return m.explain(err)
	}
	return m.explain(errors.Join(m.late, m.lost, m.check()))
}

// mendManifest ends what only an operator can end.
func (a *simApp) mendManifest() {
	a.invalid = false
	if a.bad > 0 {
		a.version++
	}
}

func (m *machine) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\n  %s", err, strings.Join(m.log, "\n  "))
}

// faults is what can happen to an app.
var faults = []struct {
	name string
	do   func(*machine, *rand.Rand, *simApp)
}{
	{"edit the manifest", func(_ *machine, _ *rand.Rand, a *simApp) { a.version++ }},
	{"delete the file", func(_ *machine, _ *rand.Rand, a *simApp) { a.disk = 0 }},
	{"truncate the file", func(_ *machine, _ *rand.Rand, a *simApp) { a.disk = -1 }},
	{"kill the container", func(_ *machine, _ *rand.Rand, a *simApp) {
		if a.active == units.Active {
			a.active, a.restarting, a.paused, a.job, a.ended = units.Activating, true, false, "", append(a.ended, a.running)
			if a.loaded <= 0 { // systemd has forgotten Restart=
				a.active, a.restarting = units.Failed, false
			}
		}
	}},
	{"crash until systemd stops restarting it", func(_ *machine, _ *rand.Rand, a *simApp) {
		if a.active == units.Active {
			a.end(units.Failed)
			a.limited, a.ended = true, append(a.ended, a.running)
		}
	}},
	{"crash repeatedly with this manifest", func(_ *machine, _ *rand.Rand, a *simApp) {
		if a.active == units.Active && a.loaded > 0 && a.loaded == a.version && !a.invalid && !a.removed {
			a.bad, a.active, a.restarting, a.paused, a.ended = a.loaded, units.Activating, true, false, append(a.ended, a.running)
		}
	}},
	{"start by another unit at the start limit", func(_ *machine, _ *rand.Rand, a *simApp) {
		if a.restarting && a.loaded > 0 { // it is refused
			a.active, a.restarting, a.limited = units.Failed, false, true
		}
	}},
	{"stop by the operator", func(_ *machine, _ *rand.Rand, a *simApp) { a.stopByHand(units.Inactive) }},
	{"stop that has to kill it", func(_ *machine, _ *rand.Rand, a *simApp) { a.stopByHand(units.Failed) }},
	{"start by the operator", func(m *machine, _ *rand.Rand, a *simApp) {
		if (a.active == units.Inactive || a.active == units.Failed) && a.loaded > 0 && a.foreign != inPlace {
			m.start(a)
			a.stopped = false
			m.history.Reset(a.id)
		}
	}},
	{"pause the container", func(_ *machine, _ *rand.Rand, a *simApp) { a.paused = a.active == units.Active }},
	{"stop answering", func(_ *machine, _ *rand.Rand, a *simApp) {
		if a.active == units.Active {
			a.health = units.Unhealthy
		}
	}},
	{"restart the app that it follows", func(_ *machine, _ *rand.Rand, a *simApp) {
		if a.follows == nil {
			a.followed++
		}
	}},
	{"create a foreign container with its name", func(_ *machine, _ *rand.Rand, a *simApp) {
		if (a.active == units.Inactive || a.active == units.Failed) && a.foreign == nowhere {
			a.foreign = inPlace
		}
	}},
	{"stop slowly", func(_ *machine, _ *rand.Rand, a *simApp) { a.slow = !a.slow }},
	{"daemon-reload by another program", func(m *machine, _ *rand.Rand, _ *simApp) { m.reloadUnseen(func(*simApp) bool { return true }) }},
	{"remove the manifest", func(_ *machine, _ *rand.Rand, a *simApp) { a.removed = true }},
	{"restore the manifest", func(_ *machine, _ *rand.Rand, a *simApp) { a.removed = false }},
	{"break the manifest", func(_ *machine, _ *rand.Rand, a *simApp) { a.invalid = true }},
	{"fix the manifest", func(_ *machine, _ *rand.Rand, a *simApp) { a.invalid = false }},
	{"disable", func(_ *machine, _ *rand.Rand, a *simApp) { a.disabled = true }},
	{"enable", func(_ *machine, _ *rand.Rand, a *simApp) { a.disabled = false }},
	{"clock jump", func(m *machine, r *rand.Rand, _ *simApp) {
		m.now = m.now.Add(time.Duration(r.Int64N(int64(2*365*24*time.Hour))) - 365*24*time.Hour)
	}},
}

func (m *machine) fault(r *rand.Rand, a *simApp) {
	f := faults[r.IntN(len(faults))]
	m.note("%s: %s", a.id, f.name)
	f.do(m, r, a)
	a.faults++
	m.now = m.now.Add(time.Duration(r.Int64N(int64(time.Minute))))
	if r.IntN(2) == 0 {
		m.systemd()
	}
}

// systemd does what systemd does by itself: it restarts what exited, and finishes its jobs.
func (m *machine) systemd() {
	for _, a := range m.apps {
		switch {
		case a.loaded > 0 && (a.restarting || a.job != ""):
			m.start(a)
		case a.job != "":
			a.end(units.Failed)
		}
	}
}

// end leaves an app down, with no job.
func (a *simApp) end(state units.ActiveState) {
	a.active, a.restarting, a.paused, a.job = state, false, false, ""
}

func (m *machine) start(a *simApp) {
	if a.foreign == inPlace {
		m.lost = fmt.Errorf("%s was started although the foreign container was not parked", a.id)
	}
	a.invocation++
	a.active, a.running, a.started, a.restarting, a.paused, a.health = units.Active, a.loaded, true, false, false, units.Serving
	a.limited, a.seen, a.job = false, a.followed, ""
	for _, other := range m.apps {
		if other.follows == a {
			other.followed++
			other.faults++
		}
	}
	if a.running == a.bad {
		a.active, a.restarting = units.Activating, true
	}
}

// stopByHand leaves an app down in the given state.
func (a *simApp) stopByHand(state units.ActiveState) {
	if a.loaded > 0 && (a.active == units.Active || a.restarting) {
		a.end(state)
		a.stopped = true
	}
}

// reload lets systemd read the files: a missing or truncated one has no unit, but a running
// service continues, and one that is down is forgotten.
func (m *machine) reload() {
	for _, a := range m.apps {
		a.loaded = max(a.disk, 0)
		a.collect()
		if a.loaded == 0 && a.restarting {
			a.active, a.restarting = units.Failed, false
		}
	}
}

// reloadUnseen is a reload while no pass runs. An app that crashed while systemd had no unit for
// it looks from then on as if it was stopped.
func (m *machine) reloadUnseen(by func(*simApp) bool) {
	var unseen []*simApp
	for _, a := range m.apps {
		if _, begun := m.history[a.id].Pending[a.service()]; !begun && by(a) && a.active == units.Failed && a.loaded <= 0 && !a.limited {
			unseen = append(unseen, a)
		}
	}
	m.reload()
	for _, a := range unseen {
		a.stopped = a.loaded > 0
	}
}

// collect drops a unit that has no file and is down, and with it that the operator stopped it. A
// failed unit is remembered, but not its Restart=.
func (a *simApp) collect() {
	if a.loaded == 0 && a.active != units.Active {
		a.isEither = a.isEither || a.stopped && a.active == units.Failed
		a.started, a.stopped = a.active == units.Failed, false
	}
}

// isStopped is what systemd's properties tell.
func (a *simApp) isStopped() bool {
	return a.started && (a.active == units.Inactive || a.active == units.Failed && a.loaded > 0 && !a.limited)
}

// decide is a pass up to its plan.
func (m *machine) decide() units.Plan {
	want := units.Desired{Complete: true, Adopts: true}
	for _, a := range m.apps {
		switch {
		case a.removed:
		case a.invalid:
			want.Invalid = append(want.Invalid, a.id)
		default:
			want.Apps = append(want.Apps, a.wanted())
		}
	}
	good := func(id string) (units.Set, error) { return m.app(id).rendered(m.app(id).good), nil }
	basis, err := units.BasisOf(want, units.Past{History: m.history, Adoptions: m.adoptions, Good: good})
	if err != nil {
		panic(err)
	}
	have := units.Observed{Files: map[string]units.FoundFile{}, Units: map[string]units.Unit{}}
	for _, a := range m.apps {
		a.observe(basis, &have)
	}
	for _, app := range basis.Apps { // by its recipe, whatever the files are
		app.Parts[0].Watched = digest(m.app(app.ID).followed)
	}
	plan := units.Decide(basis, have, m.now)
	if apps := plan.Starting(have); len(apps) > 0 {
		have.Foreign = map[string]units.Foreign{}
		for _, app := range apps {
			if m.app(app.ID).foreign == inPlace {
				have.Foreign[app.ID] = units.Foreign{Containers: []units.ForeignContainer{{ID: "1", Name: app.ID, Ran: true}}}
			}
		}
		plan = units.Decide(basis, have, m.now)
	}
	return plan
}

// rendered is the files of a version, none of version 0.
func (a *simApp) rendered(version int) units.Set {
	if version <= 0 {
		return nil
	}
	text := "[Install]\nWantedBy=default.target\n"
	if a.disabled {
		text = ""
	}
	return units.Set{{Name: a.file(), App: a.id, Digest: digest(version), Content: []byte(text + "[X-Archipelago]\nApp=" + a.id + "\nManifestDigest=" + digest(version) + "\n")}}
}

// observe adds what a pass observes of the app.
func (a *simApp) observe(basis units.Basis, have *units.Observed) {
	found := units.FoundFile{App: a.id, Service: a.service()}
	app, isWanted := basis.Find(a.id)
	switch {
	case !isWanted && a.disk != 0:
		found.State = units.FileStale
	case !isWanted:
	case a.disk == 0:
		found.State = units.FileMissing
	case digest(a.disk) != app.Files[0].Digest:
		found.State = units.FileDiffers
	}
	if found.State != "" {
		have.Files[a.file()] = found
	}
	have.Ours = append(have.Ours, a.rendered(a.disk)...)
	u := units.Unit{
		Loaded: a.loaded > 0, NeedsReload: a.loaded > 0 && a.loaded != a.disk, Active: a.active, Restarting: a.restarting,
		Stopped: a.isStopped(), Paused: a.paused, Invocation: strconv.Itoa(a.invocation),
	}
	if a.active == units.Active {
		u.Digest, u.Health, u.Watched, u.Job = digest(a.running), a.health, digest(a.seen), a.job
	}
	have.Units[a.service()] = u
}

// wanted is the app as its manifest says.
func (a *simApp) wanted() units.App {
	part := units.Part{Service: a.service(), File: a.file(), Digest: digest(a.version), Watched: digest(a.followed)}
	app := units.App{ID: a.id, Enabled: !a.disabled, ManifestDigest: digest(a.version), Files: a.rendered(a.version)}
	if a.follows != nil {
		app.Needs, app.RestartAfter, part.TracksAddressOf = []string{a.follows.id}, []string{a.follows.id}, []string{a.follows.service()}
	}
	app.Parts = []units.Part{part}
	return app
}

// carryOut carries out the first actions of a plan, as reconcile does.
func (m *machine) carryOut(plan units.Plan, most int) {
	m.begun, m.history, m.adoptions = nil, plan.Basis.Past.History, plan.Basis.Past.Adoptions
	if most > 0 {
		m.announce(plan)
	}
	var mended []*simApp
	for _, action := range plan.Files {
		if a := m.app(action.App); a.restarting && action.Kind == units.Write {
			mended = append(mended, a)
		}
	}
	for i, action := range plan.Actions() {
		if i >= most {
			m.note("  killed")
			return
		}
		if action.Kind == units.Leave || m.app(action.App).isMet(action) {
			continue
		}
		m.note("  %s %s (%s)", action.Kind, action.Target, action.Reason)
		m.act(plan, action)
	}
	m.checkLate(plan, mended)
	m.verify(plan)
	for _, action := range append(plan.Stops, plan.Steps...) {
		if m.app(action.App).job == "" { // a pass that is preempted does not wait for a job
			m.history.ClearPending(action.App)
		}
	}
	for _, a := range m.apps {
		if a.active == units.Active {
			m.history.ExpireIfHealthy(a.id, m.now)
		}
	}
}

// announce records what is about to be done, as pass.announce does.
func (m *machine) announce(plan units.Plan) {
	for _, action := range plan.Files {
		a := m.app(action.App)
		m.history.DropStarted(a.id, map[string]units.Unit{a.service(): {Invocation: strconv.Itoa(a.invocation)}})
	}
	for id := range plan.Adopts {
		if a := m.app(id); a.active != units.Active && a.active != units.Activating {
			m.begin(units.Action{App: id, Kind: units.Start, Target: a.service()})
		}
	}
	for _, action := range slices.Concat(plan.Steps, plan.Left) {
		a := m.app(action.App)
		isMeant := action.Kind != units.Leave || !a.isStopped()
		if plan.Reload != nil && isMeant && plan.Basis.IsWanted(action.App) && a.active == units.Failed {
			m.begin(action)
		}
	}
	for _, action := range plan.Files {
		a := m.app(action.App)
		app, isWanted := plan.Basis.Find(a.id)
		isRestored := isWanted && action.Reason == units.ReasonFileMissing && a.active == units.Active && digest(a.running) == app.Files[0].Digest
		if !isRestored {
			m.history.MarkChanged(a.id)
		}
	}
}

// checkLate finds apps that a complete pass leaves waiting.
func (m *machine) checkLate(plan units.Plan, mended []*simApp) {
	for _, a := range mended {
		if a.restarting && a.running != a.loaded {
			m.late = fmt.Errorf("%s got other files and waits for an automatic restart with them", a.id)
		}
	}
	for _, a := range m.apps {
		if isFollower := a.follows != nil && slices.ContainsFunc(plan.Steps, func(s units.Action) bool { return s.Target == a.follows.service() }); isFollower && a.isBehind() {
			m.late = fmt.Errorf("%s uses an address that %s had before the pass", a.id, a.follows.id)
		}
	}
}

// verify is the end of a pass: it keeps what serves, and rolls back what does not.
func (m *machine) verify(plan units.Plan) {
	for _, app := range plan.Basis.Apps {
		a := m.app(app.ID)
		isOver := plan.HasSteps(a.id) || slices.Contains(plan.Verifies, a.id)
		hasFailed := a.restarting || a.active == units.Failed && a.limited
		switch {
		case a.job != "": // a later pass verifies it
		case isOver && hasFailed && m.adoptions[a.id].Containers != nil:
			m.revert(a, app)
		case isOver && hasFailed && plan.IsRollbackable(app):
			m.note("  %s does not serve with version %d", a.id, a.disk)
			m.giveBack(a, app, plan)
			m.start(a)
			m.history.MarkVerified(a.id)
		case !isOver && plan.Basis.Unfinished[a.id] && !app.IsUp(map[string]units.Unit{a.service(): {Active: a.active, Restarting: a.restarting, Job: a.job}}) && a.active != units.Inactive:
			// Not known yet.
		default:
			if a.active == units.Active && a.adopts() {
				m.note("  %s serves and replaces the foreign container", a.id)
				a.foreign = nowhere
				m.adoptions.End(a.id)
			}
			if !hasFailed && a.disk > 0 && digest(a.disk) == app.Files[0].Digest {
				a.good = a.disk
			}
			m.history.MarkVerified(a.id)
		}
	}
	for _, a := range m.apps {
		if a.removed {
			a.good = 0
			m.history.MarkVerified(a.id)
		}
	}
}

// giveBack restores the files that an app had before.
func (m *machine) giveBack(a *simApp, app units.App, plan units.Plan) {
	version, err := strconv.Atoi(plan.PreviousFiles(a.id)[0].Digest)
	if err != nil {
		panic(err)
	}
	a.disk, a.loaded = version, version
	m.history.RollBack(app)
}

// adopts reports whether the app has replaced a foreign container.
func (a *simApp) adopts() bool { return a.foreign == parked }

// revert stops an app and restores its foreign container.
func (m *machine) revert(a *simApp, app units.App) {
	m.note("  %s does not serve after the adoption", a.id)
	m.adoptions.Withdraw(app)
	a.end(units.Inactive)
	a.disk, a.loaded, a.started, a.foreign = 0, 0, false, inPlace
	m.adoptions.End(a.id)
}

func (m *machine) app(id string) *simApp {
	for _, a := range m.apps {
		if a.id == id {
			return a
		}
	}
	return nil
}

func (a *simApp) app() units.App { return units.App{ID: a.id, ManifestDigest: digest(a.version)} }

// isMet reports whether an action would restart an app for an address that it already has.
func (a *simApp) isMet(action units.Action) bool {
	return action.Reason == units.ReasonWatchedFileDiffers && a.seen == a.followed
}

// isBehind reports whether an app is up and the app that it follows restarted since.
func (a *simApp) isBehind() bool {
	return a.active == units.Active && a.job == "" && a.health == units.Serving && !a.paused && !a.removed && !a.invalid &&
		a.follows.active == units.Active && a.follows.job == "" && a.seen != a.followed
}

// begin records that work on a service begins, once in a pass.
func (m *machine) begin(action units.Action) {
	if !slices.Contains(m.begun, action.Target) {
		m.begun = append(m.begun, action.Target)
		a := m.app(action.App)
		if action.Kind == units.Restart && a.active == units.Active {
			m.history.MarkJobPending(a.app(), action.Target, strconv.Itoa(a.invocation))
			return
		}
		m.history.MarkPending(a.app(), action.Target, strconv.Itoa(a.invocation))
	}
}

func (m *machine) act(plan units.Plan, action units.Action) {
	a := m.app(action.App)
	if app, isWanted := plan.Basis.Find(action.App); isWanted && action.Reason == units.ReasonRolledBack && plan.Basis.IsInPlace(app.ID) {
		m.adoptions.Withdraw(app) // which is saved before anything is done
	}
	switch action.Kind {
	case units.Stop, units.ResetFailed, units.Start, units.Restart, units.Recreate:
		isNone := action.Kind == units.Start && a.active == units.Active
		isRestarted := action.Reason == units.ReasonChangedWhileRestarting || action.Reason == units.ReasonRolledBack && a.restarting
		if !isRestarted && !isNone {
			m.begin(action)
		}
	case units.Write, units.Remove, units.Reload, units.ReloadService, units.ReloadNetwork, units.Adopt, units.Restore, units.Acquire, units.Leave:
	}
	if action.Repair {
		m.history.Repaired(a.app(), action.Reason, m.now)
	}
	switch action.Kind {
	case units.Stop:
		if a.active != units.Failed {
			a.end(units.Inactive)
		}
		a.collect()
	case units.Write:
		m.write(a, plan, action)
	case units.Remove:
		if action.Target == a.file() {
			a.disk = 0
		}
	case units.Adopt:
		m.adoptions.Begin(a.id, plan.Adopts[a.id])
		a.foreign = parked
	case units.Restore:
		apps := slices.Concat(plan.Basis.Apps, plan.Basis.Reverted)
		app := apps[slices.IndexFunc(apps, func(app units.App) bool { return app.ID == a.id })]
		m.revert(a, app)
	case units.Reload:
		m.reloadUnseen(func(a *simApp) bool { return a.invalid })
	case units.ResetFailed:
		if a.active == units.Failed {
			a.active, a.limited = units.Inactive, false
		}
		if action.Reason == units.ReasonRemoved { // the record of a removed app is dropped
			a.stopped = false
		}
		a.collect()
	case units.Start, units.Restart, units.Recreate:
		if a.loaded <= 0 || action.Kind == units.Start && a.active == units.Active {
			return
		}
		if action.Reason != units.ReasonRolledBack && action.Reason != units.ReasonLegacy { // which concern what an earlier pass started
			a.starts++
		}
		if a.slow && action.Kind == units.Restart && a.active == units.Active {
			a.job = "restart"
			return
		}
		m.start(a)
	case units.ReloadService, units.ReloadNetwork, units.Acquire, units.Leave:
	}
}

// write writes a file of an app: of the manifest, or of before.
func (m *machine) write(a *simApp, plan units.Plan, action units.Action) {
	app, _ := plan.Basis.Find(a.id)
	if action.Reason == units.ReasonRolledBack {
		m.giveBack(a, app, plan)
		return
	}
	version, err := strconv.Atoi(app.Files[0].Digest)
	if err != nil {
		panic(err)
	}
	a.disk = version
	a.writes++
}

// settle runs passes, an hour apart, until there is nothing to do.
func (m *machine) settle() error {
	for range 8 {
		m.systemd()
		m.now = m.now.Add(time.Hour)
		plan := m.decide()
		if plan.Idle() {
			return nil
		}
		m.note("pass")
		m.carryOut(plan, 1<<30)
	}
	return fmt.Errorf("still busy after 8 passes: %v", m.decide().Actions())
}

func (m *machine) check() error {
	hit := map[string]bool{}
	for _, a := range m.apps {
		hit[a.id] = a.faults > 0
		if err := a.check(m.history.RolledBack(a.app())); err != nil {
			return fmt.Errorf("%s: %w", a.id, err)
		}
		if !hit[a.id] && a.starts+a.writes > 0 {
			return fmt.Errorf("%s was not hit and has %d starts and %d writes", a.id, a.starts, a.writes)
		}
		if a.starts > a.faults {
			return fmt.Errorf("%s has %d starts for %d faults", a.id, a.starts, a.faults)
		}
	}
	return nil
}

// check reports what is wrong with the app in the end. An app that exited before it was verified
// with a version may be back at the previous one.
func (a *simApp) check(isRolledBack bool) error {
	version := a.version
	if isRolledBack && slices.Contains(a.ended, version) && a.good > 0 {
		version = a.good
	}
	switch {
	case a.removed && (a.disk != 0 || a.active != units.Inactive):
		return fmt.Errorf("removed, but its file is %d and it is %s", a.disk, a.active)
	case a.removed:
	case a.foreign == parked && !a.stopped && !a.disabled: // archgen start resumes it
		return errors.New("its container is still parked")
	case a.foreign == inPlace && (a.disk == 0 || slices.Contains(a.ended, version)): // it did not serve after the adoption, or before
	case a.disk != version || a.loaded != version:
		return fmt.Errorf("its file is %d, systemd has %d, wanted %d", a.disk, a.loaded, version)
	case a.stopped && a.active != units.Inactive && a.active != units.Failed:
		return fmt.Errorf("stopped by the operator, but %s", a.active)
	case a.stopped, a.disabled, a.isEither && a.active == units.Failed:
	case a.follows != nil && a.follows.active != units.Active && slices.Contains(a.ended, version): // that may be the only cause
	case a.active != units.Active || a.running != version || a.paused || a.health != units.Serving, a.seen != a.followed && (a.follows == nil || a.follows.active == units.Active):
		return fmt.Errorf("%s, runs %d of %d, paused %v, %s, follows %d of %d", a.active, a.running, version, a.paused, a.health, a.seen, a.followed)
	}
	return nil
}
