package reconcile

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// Run makes the machine match the desired state. desired is called once the lock is held, so that
// two passes never act on different readings of the manifests.
//
// An error concerns the whole pass, such as a lock that another pass holds. Errors of single apps
// are in the report, and don't affect other apps.
func Run(ctx context.Context, desired func() (units.Desired, error), host Host) (Report, error) {
	unlock, err := host.Store.Lock(ctx)
	if err != nil {
		return Report{}, err
	}
	defer unlock()
	want, err := desired()
	if err != nil {
		return Report{}, err
	}
	p := newPass(host, want)
	p.desired = desired
	for _, app := range want.Apps {
		p.results[app.ID] = &Result{App: app.ID, Outcome: Unchanged}
	}
	err = p.run(ctx)
	return p.report(), err
}

// Preview returns the plan that Run would carry out, and changes nothing. Find of host.Foreign
// must write nothing.
func Preview(ctx context.Context, want units.Desired, host Host) (units.Plan, error) {
	p := newPass(host, want)
	err := p.recollect()
	if err == nil {
		err = p.decide(ctx)
	}
	return p.plan, err
}

func newPass(host Host, want units.Desired) *pass {
	p := &pass{host: host.complete(), started: host.Now(), results: map[string]*Result{}, courses: map[string]*course{}}
	p.guard = guard{busy: make(token, 1), files: map[string]units.Set{}, late: map[string]bool{}}
	p.good = sync.OnceValues(host.Store.Good)
	p.setDesired(want)
	return p
}

// pass is one run.
type pass struct {
	host    Host
	desired func() (units.Desired, error)
	want    units.Desired
	started time.Time
	past    units.Past
	have    units.Observed
	// basis is what the plan was decided from.
	basis units.Basis
	// plan is the plan of the pass. Its basis lacks what waits.
	plan units.Plan
	// good is the files of the newest generation.
	good  func() (units.Set, error)
	guard guard
	// due is when something can be done that this pass could not wait for.
	due time.Time
	// kept is the history as it was last saved.
	kept units.History

	// courses is the apps that the pass starts, changes or verifies.
	courses map[string]*course

	mu        sync.Mutex
	history   units.History
	adoptions units.Adoptions
	results   map[string]*Result
	done      []units.Action
}

// setDesired sets the desired state, reduced to what this host supports.
func (p *pass) setDesired(want units.Desired) {
	want.Adopts, want.StabilizationTime = p.host.Foreign.Adopts(), p.host.StabilizationTime
	p.want = want
}

func (p *pass) run(ctx context.Context) error {
	p.restore()
	defer p.guardFiles(ctx)()
	if err := p.recollect(); err != nil {
		return err
	}
	if err := p.decide(ctx); err != nil {
		return err
	}
	p.sayDecided()
	starts := p.plan.Starting(p.have)
	if len(starts) > 0 {
		p.host.Starts(starts, p.have.Units)
	}
	if err := p.keepAdoptions(); err != nil {
		return err
	}
	p.record()
	p.acquire(ctx)
	if p.plan.Idle() && len(p.plan.Basis.Unfinished)+len(p.plan.Verifies) == 0 {
		return p.saveHistory()
	}
	if err := p.announce(); err != nil {
		return err
	}
	if err := p.stop(ctx); err != nil {
		return err
	}
	p.park(ctx)
	created := p.create(ctx, starts)
	err := p.files(ctx)
	created()
	p.unparkAborted(ctx, err)
	if err != nil {
		return err
	}
	p.finishReverts(ctx)
	p.forgetRestarts(ctx)
	p.services(ctx)
	err = p.commit()
	if err == nil && ctx.Err() == nil {
		p.finish()
	}
	return errors.Join(err, p.saveHistory())
}

// recollect reads the state that earlier passes left.
func (p *pass) recollect() (err error) {
	if p.past.History, err = p.host.Store.History(); err != nil {
		return err
	}
	p.kept = p.past.History
	p.past.Adoptions, err = p.host.Store.Adoptions()
	p.past.Good, p.past.DataFormat, p.past.IsDataSaved = p.lastGood, p.host.Store.DataFormat, p.host.Store.IsDataSaved
	return err
}

