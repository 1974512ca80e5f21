package units

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// differ compares what should be with what is.
type differ struct {
	basis   Basis
	want    Desired
	have    Observed
	history History
	now     time.Time
	plan    Plan
	// reloads is why systemd has to read files, and for which app.
	reloads []Action
}

// diff decides about files and services. A second one after its plan was carried out finds
// nothing to do.
func (d *differ) diff() {
	d.files()
	d.orphans()
	apps := appsInOrder(d.want.Apps)
	for _, app := range apps {
		d.loading(app)
	}
	for _, app := range apps {
		d.decideApp(app)
	}
	refused := d.want.Refused()
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		d.leave(id, "", refused[id])
	}
	d.pulls()
}

func (d *differ) leave(app, target string, why Reason) {
	d.plan.Left = append(d.plan.Left, Action{App: app, Kind: Leave, Target: target, Reason: why})
}

func (d *differ) step(app App, kind Kind, service string, why Reason, repair bool) {
	d.plan.Steps = append(d.plan.Steps, Action{App: app.ID, Kind: kind, Target: service, Reason: why, Repair: repair})
}

func (d *differ) reload(app string, why Reason) {
	d.reloads = append(d.reloads, Action{App: app, Kind: Reload, Reason: why})
}

// reloadFor is reload for a file that systemd has a unit of.
func (d *differ) reloadFor(app, file string, why Reason) {
	if !IsPrestart(file) {
		d.reload(app, why)
	}
}

// writeReasons is why a file in each state is written.
var writeReasons = map[FileState]Reason{FileMissing: ReasonFileMissing, FileDiffers: ReasonFileDiffers, FileOdd: ReasonFileNotRegular}

// files decides about every file that is not right.
func (d *differ) files() {
	for _, name := range slices.Sorted(maps.Keys(d.have.Files)) {
		f := d.have.Files[name]
		switch f.State {
		case FileForeign:
			d.leave(f.App, name, ReasonFileForeign)
			continue
		case FileStale:
			d.stale(name, f)
			continue
		case FileMissing, FileDiffers, FileOdd:
		}
		why := writeReasons[f.State]
		d.plan.Files = append(d.plan.Files, Action{App: f.App, Kind: Write, Target: name, Reason: why})
		d.reloadFor(f.App, name, why)
	}
}

// stale removes what is ours and not wanted, unless it belongs to an app whose
// manifest is invalid, or, for a shared file, may be needed by one.
func (d *differ) stale(name string, f FoundFile) {
	switch {
	case slices.Contains(d.want.Invalid, f.App):
		return
	case f.App == "" && (!d.want.Complete || len(d.want.Invalid) > 0):
		return
	case !d.want.Complete && !slices.ContainsFunc(d.want.Apps, func(a App) bool { return a.ID == f.App }):
		return
	}
	if u, known := d.have.Units[f.Service]; known {
		d.stop(f.App, f.Service, u)
	}
	d.plan.Files = append(d.plan.Files, Action{App: f.App, Kind: Remove, Target: name, Reason: d.whyGone(f.App)})
	d.reloadFor(f.App, name, d.whyGone(f.App))
}

// whyGone is why nothing of an app should be there.
func (d *differ) whyGone(app string) Reason {
	switch {
	case slices.Contains(d.want.Ungranted, app):
		return ReasonNotGranted
	case slices.ContainsFunc(d.basis.Reverted, func(a App) bool { return a.ID == app }):
		return ReasonAdoptionReverted
	}
	return ReasonRemoved
}

// stop ends the service of an app that is gone.
func (d *differ) stop(app, service string, u Unit) {
	switch u.Active {
	case Inactive:
	case Failed:
		// Stopping does nothing to it, and it would be listed for ever.
		d.plan.Stops = append(d.plan.Stops, Action{App: app, Kind: ResetFailed, Target: service, Reason: d.whyGone(app)})
	case Active, Activating, Deactivating:
		d.plan.Stops = append(d.plan.Stops, Action{App: app, Kind: Stop, Target: service, Reason: d.whyGone(app)})
	}
}

