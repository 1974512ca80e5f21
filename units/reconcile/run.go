package reconcile

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// Run makes the machine be as desired says. desired is asked once the lock is
// held, so that two passes never act on two readings of the manifests.
//
// An error is one of the whole pass, such as a lock that another pass holds;
// what went wrong with single apps is in the report, and never keeps the others
// from being put right.
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
	p := &pass{host: host, desired: desired, want: want, requested: want.Apps, good: sync.OnceValues(host.Store.Good), started: host.Now(), foreign: map[string][]units.ForeignContainer{}, results: map[string]*Result{}}
	for _, app := range want.Apps {
		p.results[app.ID] = &Result{App: app.ID, Outcome: Unchanged}
	}
	err = p.run(ctx)
	return p.report(), err
}

// Preview says what Run would do, and does nothing.
func Preview(ctx context.Context, want units.Desired, host Host) (units.Plan, error) {
	p := &pass{host: host, want: want, good: sync.OnceValues(host.Store.Good), started: host.Now(), results: map[string]*Result{}}
	err := p.recollect()
	if err == nil {
		err = p.observe(ctx)
	}
	return p.plan, err
}

// pass is one run.
type pass struct {
	host    Host
	desired func() (units.Desired, error)
	// want is what the pass makes of what is desired, asked the apps of that.
	want      units.Desired
	requested []units.App
	started   time.Time
	have      units.Observed
	plan      units.Plan
	// good is the files of the newest generation.
	good func() (units.Set, error)
	// before is the files that were ours when the pass began.
	before units.Set
	// restored is the files that were put back before anything else.
	restored units.Set
	// unfinished is the apps whose files an earlier pass changed that did not
	// come to its end, such as one that was killed.
	unfinished map[string]bool
	// foreign is the containers that were found in the place of apps.
	foreign map[string][]units.ForeignContainer
	// reverted is the apps that did not serve in the place of containers, which have
	// it back.
	reverted []units.App

	// kept is the history as it was last written down.
	kept units.History

	mu        sync.Mutex
	history   units.History
	adoptions units.Adoptions
	results   map[string]*Result
	done      []units.Action
}

func (p *pass) run(ctx context.Context) error {
	p.record()
	p.restore()
	if err := p.recollect(); err != nil {
		return err
	}
	if err := p.observe(ctx); err != nil {
		return err
	}
	if err := p.findForeign(ctx); err != nil {
		return err
	}
	if err := p.forgetRemoved(); err != nil {
		return err
	}
	p.refuse()
	if p.plan.Idle() && len(p.unfinished)+len(p.pendingReverts()) == 0 && !p.isRotating() && !slices.ContainsFunc(p.want.Apps, p.isUnproven) {
		p.ensurePrerequisites(ctx)
		return p.saveHistory()
	}
	p.ensurePrerequisites(ctx)
	if err := p.announce(); err != nil {
		return err
	}
	if err := p.stop(ctx); err != nil {
		return err
	}
	p.park(ctx)
	err := p.files(ctx)
	p.unparkAborted(ctx, err)
	if err != nil {
		return err
	}
	p.finishReverts(ctx)
	p.services(ctx)
	err = p.commit()
	if err == nil && ctx.Err() == nil {
		p.finish()
	}
	return errors.Join(err, p.saveHistory())
}

// record writes down what nobody could tell any more once the units of an app are others.
// An app for which that fails stays as it is.
func (p *pass) record() {
	p.want.Apps = slices.DeleteFunc(slices.Clone(p.want.Apps), func(app units.App) bool {
		u := app.Unrecorded
		if u == nil {
			return false
		}
		if err := p.host.Record(u.Dir, u.Name, u.Content); err != nil {
			p.fail(app.ID, Failed, err, nil)
			p.want.Invalid = append(slices.Clone(p.want.Invalid), app.ID)
			return true
		}
		p.noteDone(units.Action{App: app.ID, Kind: units.Write, Target: path.Join(u.Dir, u.Name), Reason: units.ReasonGrantsUnrecorded})
		return false
	})
}

// recollect reads what earlier passes left, and what of the manifests counts then.
func (p *pass) recollect() (err error) {
	if p.history, err = p.host.Store.History(); err != nil {
		return err
	}
	p.kept = maps.Clone(p.history)
	if p.adoptions, err = p.host.Store.Adoptions(); err != nil {
		return err
	}
	p.skipReverted()
	p.unfinished = map[string]bool{}
	for id, r := range p.history {
		if r.Changed && !p.outOfScope(id) {
			p.unfinished[id] = true
		}
	}
	for _, app := range p.want.Apps {
		if app.Request == units.Start || app.Request == units.Restart {
			p.history.Reset(app.ID)
		}
	}
	return p.keepGood()
}

