package units

import (
	"errors"
	"slices"
)

// PreviousFiles is what an app returns to if it does not serve after a change: its last-good files. An app
// that was never verified to serve returns to the files that it had, unless a pass that did not finish wrote
// them or some of them are lost.
func (p Plan) PreviousFiles(app string) Set {
	good, err := p.Basis.Past.good(app)
	if err == nil && (len(good) > 0 || p.Basis.Unfinished[app] || p.hasLost(app)) {
		return good
	}
	return p.Ours.Of(app)
}

// hasLost reports whether files of an app are missing or have lost their ownership section.
func (p Plan) hasLost(app string) bool {
	return slices.ContainsFunc(p.Files, func(a Action) bool {
		_, found := p.Ours.Find(a.Target)
		return a.App == app && a.Kind == Write && !found
	})
}

// IsRollbackable reports whether an app ran with other files before they were changed, and reads its
// data with them.
func (p Plan) IsRollbackable(app App) bool {
	return p.hasPrevious(app) && p.Unreadable(app) == nil
}

func (p Plan) hasPrevious(app App) bool {
	previous := p.PreviousFiles(app.ID)
	return len(previous) > 0 && (p.Writes(app.ID) || p.Basis.Unfinished[app.ID]) && !previous.SameContainers(app.Files)
}

// errSaved is why a pass leaves the rollback to the update.
var errSaved = errors.New("the update restores them with the data")

// Unreadable is why an app can't return to its previous files: its data has a format that they can't
// read, or may have one. It is nil if they can, or if there are no previous files. A start of the app
// changes it.
func (p Plan) Unreadable(app App) error {
	if !p.hasPrevious(app) {
		return nil
	}
	past := p.Basis.Past
	switch isSaved, err := past.isDataSaved(app.ID); {
	case err != nil:
		return err
	case isSaved:
		return errSaved
	case past.DataFormat == nil:
		return nil
	}
	return p.PreviousFiles(app.ID).DataFormat(app.ID).CheckRecorded(app.ID, past.DataFormat)
}

// SameContainers reports whether two renderings of an app make the same containers.
func (s Set) SameContainers(other Set) bool {
	return slices.EqualFunc(s, other, func(a, b File) bool { return a.Name == b.Name && a.Digest == b.Digest })
}

// RollbackWrites writes the previous files of an app.
func RollbackWrites(app string, previous Set) []Action {
	list := make([]Action, 0, len(previous))
	for _, f := range previous {
		list = append(list, Action{App: app, Kind: Write, Target: f.Name, Reason: ReasonRolledBack})
	}
	return list
}

// RollbackSteps prepares the restart of an app with its previous files, and restarts it.
func RollbackSteps(previous App) (before []Action, restart Action) {
	main := previous.Parts[0].Service
	return []Action{
		{Kind: Reload, Reason: ReasonRolledBack},
		{App: previous.ID, Kind: ResetFailed, Target: main, Reason: ReasonRolledBack},
	}, Action{App: previous.ID, Kind: Restart, Target: main, Reason: ReasonRolledBack}
}

// StopAll stops the services of an app that are not stopped, and resets those that fail.
func StopAll(app App, found map[string]Unit) []Action {
	var list []Action
	for _, service := range app.Services() {
		if u := found[service]; u.Active == "" || u.Active == Inactive {
			continue
		}
		for _, kind := range []Kind{Stop, ResetFailed} {
			list = append(list, Action{App: app.ID, Kind: kind, Target: service, Reason: ReasonRolledBack})
		}
	}
	return list
}

// AfterRollbackOf is the actions on an app that was started while apps that it needs served, and
// those were rolled back afterwards. An app that failed or is down may have failed because of them,
// and one that tracks their addresses has the old ones.
func AfterRollbackOf(needs []string, app App, found map[string]Unit, hasFailed bool) []Action {
	main := app.Parts[0].Service
	tracks := slices.ContainsFunc(app.Parts, func(p Part) bool {
		return slices.ContainsFunc(p.TracksAddressOf, func(service string) bool { return slices.Contains(needs, AppOf(service)) })
	})
	if !hasFailed && !tracks && app.IsUp(found) {
		return nil
	}
	restart := Action{App: app.ID, Kind: Restart, Target: main, Reason: ReasonNeedRolledBack}
	reset := restart
	reset.Kind = ResetFailed
	return []Action{reset, restart}
}

// rollsBack reports whether the plan rolls an app back.
func (p Plan) rollsBack(app string) bool { return p.Rollback(app) != nil }

// Rollback is the rollback of an app, nil if there is none.
func (p Plan) Rollback(app string) *Rollback {
	i := slices.IndexFunc(p.Rollbacks, func(r Rollback) bool { return r.App == app })
	if i < 0 {
		return nil
	}
	return &p.Rollbacks[i]
}

// revertActions stops an app and restores its foreign containers.
func (p Plan) revertActions(app App, found map[string]Unit) []Action {
	list := StopAll(app, found)
	own := p.Ours.Of(app.ID)
	for _, f := range own {
		list = append(list, Action{App: app.ID, Kind: Remove, Target: f.Name, Reason: ReasonRolledBack})
	}
	if len(own) > 0 {
		list = append(list, Action{Kind: Reload, Reason: ReasonRolledBack})
	}
	return append(list, p.unparkActions(app.ID)...)
}

// unparkActions restores the foreign containers of an app.
func (p Plan) unparkActions(app string) (list []Action) {
	for _, c := range slices.Backward(p.Basis.Past.Adoptions[app].Containers) { // the main container is last, as in a start
		list = append(list, c.UnparkAction(app))
	}
	return list
}
