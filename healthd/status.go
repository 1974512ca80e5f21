package healthd

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// Status is how all apps are at one moment.
type Status struct {
	// Apps is sorted by id.
	Apps   []App
	Passes Passes
}

// App is how an app is.
type App struct {
	ID string
	// State is the worst of its parts', Reason why it is so or what a pass would
	// do about it, empty where there is nothing to say.
	State  units.Phase
	Reason units.Reason
	// Level is how far it serves: alive, serving, synced, loading, needs-user;
	// empty where it is down or nobody asks.
	Level string
	// Detail says more for people, Progress how far a loading app is, -1 where it
	// does not say.
	Detail   string
	Progress float64
	// Since is when State, Reason or Level came to be what they are.
	Since time.Time
	// Latency is how long the last answer took, 0 where there was none.
	Latency time.Duration
	// Restarts is how many starts of its services after the first were seen, Repairs how many
	// actions were done for it, by kind.
	Restarts int
	Repairs  map[units.Kind]int
	// Error is what went wrong in the last pass that changed something, Log the
	// last lines that the app wrote then.
	Error string
	Log   []string

	// sick: it counted as sick, and has not served since, whatever was done.
	unhealthy bool
	// starts is the last start that was seen of each service, checked what
	// Podman's own check said of the first that has one.
	starts       map[string]string
	podmanHealth units.Health
}

// Passes counts what was done so far.
type Passes struct {
	// Total is all passes, Idle those that found nothing to do, Failed those that
	// could not be made.
	Total, Idle, Failed int
	// Last is how long the last one took.
	Last time.Duration
	// Drift is how many files were found that were not as they should be.
	Drift int
}

func (p *Passes) count(e passResult) {
	p.Total++
	p.Last = e.took
	switch {
	case e.err != nil:
		p.Failed++
	case !e.report.Changed():
		p.Idle++
	}
	for _, a := range e.report.Actions {
		if a.Kind == units.Write {
			p.Drift++
		}
	}
}

// note takes in what a pass found of apps.
func (d *daemon) note(e passResult) {
	d.dirty = true
	results, reasons := resultsOf(e.report), reasonsOf(e.report)
	wanted, seen := map[string]bool{}, map[string]bool{}
	for _, app := range e.want.Apps {
		wanted[app.ID] = true
	}
	for _, app := range e.report.Apps {
		seen[app.ID] = true
		d.planned[app.ID] = app
		d.appOf(app.ID).note(app, e.report.Units, reasons, results[app.ID])
		d.remember(app, e.report.Units)
	}
	for _, a := range e.report.Actions {
		if a.App != "" && a.Changes() && wanted[a.App] {
			d.appOf(a.App).Repairs[a.Kind]++
		}
	}
	for id := range e.want.Refused() {
		wanted[id] = true
	}
	for id, why := range e.meant.Refused() {
		if !seen[id] {
			delete(d.planned, id)
			d.appOf(id).refuse(e.report.Units, why)
		}
	}
	maps.DeleteFunc(d.apps, func(id string, _ *App) bool { return !wanted[id] })
	maps.DeleteFunc(d.planned, func(id string, _ units.App) bool { return !wanted[id] })
	maps.DeleteFunc(d.ran, func(id string, _ units.Set) bool { return !wanted[id] })
}

func (d *daemon) appOf(id string) *App {
	a := d.apps[id]
	if a == nil {
		a = &App{ID: id, Repairs: map[units.Kind]int{}, Progress: -1, Since: time.Now(), starts: map[string]string{}}
		d.apps[id] = a
	}
	return a
}

// resultsOf is the results of a pass by app.
func resultsOf(r reconcile.Report) map[string]reconcile.Result {
	list := make(map[string]reconcile.Result, len(r.Results))
	for _, a := range r.Results {
		list[a.App] = a
	}
	return list
}

// reasonsOf is why services are left as they are.
func reasonsOf(r reconcile.Report) map[string]units.Reason {
	list := map[string]units.Reason{}
	for _, a := range r.Actions {
		if a.Kind == units.Leave {
			list[cmp.Or(a.Target, a.App)] = a.Reason
		}
	}
	return list
}

// refuse takes in how an app is whose manifest is invalid and that never served, or that
// may not run: nobody knows what it should be like.
func (a *App) refuse(found map[string]units.Unit, why units.Reason) {
	state := units.Phase("")
	for service, u := range found {
		if word := u.Phase(); units.AppOf(service) == a.ID && (state == "" || word.IsWorse(state)) {
			state = word
		}
	}
	if why != units.ReasonNotGranted { // whose units are gone
		state = cmp.Or(state, a.State)
	}
	state = cmp.Or(state, units.PhaseStopped)
	if a.State != state || a.Reason != why {
		a.State, a.Reason, a.Since = state, why, time.Now()
	}
	a.Level, a.Detail, a.Progress, a.Latency = "", "", -1, 0
}

