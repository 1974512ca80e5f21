package units

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Decide makes every decision of a pass: the actions, their order and reasons, and what stays as
// it is. The result depends on the arguments only, and nothing changes the plan afterwards. Decide
// finds nothing to do after its plan was carried out.
//
// The plan does not cover the outcome of its actions: an app that does not serve after them
// returns to its previous files, and the apps that need it wait.
func Decide(b Basis, have Observed, now time.Time) Plan {
	d := &differ{basis: b, want: b.Desired, have: have, history: b.Past.History, now: now, room: maps.Clone(have.Room), plan: Plan{Basis: b, Ours: have.Ours}}
	for _, id := range b.RolledBack {
		d.leave(id, "", ReasonRolledBack)
	}
	d.diff()
	d.leaveKnown()
	d.refuseUnwanted()
	d.record()
	d.adopt()
	d.acquire()
	d.revive()
	d.verify()
	d.plan.Basis = d.basis
	d.plan.Reload = d.firstReload()
	return d.plan
}

// leaveKnown lists what stays as it is whatever the comparison finds.
func (d *differ) leaveKnown() {
	for _, app := range d.basis.Reverted {
		d.leave(app.ID, "", ReasonAdoptionReverted)
	}
	for _, app := range d.want.Apps {
		for _, p := range app.Parts {
			if d.have.Units[p.Service].ConfigUnknown {
				d.leave(app.ID, p.Service, ReasonConfigUnknown)
			}
		}
	}
}

// record writes the grants that only the old units of an app record.
func (d *differ) record() {
	for _, app := range d.want.Apps {
		if u := app.Unrecorded; u != nil && !d.isRefused(app.ID) {
			d.plan.Records = append(d.plan.Records, Action{App: app.ID, Kind: Write, Target: u.Dir + "/" + u.Name, Reason: ReasonGrantsUnrecorded})
		}
	}
}

// decideApp decides about the services of one app: its steps, a refusal or a rollback.
func (d *differ) decideApp(app App) {
	at := len(d.plan.Steps)
	d.app(app)
	service := d.failedPart(app)
	err := d.refusal(app, service)
	switch {
	case err != nil:
		d.drop(app.ID)
		d.plan.Refused = append(d.plan.Refused, Refusal{App: app.ID, Err: err})
	case service != "":
		d.plan.Steps = d.plan.Steps[:at]
		d.plan.Rollbacks = append(d.plan.Rollbacks, Rollback{App: app.ID, Service: service, Actions: d.rollback(app)})
	case len(d.plan.Steps) == at:
		d.resumeAdoption(app)
	}
}

// refuseUnwanted refuses apps that have foreign containers and whose manifests are invalid.
func (d *differ) refuseUnwanted() {
	errInvalid := errors.New("its manifest is invalid with the mounts of the foreign container; see archgen check")
	for _, id := range slices.Sorted(maps.Keys(d.have.Foreign)) {
		if !d.basis.IsWanted(id) {
			d.plan.Refused = append(d.plan.Refused, Refusal{App: id, Err: cmp.Or(d.have.Foreign[id].Err, errInvalid)})
		}
	}
}

// refusal is why the pass can do nothing for an app. failed is the part that failed, if any.
func (d *differ) refusal(app App, failed string) error {
	main := app.Parts[0].Service
	foreign, inPlace := d.have.Foreign[app.ID]
	files := d.foreignFiles(app)
	unreadable := Unreadable(d.have.Units, app.Services())
	switch {
	case unreadable != nil && app.Request != Restart && app.Request != Stop: // they need nothing of the container
		return fmt.Errorf("%w; run %s", unreadable, ReasonUnreadable.Mend(app.ID, d.want.Scope))
	case d.have.Units[main].Masked && app.isStartAsked():
		return fmt.Errorf("%s is masked, and systemd starts no masked unit; unmask it with %s", main, d.want.Scope.Systemctl("unmask "+main))
	case len(files) > 0:
		return fmt.Errorf("archgen did not write a file that has the name of one of its units: %s; move the file away", strings.Join(files, ", "))
	case !inPlace:
		return nil
	case foreign.Err != nil:
		return foreign.Err
	case slices.ContainsFunc(app.Parts, func(p Part) bool { return d.have.Units[p.Service].Active == Active }):
		return fmt.Errorf("archgen did not create %s, and other parts of %s run; run archgen stop %s, then archgen adopt %s",
			ForeignNames(foreign.Containers), app.ID, app.ID, app.ID)
	case failed != "":
		return fmt.Errorf("archgen did not create %s, and %s did not serve after its last change; archgen adopt %s tries again",
			ForeignNames(foreign.Containers), app.ID, app.ID)
	}
	return nil
}

func (d *differ) foreignFiles(app App) (names []string) {
	for _, f := range app.Files {
		if d.have.Files[f.Name].State == FileForeign {
			names = append(names, f.Name)
		}
	}
	return names
}