// decide observes and decides. It decides once more if apps that the plan starts have foreign
// containers, or if manifests changed because of the mounts of those.
func (p *pass) decide(ctx context.Context) error {
	if err := p.observeAndDecide(ctx); err != nil {
		return err
	}
	apps := p.plan.Starting(p.have)
	if len(apps) == 0 {
		return nil
	}
	found, changed := p.findForeign(ctx, apps)
	if changed && p.desired != nil {
		want, err := p.desired()
		if err != nil {
			return err
		}
		p.setDesired(want)
		if err := p.observeAndDecide(ctx); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		p.have.Foreign = found
		p.plan = units.Decide(p.basis, p.have, p.started)
	}
	return nil
}

func (p *pass) observeAndDecide(ctx context.Context) error {
	basis, err := units.BasisOf(p.want, p.past)
	if err != nil {
		return err
	}
	if err := p.observe(ctx, basis); err != nil {
		return err
	}
	p.basis, p.plan = basis, units.Decide(basis, p.have, p.started)
	p.history, p.adoptions = maps.Clone(basis.Past.History), maps.Clone(basis.Past.Adoptions)
	return nil
}

// sayDecided reports what the plan leaves as it is, and the apps that it refuses.
func (p *pass) sayDecided() {
	p.mu.Lock()
	p.done = append(p.done, p.plan.Left...)
	p.mu.Unlock()
	for _, r := range p.plan.Refused {
		p.fail(r.App, Failed, r.Err, nil)
	}
	for id := range p.plan.Adopts {
		r := p.result(id)
		r.Notes = append(r.Notes, p.have.Foreign[id].Notes...)
	}
}

// record writes the grants that only the old units of an app record. If that fails, the app stays
// as it is.
func (p *pass) record() {
	for _, a := range p.plan.Records {
		app, _ := p.plan.Basis.Find(a.App)
		u := app.Unrecorded
		if err := p.host.Record(u.Dir, u.Name, u.Content); err != nil {
			p.fail(app.ID, Failed, err, nil)
			continue
		}
		p.noteDone(a)
	}
}

// observe observes everything that a basis covers.
func (p *pass) observe(ctx context.Context, basis units.Basis) (err error) {
	p.have = units.Observed{}
	// Units first: the files then show every change that they must be reloaded for.
	if p.have.Units, err = p.host.Services.Observe(ctx, slices.Concat(basis.Services(), pullNames(basis)), basis.Complete); err != nil {
		return err
	}
	if p.have.Files, p.have.Ours, err = p.host.Files.Look(basis.Files()); err != nil {
		return err
	}
	for _, f := range p.restored() { // systemd still has to read them
		if _, differs := p.have.Files[f.Name]; !differs {
			p.have.Files[f.Name] = units.FoundFile{State: units.FileMissing, App: f.App}
		}
	}
	p.limits()
	p.configure(basis)
	p.probe(ctx, basis)
	return nil
}

// limits adds the limits on which services failed. Their room is read only if there are any.
func (p *pass) limits() {
	for service, u := range p.have.Units {
		if !u.Restarting && u.Active != units.Failed {
			continue
		}
		if u.Limit = p.host.Limit(service, u); u.Limit != "" {
			p.have.Units[service] = u
			if p.have.Room == nil {
				p.have.Room = p.host.Room()
			}
		}
	}
}

// lastGood returns the last-good files of an app.
func (p *pass) lastGood(app string) (units.Set, error) {
	good, err := p.good()
	return good.Of(app), err
}

// pullNames is the units that acquire what the apps lack.
func pullNames(basis units.Basis) []string {
	names := make([]string, 0, len(basis.Apps))
	for _, app := range basis.Apps {
		names = append(names, units.PullOf(app.ID))
	}
	return names
}

// probers is the number of concurrent probes.
const probers = 16

