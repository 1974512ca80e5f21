package status

import (
	"cmp"
	"slices"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
)

// ofHealth is the reason why a running service is left alone, by its health. isOfHealth is
// those reasons that a pass reports: the snapshot may have a newer answer.
var (
	ofHealth = map[units.Health]units.Reason{
		units.Loading: units.ReasonLoading, units.NeedsUser: units.ReasonNeedsUser,
		units.Failing: units.ReasonNotAnsweringYet, units.Unhealthy: units.ReasonNotServing,
	}
	isOfHealth = map[units.Reason]bool{units.ReasonLoading: true, units.ReasonNeedsUser: true, units.ReasonNotAnsweringYet: true}
)

// reason returns why a service is in its state, or what a pass would do to it. health is
// the health of a running service. A difference of its file counts only if there is no
// other reason.
func (s Scene) reason(v Service, health units.Health) units.Reason {
	if why := cmp.Or(s.lack(), s.Refused); why != "" { // only a user can fix these; passes fix the rest
		return why
	}
	if v.Unit.Unreadable != "" {
		return units.ReasonUnreadable
	}
	file := units.ContainerFile(units.ContainerOf(v.Name))
	var ofFile, ofApp units.Reason
	for _, a := range s.Actions {
		switch {
		case a.Kind == units.Acquire, a.Reason == units.ReasonHealthySinceRestart, a.Target == v.Name && isOfHealth[a.Reason]: // these say nothing about the state of the app
		case a.Target == v.Name && a.Reason != units.ReasonNeverStarted:
			return a.Reason
		case a.Target == v.Name || a.Target == file:
			ofFile = cmp.Or(ofFile, a.Reason)
		case a.Target == "" || a.Kind == units.Write || a.Kind == units.Remove:
			ofApp = cmp.Or(ofApp, a.Reason)
		}
	}
	switch why := ofHealth[health]; {
	case why != "":
		return why
	case ofFile != "":
		return ofFile
	case ofApp != "":
		return ofApp
	case s.RolledBack:
		return units.ReasonRolledBack
	case s.Removed:
		return units.ReasonRemoved
	case !v.Unit.Loaded:
		return units.ReasonNotLoaded
	case v.Unit.NeedsReload:
		return units.ReasonNeedsReload
	case v.Unit.Active == units.Failed:
		return units.ReasonFailed
	}
	return ""
}

// ofEnding is the reasons for which a service is down after it ended by itself.
var ofEnding = map[units.Reason]bool{
	units.ReasonRestartedBySystemd: true, units.ReasonFailed: true, units.ReasonBackingOff: true, units.ReasonGaveUp: true, units.ReasonLimitReached: true,
}

// limit is the limit of the machine on which the last start of a service failed, as its last
// lines tell. It is empty if there is none.
func (s Scene) limit(v Service) units.Limit {
	if p := v.Unit.Phase(); p != units.PhaseFailed && p != units.PhaseRestarting {
		return ""
	}
	return limits.Of(s.Lines[v.Name], v.Unit.Run.ExitCode)
}

// lack returns the reason if the app is missing something: a pass reported so, or the pull
// unit failed and a pass would change the app.
func (s Scene) lack() units.Reason {
	for _, a := range s.Actions {
		if a.Kind == units.Leave && (a.Reason == units.ReasonPulling || a.Reason == units.ReasonPullFailed) {
			return a.Reason
		}
	}
	isForIt := func(a units.Action) bool { return a.Kind != units.Leave && a.Kind != units.ResetFailed }
	switch s.Pull {
	case units.Activating:
		return units.ReasonPulling
	case units.Failed:
		if slices.ContainsFunc(s.Actions, isForIt) {
			return units.ReasonPullFailed
		}
	case units.Active, units.Deactivating, units.Inactive:
	}
	return ""
}