// drop removes the actions of an app from the plan.
func (d *differ) drop(app string) {
	isOf := func(a Action) bool { return a.App == app }
	d.plan.Files = slices.DeleteFunc(d.plan.Files, isOf)
	d.plan.Steps = slices.DeleteFunc(d.plan.Steps, isOf)
	d.plan.Resets = slices.DeleteFunc(d.plan.Resets, isOf)
	d.reloads = slices.DeleteFunc(d.reloads, isOf)
}

// firstReload is the one daemon-reload of the plan, nil if there is none.
func (d *differ) firstReload() *Action {
	if len(d.reloads) == 0 {
		return nil
	}
	return &Action{Kind: Reload, Reason: d.reloads[0].Reason}
}

// rollback is the actions that return an app to its previous files or containers. There are none
// while an app that it needs is down and the plan does not start it.
func (d *differ) rollback(app App) []Action {
	isDown := func(id string) bool {
		service := ServiceName(id)
		return d.have.Units[service].Active != Active && !d.startsAnyOf([]string{service})
	}
	switch {
	case d.basis.IsInPlace(app.ID):
		return d.plan.revertActions(app, d.have.Units)
	case slices.ContainsFunc(app.Needs, isDown):
		return nil
	}
	previous := app.With(d.plan.PreviousFiles(app.ID))
	before, restart := RollbackSteps(previous)
	return slices.Concat(RollbackWrites(app.ID, previous.Files), before, []Action{restart})
}

// failedPart is the service that failed of an app that an earlier pass started with changed files
// without waiting, because it starts slowly. The app is rolled back, or its adoption reverted:
// another start would fail as slowly.
func (d *differ) failedPart(app App) (service string) {
	switch {
	case app.isStartAsked(), !d.basis.Unfinished[app.ID]:
		return ""
	case !d.have.Ours.Of(app.ID).SameContainers(app.Files): // other files failed than those of the plan
		return ""
	case d.basis.IsInPlace(app.ID):
		if !d.want.Adopts { // only a pass that adopts can revert
			return ""
		}
	case !d.plan.IsRollbackable(app):
		return ""
	}
	for _, p := range app.Parts {
		if d.hasFailed(app, p) {
			return p.Service
		}
	}
	return ""
}

// hasFailed reports whether a part failed after an earlier pass started it, alone or with the main
// service. A part that systemd restarts has failed, too.
func (d *differ) hasFailed(app App, p Part) bool {
	main := app.Parts[0].Service
	u, ofMain := d.have.Units[p.Service], d.have.Units[main]
	if u.Active != Failed && !u.IsRetried() || u.Stopped {
		return false
	}
	record := d.history[app.ID]
	if started, begun := record.hasStarted(p.Service, u); begun {
		return started
	}
	started, begun := record.hasStarted(main, ofMain)
	isUntouched := !started && (ofMain.Active == Active || ofMain.Active == Deactivating)
	return begun && !isUntouched
}

func (d *differ) isRefused(app string) bool {
	return slices.ContainsFunc(d.plan.Refused, func(r Refusal) bool { return r.App == app })
}

// adopt parks the foreign containers of apps, and those that an earlier pass began to park.
func (d *differ) adopt() {
	d.plan.Adopts = map[string][]ForeignContainer{}
	for _, app := range d.want.Apps {
		if d.isRefused(app.ID) || app.Request == Stop || !d.want.Adopts || !d.plan.HasSteps(app.ID) {
			continue
		}
		if list := d.basis.Past.Adoptions.with(app.ID, d.have.Foreign[app.ID].Containers); len(list) > 0 {
			d.plan.Adopts[app.ID] = list
		}
	}
	for _, app := range d.basis.Reverted {
		if d.want.Adopts && d.basis.IsInPlace(app.ID) {
			d.plan.Reverts = append(d.plan.Reverts, Rollback{App: app.ID, Actions: d.unpark(app)})
		}
	}
}

// unpark restores foreign containers. A plan for all apps also stops the app and removes its
// files, as for any app that is not wanted.
func (d *differ) unpark(app App) []Action {
	list := d.plan.revertActions(app, d.have.Units)
	if d.want.Complete {
		list = slices.DeleteFunc(list, func(a Action) bool { return a.Kind != Restore })
	}
	return list
}

// resumeAdoption finishes the adoption of a pass that was killed: the containers are removed if
// the app serves, and restored otherwise. An app that is down was stopped by an operator, who
// starts it again. No pass starts one that is disabled, so its containers are restored, too.
func (d *differ) resumeAdoption(app App) {
	main := app.Parts[0].Service
	u := d.have.Units[main]
	switch {
	case !d.want.Adopts || !d.basis.IsInPlace(app.ID) || app.Request == Stop:
		return
	case !app.Enabled && d.isDown(app):
		d.plan.Reverts = append(d.plan.Reverts, Rollback{App: app.ID, Actions: d.plan.unparkActions(app.ID)})
		return
	case u.IsAtRest() || u.Active == Deactivating:
		return
	}
	if u.Active == Failed {
		d.step(app, ResetFailed, main, ReasonLegacy, false)
	}
	d.step(app, Start, main, ReasonLegacy, false)
}