func (a *App) note(app units.App, found map[string]units.Unit, reasons map[string]units.Reason, result reconcile.Result) {
	state, reason := units.Phase(""), reasons[app.ID]
	a.podmanHealth = units.HealthUnknown
	for _, part := range app.Parts {
		u := found[part.Service]
		if before := a.starts[part.Service]; before != "" && before != u.Invocation && u.Invocation != "" {
			a.Restarts++
		}
		a.starts[part.Service] = u.Invocation
		if word := u.Phase(); state == "" || word.IsWorse(state) {
			state = word
		}
		reason, a.podmanHealth = cmp.Or(reason, reasons[part.Service]), cmp.Or(a.podmanHealth, u.Health)
	}
	if a.State != state || a.Reason != reason {
		a.State, a.Reason, a.Since = state, reason, time.Now()
	}
	// What went wrong counts until something else is done for the app, or nothing is
	// left to be done, as after its file could be written.
	if result.Outcome != reconcile.Unchanged || state == units.PhaseRunning && reason == "" {
		a.Error, a.Log = result.Error, result.Log
	}
}

// publish tells of a change.
func (d *daemon) publish() {
	if !d.dirty {
		return
	}
	d.dirty, d.stale = false, false
	s := Status{Passes: d.passes, Apps: make([]App, 0, len(d.apps))}
	for _, id := range slices.Sorted(maps.Keys(d.apps)) {
		a := *d.apps[id]
		a.Repairs = maps.Clone(a.Repairs)
		s.Apps = append(s.Apps, a)
	}
	for _, e := range transitions(d.published, s) {
		d.Log(e)
	}
	d.published = s
	d.Publish(s)
}

// level fills in what the probes say of an app: the least of its answers. Where
// nobody asks, what Podman's own check says counts.
func (d *daemon) level(app string) {
	a := d.apps[app]
	if a == nil {
		return
	}
	level, detail, progress, latency := "", "", -1.0, time.Duration(0)
	var least *prober
	for _, m := range d.probers {
		if m.app != app || m.last.prober == nil {
			continue
		}
		if least == nil || cmp.Or(cmp.Compare(rank[m.last.word()], rank[least.last.word()]), cmp.Compare(m.service, least.service)) < 0 {
			least = m
		}
		latency = max(latency, m.last.outcome.Latency)
	}
	if least != nil {
		level, detail, progress = least.last.word(), least.last.outcome.Detail, least.last.outcome.Progress
	}
	level = cmp.Or(level, levels[a.podmanHealth])
	if a.Level != level {
		a.Since = time.Now()
	}
	before := *a
	a.Level, a.Detail, a.Progress, a.Latency = level, detail, progress, latency
	a.unhealthy = level != serving && level != synced && (a.unhealthy || d.isSick(a))
	d.dirty = d.dirty || a.Level != before.Level || a.Detail != before.Detail || a.Progress != before.Progress || a.unhealthy != before.unhealthy
	d.stale = d.stale || a.Latency != before.Latency
}

// isSick reports whether a part has not answered as often as its manifest allows.
func (d *daemon) isSick(a *App) bool {
	for _, m := range d.probers {
		if m.app == a.ID && d.health.health(m.service, m.invocation) == units.Unhealthy {
			return true
		}
	}
	return a.podmanHealth == units.Unhealthy
}

// levels is what the result of Podman's own check amounts to.
var levels = map[units.Health]string{
	units.Serving: serving, units.Loading: loading, units.NeedsUser: needsUser, units.Unhealthy: silent, units.Failing: silent,
}

// rank orders levels.
var rank = map[string]int{silent: 1, alive: 2, loading: 3, needsUser: 4, serving: 5, synced: 6}

// Levels is all levels, for who shows them.
var Levels = []string{silent, alive, loading, needsUser, serving, synced}

// Words for levels that are no target of a probe.
const (
	silent    = "silent"
	loading   = "loading"
	needsUser = "needs-user"
)

// word is the level of an answer.
func (a result) word() string {
	switch a.outcome.State {
	case probe.Loading:
		return loading
	case probe.NeedsUser:
		return needsUser
	case probe.Serving, probe.Unreachable, probe.Wrong:
	}
	return cmp.Or(a.level, silent)
}
