package units

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// differ compares the desired state with the observed one.
type differ struct {
	basis   Basis
	want    Desired
	have    Observed
	history History
	now     time.Time
	plan    Plan
	// reloads is the reasons for a daemon-reload, with their apps.
	reloads []Action
	// room is Observed.Room without what the plan so far takes.
	room map[Limit]int
}

// diff decides about files and services.
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

// reloadFor is reload for a file from which Quadlet makes a unit.
func (d *differ) reloadFor(app, file string, why Reason) {
	if !IsPrestart(file) {
		d.reload(app, why)
	}
}

// writeReasons is the reason for writing a file, by its state.
var writeReasons = map[FileState]Reason{FileMissing: ReasonFileMissing, FileDiffers: ReasonFileDiffers, FileOdd: ReasonFileNotRegular}

// files decides about every file that is not as it should be.
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

// stale removes a file of ours that is not wanted. It keeps those of an app whose manifest is
// invalid, and shared files that such an app may need.
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

// whyGone is why an app must have no files or services.
func (d *differ) whyGone(app string) Reason {
	switch {
	case slices.Contains(d.want.Ungranted, app):
		return ReasonNotGranted
	case slices.ContainsFunc(d.basis.Reverted, func(a App) bool { return a.ID == app }):
		return ReasonAdoptionReverted
	}
	return ReasonRemoved
}

// stop stops the service of an app that is not wanted.
func (d *differ) stop(app, service string, u Unit) {
	switch u.Active {
	case Inactive:
	case Failed:
		// A stop does not change its state, and systemd would list it as failed forever.
		d.plan.Stops = append(d.plan.Stops, Action{App: app, Kind: ResetFailed, Target: service, Reason: d.whyGone(app)})
	case Active, Activating, Deactivating:
		d.plan.Stops = append(d.plan.Stops, Action{App: app, Kind: Stop, Target: service, Reason: d.whyGone(app)})
	}
}

// orphans stops services that are not wanted and have no file, for example after an interrupted
// removal.
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

// pulls resets the failed pull unit of an app that lacks nothing any more. A failed unit in
// systemd's list has to mean that an operator should act.
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

// mayLack reports whether an app may still lack images or secrets.
func (d *differ) mayLack(id string) bool {
	isOf := func(a Action) bool { return a.App == id && a.Kind != Remove }
	app, wanted := d.want.Find(id)
	isDown := func(p Part) bool { u := d.have.Units[p.Service]; return u.Restarting || u.Active == Failed }
	return slices.Contains(d.want.Invalid, id) || slices.ContainsFunc(d.plan.Files, isOf) || slices.ContainsFunc(d.plan.Steps, isOf) ||
		wanted && slices.ContainsFunc(app.Parts, isDown)
}

// loading reloads systemd if it has not read the units as they are on disk.
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

// blocked reports whether a foreign file has the name of the part's file.
func (d *differ) blocked(p Part) bool { return d.have.Files[p.File].State == FileForeign }