// orphans ends services that nobody wants and of which no file is left: a removal
// that was interrupted, or a file that was deleted by hand.
func (d *differ) orphans() {
	if !d.want.Complete {
		return
	}
	accounted := map[string]bool{}
	for _, app := range d.want.Apps {
		for _, p := range app.Parts {
			accounted[p.Service] = true
		}
	}
	for _, f := range d.have.Files {
		accounted[f.Service] = true
	}
	for _, service := range slices.Sorted(maps.Keys(d.have.Units)) {
		id, u := AppOf(service), d.have.Units[service]
		switch {
		case id == "", accounted[service], slices.Contains(d.want.Invalid, id):
		case !u.Loaded:
			d.stop(id, service, u)
		case u.NeedsReload:
			d.reload(id, ReasonNeedsReload)
		}
	}
}

// pulls makes systemd forget that what an app lacks could not be had, once it lacks
// nothing: a unit that is listed as failed is one that somebody has to look at.
func (d *differ) pulls() {
	for _, unit := range slices.Sorted(maps.Keys(d.have.Units)) {
		id := AppOfPull(unit)
		if id == "" || d.have.Units[unit].Active != Failed || d.mayLack(id) {
			continue
		}
		why := ReasonRemoved
		if _, wanted := d.want.Find(id); wanted {
			why = ReasonPrerequisitesReady
		}
		d.plan.Stops = append(d.plan.Stops, Action{App: id, Kind: ResetFailed, Target: unit, Reason: why})
	}
}

// mayLack reports whether an app is not as it should be yet.
func (d *differ) mayLack(id string) bool {
	isOf := func(a Action) bool { return a.App == id && a.Kind != Remove }
	app, wanted := d.want.Find(id)
	isDown := func(p Part) bool { u := d.have.Units[p.Service]; return u.Restarting || u.Active == Failed }
	return slices.Contains(d.want.Invalid, id) || slices.ContainsFunc(d.plan.Files, isOf) || slices.ContainsFunc(d.plan.Steps, isOf) ||
		wanted && slices.ContainsFunc(app.Parts, isDown)
}

// loading makes sure that systemd has read the units as they are on the disk.
func (d *differ) loading(app App) {
	for _, p := range app.Parts {
		u := d.have.Units[p.Service]
		switch {
		case d.blocked(p):
		case !u.Loaded:
			d.reload(app.ID, ReasonNotLoaded)
		case u.NeedsReload:
			d.reload(app.ID, ReasonNeedsReload)
		}
	}
}

// blocked: somebody else's file is in the place of the part's.
func (d *differ) blocked(p Part) bool { return d.have.Files[p.File].State == FileForeign }

// app decides about the services of one app. A start of the main service starts the
// others, so they are looked at only where main is not started.
func (d *differ) app(app App) {
	main, at := app.Parts[0], len(d.plan.Steps)
	if !d.asked(app, main) {
		d.part(app, main)
	}
	if d.startsAll(at) {
		d.plan.Steps = slices.Insert(d.plan.Steps, at, d.failedParts(app)...)
		return
	}
	u := d.have.Units[main.Service]
	stopped := len(d.plan.Steps) == at && (u.Active == Inactive || u.Stopped)
	for _, p := range app.Parts[1:] {
		if stopped && d.have.Units[p.Service].Active != Active {
			d.leave(app.ID, p.Service, ReasonMainStopped)
			continue
		}
		d.part(app, p)
	}
	d.order(app, at)
}

// startsAll reports whether the steps of the main service, which begin at a place in the
// plan, are a start or what a person asks for.
func (d *differ) startsAll(at int) bool {
	return slices.ContainsFunc(d.plan.Steps[at:], func(a Action) bool {
		return a.Reason == ReasonAsked || a.Kind == Start || a.Kind == Recreate
	})
}