// observe observes and decides.
func (p *pass) observe(ctx context.Context) (err error) {
	// Units first: what they are to be reloaded for is then seen in the files.
	if p.have.Units, err = p.host.Services.Observe(ctx, append(p.serviceNames(), p.pullNames()...), p.want.Complete); err != nil {
		return err
	}
	if p.have.Files, p.before, err = p.host.Files.Look(p.want.Files()); err != nil {
		return err
	}
	for _, f := range p.restored { // systemd has to read them all the same
		if _, differs := p.have.Files[f.Name]; !differs {
			p.have.Files[f.Name] = units.FoundFile{State: units.FileMissing, App: f.App}
		}
	}
	unknown := p.configure()
	p.probe(ctx)
	p.plan = units.Diff(p.want, p.have, p.history, p.started)
	p.plan.Left = slices.Concat(p.plan.Left, p.skippedActions(), unknown)
	p.done = append(p.done, p.plan.Left...)
	return nil
}

// keepGood puts the last good files in the place of those of a manifest that was
// tried and did not serve, or that has an error. While nobody knows whether an app
// serves with the files that it has, one with an error is left as it is.
func (p *pass) keepGood() error {
	p.want.Apps = slices.Clone(p.want.Apps)
	for i, app := range p.want.Apps {
		if !p.history.RolledBack(app) {
			continue
		}
		good, err := p.lastGood(app.ID)
		if err != nil {
			return err
		}
		if len(good) > 0 {
			p.want.Apps[i] = app.With(good)
			p.leave(app, units.ReasonRolledBack)
		}
	}
	for _, id := range p.want.Invalid {
		if p.isWanted(id) || p.history[id].Changed { // it is to be stopped as it is
			continue
		}
		good, err := p.lastGood(id)
		if err != nil {
			return err
		}
		if len(good) > 0 {
			p.want.Apps = append(p.want.Apps, units.AsRendered(id, good))
		}
	}
	return nil
}

// lastGood is the last good files of an app.
func (p *pass) lastGood(app string) (units.Set, error) {
	good, err := p.good()
	return good.Of(app), err
}

func (p *pass) serviceNames() []string {
	var names []string
	for _, app := range p.want.Apps {
		names = append(names, app.Services()...)
	}
	return names
}

// pullNames is what gets what the apps lack.
func (p *pass) pullNames() []string {
	names := make([]string, 0, len(p.want.Apps))
	for _, app := range p.want.Apps {
		names = append(names, units.PullOf(app.ID))
	}
	return names
}

// probers is how many services are asked at a time.
const probers = 16

// probe asks every running service whether it serves.
func (p *pass) probe(ctx context.Context) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, probers)
	for _, app := range p.want.Apps {
		for _, part := range app.Parts {
			p.mu.Lock()
			u := p.have.Units[part.Service]
			p.mu.Unlock()
			file, ok := app.Files.Find(part.File)
			if u.Active != units.Active || !ok {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				u.Health, _ = p.host.Health(ctx, file, part, u)
				p.mu.Lock()
				p.have.Units[part.Service] = u
				p.mu.Unlock()
			})
		}
	}
	wg.Wait()
}