// isDown reports whether nothing of an app runs, and systemd will not start it.
func (d *differ) isDown(app App) bool {
	return !slices.ContainsFunc(app.Parts, func(p Part) bool {
		u := d.have.Units[p.Service]
		return u.Active != "" && u.Active != Inactive && u.Active != Failed
	})
}

// acquire finds the images and secrets that changed or started apps may lack. An app that is being
// stopped does not wait for a registry: it keeps its files, and the next pass changes them.
func (d *differ) acquire() {
	apps := make([]App, 0, len(d.want.Apps))
	for _, app := range d.want.Apps {
		lack := d.lackOf(app)
		switch {
		case d.isRefused(app.ID):
		case app.Request == Stop && lack != (Prerequisites{}):
			d.plan.Files = slices.DeleteFunc(d.plan.Files, func(a Action) bool { return a.App == app.ID })
			d.reloads = slices.DeleteFunc(d.reloads, func(a Action) bool { return a.App == app.ID })
			app = app.With(d.have.Ours.Of(app.ID))
		case lack != (Prerequisites{}):
			d.plan.Acquisitions = append(d.plan.Acquisitions, Acquisition{App: app.ID, Prerequisites: lack})
		}
		if len(app.Parts) > 0 { // it has something to stop
			apps = append(apps, app)
		}
	}
	d.basis.Apps = apps
}

func (d *differ) lackOf(app App) Prerequisites {
	adopts := len(d.have.Foreign[app.ID].Containers) > 0
	return Prerequisites{
		Images:  adopts || d.plan.Writes(app.ID) && d.isNew(app),
		Secrets: len(app.Secrets) > 0 && (adopts || d.makesContainers(app)),
	}
}

// isNew reports whether an app never ran with the files that it should have. An app that lost its
// files and was stopped is not new.
func (d *differ) isNew(app App) bool {
	if app.Runs(d.have.Units) || d.have.Ours.Of(app.ID).SameContainers(app.Files) {
		return false
	}
	good, err := d.basis.Past.good(app.ID)
	return err != nil || !good.SameContainers(app.Files)
}

// makesContainers reports whether containers of an app are created: by this pass, by a later start
// of files that it writes, or by systemd's restarts.
func (d *differ) makesContainers(app App) bool {
	starts := func(a Action) bool { return a.App == app.ID && a.isStart() }
	retries := func(a Action) bool { return a.App == app.ID && a.Reason == ReasonRestartedBySystemd }
	return d.plan.Writes(app.ID) && !app.Runs(d.have.Units) || slices.ContainsFunc(d.plan.Steps, starts) || slices.ContainsFunc(d.plan.Left, retries)
}

// revive restores the last-good units of services that must stop and have lost their units, until
// they have stopped. Without a unit systemd does not know the app's stop timeout, nor that Podman
// has to clean up after it.
func (d *differ) revive() {
	for _, a := range d.plan.Stops {
		if a.Kind != Stop || d.have.Units[a.Target].Loaded || d.basis.IsWanted(a.App) || len(d.plan.Revives.Of(a.App)) > 0 {
			continue
		}
		good, err := d.basis.Past.good(a.App)
		if err != nil {
			continue // it is stopped without its unit
		}
		d.plan.Revives = append(d.plan.Revives, good...)
	}
	d.plan.Revives.Sort()
	for _, f := range d.plan.Revives {
		remove := Action{App: f.App, Kind: Remove, Target: f.Name, Reason: ReasonRemoved}
		if !slices.Contains(d.plan.Files, remove) {
			d.plan.Files = append(d.plan.Files, remove)
		}
		d.reload(f.App, ReasonRemoved)
	}
}

// verify finds the apps that the pass verifies without an action.
func (d *differ) verify() {
	for _, app := range d.basis.Apps {
		isUp := app.IsUp(d.have.Units)
		isUnproven := app.IsAwaited && app.Request != Stop && isUp && app.Age(d.have.Units) < d.want.StabilizationTime
		u := d.have.Units[app.Parts[0].Service]
		isAtWork := u.Active != Inactive && u.Active != "" // an app in a crash loop is not stopped
		if !d.plan.HasSteps(app.ID) && !d.plan.rollsBack(app.ID) && (d.basis.Unfinished[app.ID] && isUp || isUnproven || app.Rotating && isAtWork) {
			d.plan.Verifies = append(d.plan.Verifies, app.ID)
		}
	}
}