// order puts the steps of an app, which begin at a place in the plan, into the order of
// its parts. What is on its way up or down is waited for before a part that is started
// after it is restarted for its configuration, or for a rotation: a database has to have
// the password first. A part that another one's restart takes along needs none of its own.
func (d *differ) order(app App, at int) {
	steps := slices.Clone(d.plan.Steps[at:])
	d.plan.Steps = d.plan.Steps[:at]
	isAwaited := map[string]bool{}
	for _, p := range app.PartsInOrder() {
		own := slices.DeleteFunc(slices.Clone(steps), func(a Action) bool { return a.Target != p.Service })
		switch {
		case len(own) == 0:
			isAwaited[p.Service] = d.have.Units[p.Service].IsOnItsWay()
		case (own[0].Reason == ReasonConfigDiffers || app.Rotating) && slices.ContainsFunc(p.After, func(service string) bool { return isAwaited[service] }):
			isAwaited[p.Service] = true
			d.leave(app.ID, p.Service, ReasonDependencyStarting)
		case takesAlong(steps, p):
			d.plan.Steps = append(d.plan.Steps, slices.DeleteFunc(own, func(a Action) bool { return a.Kind != ResetFailed })...)
		default:
			d.plan.Steps = append(d.plan.Steps, own...)
		}
	}
}

// takesAlong reports whether one of some steps restarts a part with another one.
func takesAlong(steps []Action, p Part) bool {
	return slices.ContainsFunc(steps, func(a Action) bool {
		return a.Kind == Restart && !a.Alone && slices.Contains(p.PartOf, a.Target)
	})
}

// restartAlone restarts a part and leaves the others alone, except for companions of the
// app and for parts that share the network of the part, which goes with it.
func (d *differ) restartAlone(app App, p Part, why Reason, repair bool) {
	takes := p.Lends || len(app.Companions) > 0 && p.Service == ServiceName(app.ID)
	d.plan.Steps = append(d.plan.Steps, Action{App: app.ID, Kind: Restart, Target: p.Service, Reason: why, Repair: repair, Alone: !takes})
}

// asked does what a person asks for, whatever the state and the budget; it
// reports false where that is nothing, or is so already.
func (d *differ) asked(app App, main Part) bool {
	u := d.have.Units[main.Service]
	isDown := u.Active == Inactive || u.Active == Failed || u.Active == "" || u.Restarting
	switch {
	case d.blocked(main), u.Masked && app.Request != Stop, app.Request == "", app.Request == Leave, app.Request == Start && !isDown:
		return false
	case app.Request == Stop && isDown && !u.Restarting:
		d.leave(app.ID, main.Service, ReasonStoppedByOperator)
		return true
	case u.Active == Failed:
		d.step(app, ResetFailed, main.Service, ReasonAsked, false)
	}
	d.step(app, app.Request, main.Service, ReasonAsked, false)
	return true
}

// failedParts lets systemd start the failed parts again that the main service
// pulls in: their limits may be used up.
func (d *differ) failedParts(app App) []Action {
	var list []Action
	for _, p := range app.Parts[1:] {
		if d.have.Units[p.Service].Active == Failed {
			list = append(list, Action{App: app.ID, Kind: ResetFailed, Target: p.Service, Reason: ReasonFailed})
		}
	}
	return list
}