// probe adds the health of every running service.
func (p *pass) probe(ctx context.Context, basis units.Basis) {
	type asked struct {
		file   units.File
		part   *units.Part
		health units.Health
	}
	list := make([]asked, 0, len(basis.Apps))
	for _, app := range basis.Apps {
		for i := range app.Parts {
			part := &app.Parts[i]
			if file, ok := app.Files.Find(part.File); ok && p.have.Units[part.Service].Active == units.Active {
				list = append(list, asked{file: file, part: part})
			}
		}
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(probers, len(list)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				a := &list[i]
				a.health, _ = p.host.Health(ctx, a.file, *a.part, p.have.Units[a.part.Service])
			}
		})
	}
	wg.Wait()
	for _, a := range list {
		u := p.have.Units[a.part.Service]
		u.Health = a.health
		p.have.Units[a.part.Service] = u
	}
}

// saveHistory updates and saves the records of repairs: those of healthy apps expire after a
// while, those of removed apps are dropped.
func (p *pass) saveHistory() error {
	for _, app := range p.plan.Basis.Apps {
		if p.result(app.ID).Outcome != Unchanged {
			continue
		}
		p.metByThen(app)
		if p.isWell(app) {
			p.history.ExpireIfHealthy(app.ID, p.started)
		}
	}
	var have map[string]units.Unit
	if p.plan.Basis.Complete { // only a complete pass sees removed apps
		have = p.have.Units
	}
	for id := range p.history {
		if !p.plan.Basis.IsInstalled(id) {
			p.history.DropRemoved(id, have)
		}
	}
	return p.keepHistory()
}

func (p *pass) isWell(app units.App) bool {
	return !slices.ContainsFunc(app.Parts, func(part units.Part) bool {
		u := p.have.Units[part.Service]
		return u.Active != units.Active || u.Config != part.Config || u.Watched != part.Watched || u.Reloadable != part.Reloadable || u.Health != units.Serving && u.Health != units.HealthUnknown
	})
}

// isUnverified reports whether an earlier pass changed the files of an app and it is not known yet
// whether it serves with them: it is still starting, or backing off.
func (p *pass) isUnverified(app units.App) bool {
	isOnItsWay := func(part units.Part) bool { return p.have.Units[part.Service].Active != units.Inactive }
	return p.plan.Basis.Unfinished[app.ID] && !p.plan.HasSteps(app.ID) && !app.IsUp(p.have.Units) && slices.ContainsFunc(app.Parts, isOnItsWay)
}

// finish records that this pass finished. Apps with a failed action stay unverified.
func (p *pass) finish() {
	for _, app := range p.plan.Basis.Apps {
		if o := p.result(app.ID).Outcome; !p.isUnverified(app) && o != Failed && o != Starting && o != Watched {
			p.history.MarkVerified(app.ID)
		}
	}
	for id, r := range p.history { // of removed apps
		if r.Changed && !p.plan.Basis.IsWanted(id) && !p.plan.Basis.OutOfScope(id) {
			p.history.MarkVerified(id)
		}
	}
}

// commit stores the files on disk as a generation if every app whose files changed was verified to
// serve.
func (p *pass) commit() error {
	if len(p.plan.Files) == 0 && len(p.plan.Basis.Unfinished) == 0 {
		return nil
	}
	good, err := p.good()
	if err != nil {
		return err
	}
	var set units.Set
	unproven := map[string]bool{}
	for _, app := range p.plan.Basis.Apps {
		if p.isBad(app.ID) || p.isUnverified(app) || p.result(app.ID).Outcome == Watched {
			unproven[app.ID] = true
			set = append(set, p.plan.PreviousFiles(app.ID)...) // last-good files stay in the generation
		}
	}
	for _, f := range p.plan.Basis.Files() {
		if !unproven[f.App] {
			set = append(set, f)
		}
	}
	set = append(set, p.others(good)...)
	set.Sort()
	return p.host.Store.Commit(slices.CompactFunc(set, func(a, b units.File) bool { return a.Name == b.Name }), p.why())
}

