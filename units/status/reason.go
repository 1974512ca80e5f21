package status

import (
	"cmp"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// ofHealth is why a running service is left as it is, by its health. isOfHealth is those of
// them that a pass says: the answer that it had may not be the last.
var (
	ofHealth = map[units.Health]units.Reason{
		units.Loading: units.ReasonLoading, units.NeedsUser: units.ReasonNeedsUser,
		units.Failing: units.ReasonNotAnsweringYet, units.Unhealthy: units.ReasonNotServing,
	}
	isOfHealth = map[units.Reason]bool{units.ReasonLoading: true, units.ReasonNeedsUser: true, units.ReasonNotAnsweringYet: true}
)

// reason is why a service is as it is, or what a pass would do to it. health is that of one
// that runs. What is wrong with its file counts where nothing else does.
func (s Scene) reason(v Service, health units.Health) units.Reason {
	if why := cmp.Or(s.lack(), s.Refused); why != "" { // which a person has to fix, and all else is fixed
		return why
	}
	file := units.ContainerFile(units.ContainerOf(v.Name))
	var ofFile, ofApp units.Reason
	for _, a := range s.Actions {
		switch {
		case a.Kind == units.Acquire, a.Target == v.Name && isOfHealth[a.Reason]: // which says nothing of how the app is
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

// lack is that the app lacks something, where that matters: a pass found so, or would do
// something for the app.
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