// part is the state table: one row a case.
func (d *differ) part(app App, p Part) {
	u := d.have.Units[p.Service]
	switch {
	case d.blocked(p):
		// Said by files already.
	case u.Masked:
		d.leave(app.ID, p.Service, ReasonMasked)
	case u.Active == Active && u.Job != "" && !app.Rotating:
		// The job may be that of the last repair. A rotation waits for the same job.
		d.leave(app.ID, p.Service, ReasonJobUnderWay)
	case p.Stale && (u.Active == Active || u.hasEnded() && (!u.Stopped || app.Rotating && p.WasUp)):
		if app.Rotating || u.Active != Active { // its limit is for what it does by itself
			d.step(app, ResetFailed, p.Service, ReasonDependencyRestarted, false)
		}
		d.restartAlone(app, p, ReasonDependencyRestarted, false)
	case app.Rotating && p.WasUp && u.hasEnded():
		d.bringBack(app, p, u)
	case (u.Active == Active || u.Active == Activating && !u.Restarting) && u.Digest != "" && u.Digest != p.Digest:
		// While it starts as well: the change may be what lets it serve, and without it
		// the start would go on, in vain, for as long as it may take.
		d.step(app, Restart, p.Service, ReasonDigestDiffers, false)
	case (u.Active == Active || app.Rotating && u.Active == Activating && !u.Restarting) && p.Config != "" && u.Config != p.Config:
		// While it starts, too, where a secret is rotated: a program that waits for a
		// server which refuses its password does not end by itself.
		d.repair(app, p, ReasonConfigDiffers)
	case u.Active == Active && p.Watched != "" && u.Watched != p.Watched && d.isUp(app.RestartAfter):
		d.repair(app, p, ReasonWatchedFileDiffers)
	case u.Active == Active && d.startsAnyOf(p.TracksAddressOf):
		// Its address is another one when this app's turn comes. The next pass would see
		// that as well, and there may be none soon: healthd need not run.
		d.step(app, Restart, p.Service, ReasonWatchedFileDiffers, false)
	case u.Active == Active && u.Paused:
		d.repair(app, p, ReasonPaused)
	case u.Active == Active && p.Reloadable != "" && u.Reloadable != p.Reloadable:
		d.repair(app, p, ReasonReloadableFileDiffers)
	case u.Active == Active:
		d.health(app, p, u)
	case u.Restarting && d.isMended(p):
		// What it was waiting for may be this change, and its start limit may be used up.
		d.step(app, ResetFailed, p.Service, ReasonChangedWhileRestarting, false)
		d.step(app, Restart, p.Service, ReasonChangedWhileRestarting, false)
	case u.Restarting && p.Config != "" && u.Config != p.Config:
		d.repair(app, p, ReasonConfigDiffers)
	case u.Restarting:
		// systemd's own delays and limits come first.
		d.leave(app.ID, p.Service, ReasonRestartedBySystemd)
	case u.Active == Activating:
		d.leave(app.ID, p.Service, ReasonStarting)
	case u.Active == Deactivating:
		d.leave(app.ID, p.Service, ReasonStopping)
	case !app.Enabled:
		d.leave(app.ID, p.Service, ReasonDisabled)
	case u.Stopped && !d.history.of(app).interrupted(p.Service, u):
		d.leave(app.ID, p.Service, ReasonStoppedByOperator)
	case u.Active == Failed, u.Stopped:
		d.repair(app, p, ReasonFailed)
	default:
		d.repair(app, p, ReasonNeverStarted)
	}
}

// isMended reports whether files of a service that systemd starts again and again are
// other ones than at its last start: this pass writes them, or systemd has not read them.
func (d *differ) isMended(p Part) bool {
	u := d.have.Units[p.Service]
	isWritten := func(a Action) bool {
		return a.Kind == Write && (a.Target == p.File || a.Target == PrestartName(p.Service))
	}
	return u.NeedsReload || slices.ContainsFunc(d.plan.Files, isWritten)
}

// bringBack starts a part that was up when a rotation of secrets began and has ended
// since. How it ended, and how often, says nothing of how it runs with the values that
// it has to have now. That counts for a pass that goes on with another one's work, too:
// systemd may have started the part before the database was up, and in vain.
func (d *differ) bringBack(app App, p Part, u Unit) {
	why := ReasonFailed
	if u.Restarting {
		why = ReasonRestartedBySystemd
	}
	d.step(app, ResetFailed, p.Service, why, false)
	d.restartAlone(app, p, why, false)
}

// startsAnyOf reports whether the plan starts one of some services of apps that come before.
func (d *differ) startsAnyOf(services []string) bool {
	starts := func(a Action) bool { return a.isStart() && slices.Contains(services, a.Target) }
	return slices.ContainsFunc(d.plan.Steps, starts) ||
		slices.ContainsFunc(d.plan.Rollbacks, func(r Rollback) bool { return slices.ContainsFunc(r.Actions, starts) })
}

// isUp reports whether none of these apps is known to be down, or on its way: one that
// follows another is restarted once it can reach it.
func (d *differ) isUp(apps []string) bool {
	return !slices.ContainsFunc(apps, func(id string) bool {
		u, known := d.have.Units[ServiceName(id)]
		return known && (u.Active != Active || u.Job != "")
	})
}