// app decides about the services of one app. Starting the main service starts the others, so they
// get steps of their own only if main does not start.
func (d *differ) app(app App) {
	main, at := app.Parts[0], len(d.plan.Steps)
	if !d.asked(app, main) {
		d.part(app, main)
	}
	if d.startsAll(at) {
		d.plan.Steps = slices.Insert(d.plan.Steps, at, d.resetLimits(app)...)
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

// startsAll reports whether the steps of the main service, from the index at, start it or carry
// out a request.
func (d *differ) startsAll(at int) bool {
	return slices.ContainsFunc(d.plan.Steps[at:], func(a Action) bool {
		return a.Reason == ReasonAsked || a.Kind == Start || a.Kind == Recreate
	})
}

// order sorts the steps of an app, from the index at, by the order of its parts. A part waits for
// the parts that it is ordered after before it restarts for its configuration or a rotation: the
// database needs the new password first. A part that another restart includes needs no restart of
// its own.
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

// takesAlong reports whether one of the steps restarts a part together with another one.
func takesAlong(steps []Action, p Part) bool {
	return slices.ContainsFunc(steps, func(a Action) bool {
		return a.Kind == Restart && !a.Alone && slices.Contains(p.PartOf, a.Target)
	})
}

// restartAlone restarts a part without the others, except companions of the app and parts that
// share the part's network namespace, which ends with it.
func (d *differ) restartAlone(app App, p Part, why Reason, repair bool) {
	takes := p.Lends || len(app.Companions) > 0 && p.Service == ServiceName(app.ID)
	d.plan.Steps = append(d.plan.Steps, Action{App: app.ID, Kind: Restart, Target: p.Service, Reason: why, Repair: repair, Alone: !takes})
}

// asked carries out an operator's request, whatever the state and the budget. It reports false if
// there is nothing to do.
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

// resetLimits resets the start limits of what a start of the main service starts: those of failed parts, and
// those that are set if an operator requests the start. systemd counts the starts of units that are down, too.
func (d *differ) resetLimits(app App) []Action {
	list := make([]Action, 0, len(app.Parts))
	for i, p := range app.Parts {
		reset := Action{App: app.ID, Kind: ResetFailed, Target: p.Service, Reason: ReasonFailed}
		switch isFailed := d.have.Units[p.Service].Active == Failed; {
		case isFailed && i == 0: // the steps of the main service reset it
		case isFailed:
			list = append(list, reset)
		case app.isStartAsked() && app.hasStartLimit(p):
			reset.Reason = ReasonAsked
			list = append(list, reset)
		}
	}
	return list
}

// isStartAsked reports whether an operator requests a start.
func (a App) isStartAsked() bool { return a.Request == Start || a.Request == Restart }

// hasStartLimit reports whether systemd refuses to start a part too often.
func (a App) hasStartLimit(p Part) bool {
	file, _ := a.Files.Find(p.File)
	return file.Value("StartLimitBurst") != ""
}

// part is the state table, one row for each case.
func (d *differ) part(app App, p Part) {
	u := d.have.Units[p.Service]
	switch {
	case d.blocked(p):
		// The decision about files reports it.
	case u.Masked:
		d.leave(app.ID, p.Service, ReasonMasked)
	case u.Active == Active && u.Job != "" && !app.Rotating:
		// The job may be part of the last repair. A rotation waits for the job instead.
		d.leave(app.ID, p.Service, ReasonJobUnderWay)
	case p.Stale && (u.Active == Active || u.hasEnded() && (!u.Stopped || app.Rotating && p.WasUp)):
		if app.Rotating || u.Active != Active { // the start limit is for its own failures
			d.step(app, ResetFailed, p.Service, ReasonDependencyRestarted, false)
		}
		d.restartAlone(app, p, ReasonDependencyRestarted, false)
	case app.Rotating && p.WasUp && (u.hasEnded() || u.IsRetried()):
		d.bringBack(app, p, u)
	case (u.Active == Active || u.Active == Activating && !u.Restarting) && u.Digest != "" && u.Digest != p.Digest:
		// Also while it starts: the change may be what lets it serve, and without the change it
		// may wait in vain until its start timeout.
		d.step(app, Restart, p.Service, ReasonDigestDiffers, false)
	case (u.Active == Active || app.Rotating && u.Active == Activating && !u.Restarting) && p.Config != "" && u.Config != p.Config:
		// During a rotation also while it starts: a program does not exit because a server refuses
		// its password.
		d.repair(app, p, ReasonConfigDiffers)
	case u.Active == Active && p.Watched != "" && u.Watched != p.Watched && d.isUp(app.RestartAfter):
		d.repair(app, p, ReasonWatchedFileDiffers)
	case u.Active == Active && d.startsAnyOf(p.TracksAddressOf):
		// Its address changes in this pass. The next pass would find that, too, but there may be
		// none soon, because healthd need not run.
		d.step(app, Restart, p.Service, ReasonWatchedFileDiffers, false)
	case u.Active == Active && u.Paused:
		d.repair(app, p, ReasonPaused)
	case u.Active == Active && p.Reloadable != "" && u.Reloadable != p.Reloadable:
		d.repair(app, p, ReasonReloadableFileDiffers)
	case u.Active == Active:
		d.health(app, p, u)
		d.forgetRestarts(app, p, u)
	case u.Restarting && d.isMended(p):
		// The change may be the fix, and its start limit may be used up.
		d.step(app, ResetFailed, p.Service, ReasonChangedWhileRestarting, false)
		d.step(app, Restart, p.Service, ReasonChangedWhileRestarting, false)
	case u.Restarting && p.Config != "" && u.Config != p.Config:
		d.repair(app, p, ReasonConfigDiffers)
	case u.Restarting && u.Limit != "":
		d.limited(app, p, u.Limit)
	case u.Restarting:
		// systemd's restart delay and start limit apply first.
		d.leave(app.ID, p.Service, ReasonRestartedBySystemd)
	case u.Active == Activating:
		d.leave(app.ID, p.Service, ReasonStarting)
	case u.Active == Deactivating:
		d.leave(app.ID, p.Service, ReasonStopping)
	case !app.Enabled:
		d.leave(app.ID, p.Service, ReasonDisabled)
	case u.Stopped && !d.history.of(app).interrupted(p.Service, u):
		d.leave(app.ID, p.Service, ReasonStoppedByOperator)
	case u.Active == Failed && u.Limit != "":
		d.limited(app, p, u.Limit)
	case u.Active == Failed, u.Stopped:
		d.repair(app, p, ReasonFailed)
	default:
		d.repair(app, p, ReasonNeverStarted)
	}
}

// limited decides about a service whose last start failed on a limit of the machine. More starts
// don't help until the limit has room, and then no more of them than there is room for.
func (d *differ) limited(app App, p Part, limit Limit) {
	if d.room[limit] <= 0 {
		d.leave(app.ID, p.Service, ReasonLimitReached)
		return
	}
	d.room[limit]--
	d.repair(app, p, ReasonLimitRaised)
}

// isMended reports whether the files of a service that systemd restarts repeatedly differ from
// those of its last start: this pass writes them, or systemd has not read them.
func (d *differ) isMended(p Part) bool {
	u := d.have.Units[p.Service]
	isWritten := func(a Action) bool {
		return a.Kind == Write && (a.Target == p.File || a.Target == PrestartName(p.Service))
	}
	return u.NeedsReload || slices.ContainsFunc(d.plan.Files, isWritten)
}

// bringBack starts a part that was up when a rotation began and has ended since. How it ended says
// nothing about the new values: systemd may have started the part before the database was up. This
// also applies to a pass that resumes a rotation, and to a start of systemd that is under way: it
// would count as one more end of a service that restarts repeatedly.
func (d *differ) bringBack(app App, p Part, u Unit) {
	why := ReasonFailed
	if u.IsRetried() {
		why = ReasonRestartedBySystemd
	}
	d.step(app, ResetFailed, p.Service, why, false)
	d.restartAlone(app, p, why, false)
}

// startsAnyOf reports whether the plan so far starts one of some services.
func (d *differ) startsAnyOf(services []string) bool {
	return d.plan.starts(func(a Action) bool { return slices.Contains(services, a.Target) })
}

// isUp reports whether these apps are up, with no job. A follower restarts only once it can reach
// the app that it follows.
func (d *differ) isUp(apps []string) bool {
	return !slices.ContainsFunc(apps, func(id string) bool {
		u, known := d.have.Units[ServiceName(id)]
		return known && (u.Active != Active || u.Job != "")
	})
}

// health decides about a service that is active in systemd.
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

// forgetRestarts makes systemd forget the automatic restarts of a service that has been healthy for
// a while. systemd itself counts them until the service is stopped: a service that crashed ten
// times in a year would wait the longest delay after the next crash.
func (d *differ) forgetRestarts(app App, p Part, u Unit) {
	switch {
	case u.Restarts == 0:
	case u.Up < forgetAfter:
		d.due(d.now.Add(forgetAfter - u.Up))
	case u.Health == Serving, u.Health == HealthUnknown:
		d.plan.Resets = append(d.plan.Resets, Action{App: app.ID, Kind: ResetFailed, Target: p.Service, Reason: ReasonHealthySinceRestart})
	}
}

// escalations is the repairs for each reason, in order. The last one repeats.
var escalations = map[Reason][]Kind{
	ReasonNotServing:         {Restart, Recreate},
	ReasonConfigDiffers:      {Restart},
	ReasonWatchedFileDiffers: {Restart},
	ReasonPaused:             {Restart, Recreate},
	// A start also reads the files, if the reload fails.
	ReasonReloadableFileDiffers: {ReloadService, Restart},
	ReasonFailed:                {Start, Recreate},
	ReasonNeverStarted:          {Start, Recreate},
	ReasonLimitRaised:           {Restart},
}

// escalation is the repairs for a reason. Only root changes firewall rules, so a firewall reload
// can cut off an app only in the system scope.
func (d *differ) escalation(why Reason) []Kind {
	if why == ReasonNotServing && d.want.Scope == System {
		return append([]Kind{ReloadNetwork}, escalations[why]...)
	}
	return escalations[why]
}

// changes is the reasons that are not failures of the app. Backoff from failures does not delay
// them; only repeating the same reason does.
var changes = map[Reason]bool{ReasonConfigDiffers: true, ReasonWatchedFileDiffers: true, ReasonReloadableFileDiffers: true, ReasonLimitRaised: true}

// repair makes the next repair of the escalation if the app's budget allows it.
func (d *differ) repair(app App, p Part, why Reason) {
	r := d.history.of(app)
	interrupted := r.interrupted(p.Service, d.have.Units[p.Service])
	if app.Request == Leave && !changes[why] && !interrupted { // a start that was never queued may still be made
		d.leave(app.ID, p.Service, why)
		return
	}
	switch {
	case interrupted, !d.now.Before(r.Next()), d.now.Before(r.Last), // or the clock was set back
		changes[why] && r.Why != why, app.Rotating:
		if why == ReasonFailed || why == ReasonLimitRaised || app.Rotating { // a rotation must not use up the part's start limit
			d.step(app, ResetFailed, p.Service, why, false)
		}
		steps, try := d.escalation(why), r.escalation(why)
		if interrupted && try > 0 {
			try-- // it was counted but never made
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
	d.due(r.Next())
}

// due records when a delayed action may be taken.
func (d *differ) due(at time.Time) {
	if d.plan.Due.IsZero() || at.Before(d.plan.Due) {
		d.plan.Due = at
	}
}

// appsInOrder sorts apps by id, and each after the apps that it needs. Resolve has refused cycles.
//
// The result may be the list itself: a pass over many apps that are in order copies none.
func appsInOrder(apps []App) []App {
	byID := func(a, b App) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(apps, byID) {
		apps = slices.Clone(apps)
		slices.SortFunc(apps, byID)
	}
	return inOrder(apps, func(a App) string { return a.ID }, func(a App) []string { return a.Needs })
}

// inOrder puts each item after those that it names, and otherwise keeps the order. The result may be
// the list itself.
func inOrder[T any](items []T, name func(T) string, after func(T) []string) []T {
	if len(items) < 2 {
		return items
	}
	byName := make(map[string]int, len(items))
	for i, item := range items {
		byName[name(item)] = i
	}
	isInOrder := true
	for i, item := range items {
		isInOrder = isInOrder && !slices.ContainsFunc(after(item), func(n string) bool { return byName[n] > i })
	}
	if isInOrder {
		return items
	}
	list := make([]T, 0, len(items))
	seen := make([]bool, len(items))
	var visit func(int)
	visit = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, n := range slices.Sorted(slices.Values(after(items[i]))) {
			if earlier, ok := byName[n]; ok {
				visit(earlier)
			}
		}
		list = append(list, items[i])
	}
	for i := range items {
		visit(i)
	}
	return list
}