// others is the files of apps that are not part of this pass, preferably their last-good ones, and
// of apps that it could not remove.
func (p *pass) others(good units.Set) (set units.Set) {
	ids := map[string]bool{}
	for _, f := range slices.Concat(good, p.plan.Ours) {
		ids[f.App] = true
	}
	for id := range ids {
		switch own := good.Of(id); {
		case id == "": // a shared file may belong to another app
			if !p.plan.Basis.Complete || len(p.plan.Basis.Invalid) > 0 {
				set = append(set, p.plan.Ours.Of(id)...)
			}
		case p.plan.Basis.IsWanted(id):
		case p.isBad(id):
			set = append(set, p.plan.Ours.Of(id)...)
		case !p.plan.Basis.OutOfScope(id):
		case len(own) > 0:
			set = append(set, own...)
		case !p.history[id].Changed:
			set = append(set, p.plan.Ours.Of(id)...)
		}
	}
	return set
}

// why lists the reasons for the changes of files.
func (p *pass) why() string {
	list := make([]string, 0, len(p.plan.Files)+len(p.plan.Basis.Unfinished))
	for app := range p.plan.Basis.Unfinished {
		list = append(list, "verify "+app+" (interrupted)")
	}
	for _, a := range p.plan.Files {
		list = append(list, string(a.Kind)+" "+cmp.Or(a.App, "shared")+" ("+string(a.Reason)+")")
	}
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(list))), ", ")
}

// result is the result of an app. The caller does not hold the lock.
func (p *pass) result(app string) *Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.results[app]
	if r == nil {
		r = &Result{App: app, Outcome: Unchanged}
		p.results[app] = r
	}
	return r
}

// fail records the failure of an app. Only its first failure counts.
func (p *pass) fail(app string, outcome Outcome, err error, log []string) {
	r := p.result(app)
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Outcome == Unchanged || r.Outcome == Done {
		r.Outcome, r.Error, r.Log = outcome, err.Error(), log
	}
}

func (p *pass) succeed(app string) {
	r := p.result(app)
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Outcome = Done
}

func (p *pass) isBad(app string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.results[app]
	if r == nil {
		return false // it is not part of the pass
	}
	switch r.Outcome {
	case NotServing, Starting, RolledBack, Failed:
		return true
	case Unchanged, Done, Watched:
	}
	return false
}

// act carries out one action and reports it.
func (p *pass) act(a units.Action, do func() error) error {
	p.tell(Event{Action: a})
	err := do()
	p.mu.Lock()
	p.done = append(p.done, a)
	p.mu.Unlock()
	p.tell(Event{Action: a, Ended: true, Err: err})
	return err
}

func (p *pass) tell(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.host.Progress(e)
}

// dueTime is when the next pass can do what this one could not, the zero time if nothing is
// delayed.
func (p *pass) dueTime() time.Time {
	if p.due.IsZero() {
		return p.plan.Due
	}
	return p.due
}

// undone is the actions that were not carried out for apps some of whose files were not changed.
func (p *pass) undone() []units.Action {
	isDone := func(a units.Action) bool { return !a.Changes() || slices.Contains(p.done, a) }
	isLeft := map[string]bool{}
	for _, a := range p.plan.Files {
		isLeft[a.App] = isLeft[a.App] || !isDone(a)
	}
	return slices.DeleteFunc(p.plan.Actions(), func(a units.Action) bool { return isDone(a) || !isLeft[a.App] })
}

func (p *pass) report() Report {
	r := Report{Actions: append([]units.Action{}, p.done...), Results: make([]Result, 0, len(p.results)), Apps: slices.Clip(p.plan.Basis.Apps), Units: p.have.Units, Ours: p.have.Ours, Undone: p.undone(), Due: p.dueTime()}
	asked := map[string]bool{}
	for _, app := range p.want.Apps {
		asked[app.ID] = true
		if !p.plan.Basis.IsWanted(app.ID) {
			r.Apps = append(r.Apps, app)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.results)) {
		if id != "" && (asked[id] || p.results[id].Outcome != Unchanged) {
			r.Results = append(r.Results, *p.results[id])
		}
	}
	return r
}