// health decides about a service that systemd calls active.
func (d *differ) health(app App, p Part, u Unit) {
	switch u.Health {
	case HealthUnknown, Serving:
	case Loading:
		d.leave(app.ID, p.Service, ReasonLoading)
	case NeedsUser:
		d.leave(app.ID, p.Service, ReasonNeedsUser)
	case Failing:
		d.leave(app.ID, p.Service, ReasonNotAnsweringYet)
	case Unhealthy:
		d.repair(app, p, ReasonNotServing)
	}
}

// escalations is what is done, try by try, by what is wrong. The last step is taken
// again and again.
var escalations = map[Reason][]Kind{
	ReasonNotServing:         {Restart, Recreate},
	ReasonConfigDiffers:      {Restart},
	ReasonWatchedFileDiffers: {Restart},
	ReasonPaused:             {Restart, Recreate},
	// Where a reload fails, a start has the files.
	ReasonReloadableFileDiffers: {ReloadService, Restart},
	ReasonFailed:                {Start, Recreate},
	ReasonNeverStarted:          {Start, Recreate},
}

// escalation is the one for a reason. Rules of a firewall are root's: only in the
// system's scope can its reload have cut an app off.
func (d *differ) escalation(why Reason) []Kind {
	if why == ReasonNotServing && d.want.Scope == System {
		return append([]Kind{ReloadNetwork}, escalations[why]...)
	}
	return escalations[why]
}

// changes is reasons that are no fault of the app: earlier faults don't put off what
// they want, only they themselves when they come again and again.
var changes = map[Reason]bool{ReasonConfigDiffers: true, ReasonWatchedFileDiffers: true, ReasonReloadableFileDiffers: true}

// repair takes the next step of the ladder where the app's budget allows it.
func (d *differ) repair(app App, p Part, why Reason) {
	r := d.history.of(app)
	interrupted := r.interrupted(p.Service, d.have.Units[p.Service])
	if app.Request == Leave && !changes[why] && !interrupted { // a start that was never queued is none yet
		d.leave(app.ID, p.Service, why)
		return
	}
	switch {
	case interrupted, !d.now.Before(r.Next()), d.now.Before(r.Last), // or the clock was set back
		changes[why] && r.Why != why, app.Rotating:
		if why == ReasonFailed || app.Rotating { // whose restarts must not use up the part's start limit
			d.step(app, ResetFailed, p.Service, why, false)
		}
		steps, try := d.escalation(why), r.escalation(why)
		if interrupted && try > 0 {
			try-- // which was counted, and never made
		}
		if why == ReasonConfigDiffers {
			d.restartAlone(app, p, why, true)
			return
		}
		d.step(app, steps[min(try, len(steps)-1)], p.Service, why, true)
		return
	case r.GaveUp():
		d.leave(app.ID, p.Service, ReasonGaveUp)
	default:
		d.leave(app.ID, p.Service, ReasonBackingOff)
	}
	if next := r.Next(); d.plan.Due.IsZero() || next.Before(d.plan.Due) {
		d.plan.Due = next
	}
}

// appsInOrder sorts apps so that each comes after all that it needs, and by id
// where nothing else decides. Resolving has refused circles.
func appsInOrder(apps []App) []App {
	byID := slices.SortedFunc(slices.Values(apps), func(a, b App) int { return cmp.Compare(a.ID, b.ID) })
	return inOrder(byID, func(a App) string { return a.ID }, func(a App) []string { return a.Needs })
}

// inOrder puts each item after those that it names, and otherwise keeps their order.
func inOrder[T any](items []T, name func(T) string, after func(T) []string) []T {
	byName := make(map[string]T, len(items))
	for _, item := range items {
		byName[name(item)] = item
	}
	list := make([]T, 0, len(items))
	seen := make(map[string]bool, len(items))
	var visit func(T)
	visit = func(item T) {
		if seen[name(item)] {
			return
		}
		seen[name(item)] = true
		for _, n := range slices.Sorted(slices.Values(after(item))) {
			if earlier, ok := byName[n]; ok {
				visit(earlier)
			}
		}
		list = append(list, item)
	}
	for _, item := range items {
		visit(item)
	}
	return list
}