// saveHistory brings the records of repairs up to date: of apps that are well they
// are forgotten after a while, of those that are gone at once.
func (p *pass) saveHistory() error {
	for _, app := range p.want.Apps {
		if p.result(app.ID).Outcome == Unchanged && p.isWell(app) {
			p.metConfig(app.ID) // by a job for which the pass that asked for it did not wait
			p.history.ExpireIfHealthy(app.ID, p.started)
		}
	}
	var have map[string]units.Unit
	if p.want.Complete { // which a look at some apps does not see
		have = p.have.Units
	}
	for id := range p.history {
		if !p.isInstalled(id) {
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

// isUnverified reports whether an earlier pass changed the files of an app and nobody
// can tell yet whether it serves with them: it is still starting, or backing off.
func (p *pass) isUnverified(app units.App) bool {
	isOnItsWay := func(part units.Part) bool { return p.have.Units[part.Service].Active != units.Inactive }
	return p.unfinished[app.ID] && len(p.steps(app)) == 0 && !p.isUp(app) && slices.ContainsFunc(app.Parts, isOnItsWay)
}

// isUp reports whether an app is where a start leads to: some parts run, and the
// others are stopped.
func (p *pass) isUp(app units.App) bool {
	some := false
	for _, part := range app.Parts {
		u := p.have.Units[part.Service]
		if u.IsOnItsWay() {
			return false
		}
		switch u.Active {
		case units.Active:
			some = true
		case units.Inactive:
		default:
			return false
		}
	}
	return some
}

// finish notes that this pass came to its end. Of an app for which something
// could not be done, nobody knows whether it serves.
func (p *pass) finish() {
	for _, app := range p.want.Apps {
		if o := p.result(app.ID).Outcome; !p.isUnverified(app) && o != Failed && o != Starting {
			p.history.MarkVerified(app.ID)
		}
	}
	for id, r := range p.history { // of apps that are gone
		if r.Changed && !p.isWanted(id) && !p.outOfScope(id) {
			p.history.MarkVerified(id)
		}
	}
}

// commit keeps what is on the disk now as a generation, if every app whose
// files changed was verified to serve.
func (p *pass) commit() error {
	if len(p.plan.Files) == 0 && len(p.unfinished) == 0 {
		return nil
	}
	good, err := p.good()
	if err != nil {
		return err
	}
	var set units.Set
	unproven := map[string]bool{}
	for _, app := range p.want.Apps {
		if p.isBad(app.ID) || p.isUnverified(app) {
			unproven[app.ID] = true
			set = append(set, p.previousFiles(app.ID)...) // what was good stays so
		}
	}
	for _, f := range p.want.Files() {
		if !unproven[f.App] {
			set = append(set, f)
		}
	}
	set = append(set, p.others(good)...)
	set.Sort()
	return p.host.Store.Commit(slices.CompactFunc(set, func(a, b units.File) bool { return a.Name == b.Name }), p.why())
}

// others is the files of apps that this pass is not about, those that are good before
// those that were found, and of apps that it could not remove.
func (p *pass) others(good units.Set) (set units.Set) {
	ids := map[string]bool{}
	for _, f := range slices.Concat(good, p.before) {
		ids[f.App] = true
	}
	for id := range ids {
		switch own := good.Of(id); {
		case id == "": // one that is shared may be for another app
			if !p.want.Complete || len(p.want.Invalid) > 0 {
				set = append(set, p.before.Of(id)...)
			}
		case p.isWanted(id):
		case p.isBad(id):
			set = append(set, p.before.Of(id)...)
		case !p.outOfScope(id):
		case len(own) > 0:
			set = append(set, own...)
		case !p.history[id].Changed:
			set = append(set, p.before.Of(id)...)
		}
	}
	return set
}

// outOfScope reports whether a file of ours belongs to nothing that this pass is about.
func (p *pass) outOfScope(app string) bool {
	return !p.isWanted(app) && (!p.want.Complete || slices.Contains(p.want.Invalid, app))
}

func (p *pass) isWanted(app string) bool {
	_, ok := p.want.Find(app)
	return ok
}

// previousFiles is the files of an app from before they were changed: by this pass, or
// by one that did not come to its end. With what is left where some were lost it
// never ran.
func (p *pass) previousFiles(app string) units.Set {
	if p.unfinished[app] || p.hasLost(app) {
		if good, err := p.lastGood(app); err == nil {
			return good
		}
	}
	return p.before.Of(app)
}

// hasLost reports whether files of an app were not there, or had nothing left in them
// that tells whose they are.
func (p *pass) hasLost(app string) bool {
	return slices.ContainsFunc(p.plan.Files, func(a units.Action) bool {
		_, found := p.before.Find(a.Target)
		return a.App == app && a.Kind == units.Write && !found
	})
}

// why sums up the reasons for the changes of files.
func (p *pass) why() string {
	list := make([]string, 0, len(p.plan.Files)+len(p.unfinished))
	for app := range p.unfinished {
		list = append(list, "verify "+app+" (interrupted)")
	}
	for _, a := range p.plan.Files {
		list = append(list, string(a.Kind)+" "+cmp.Or(a.App, "shared")+" ("+string(a.Reason)+")")
	}
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(list))), ", ")
}

// result is the entry of an app; the caller holds no lock.
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

// fail notes what went wrong with an app. The first failure is the one that
// counts.
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
		return false // the pass is not about it
	}
	switch r.Outcome {
	case NotServing, Starting, RolledBack, Failed:
		return true
	case Unchanged, Done:
	}
	return false
}

// act does one action and tells of it.
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
	if p.host.Progress != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.host.Progress(e)
	}
}

func (p *pass) report() Report {
	r := Report{Actions: append([]units.Action{}, p.done...), Results: []Result{}, Apps: slices.Clone(p.want.Apps), Units: p.have.Units, Due: p.plan.Due}
	asked := map[string]bool{}
	for _, app := range p.requested {
		asked[app.ID] = true
		if !p.isWanted(app.ID) {
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
