package units

import (
	"maps"
	"slices"
	"time"
)

// Kind is the kind of an action.
type Kind string

// The kinds of actions, in the order in which a plan carries them out.
const (
	// Stop stops a service: its app was removed, or an operator requests it.
	Stop Kind = "stop"
	// Write writes a file, Remove removes one.
	Write  Kind = "write"
	Remove Kind = "remove"
	// Reload makes systemd read the unit files again.
	Reload Kind = "reload"
	// Start starts a service, Restart stops it before. ResetFailed resets the failed state, the
	// start limit and the number of automatic restarts of a service.
	ResetFailed Kind = "reset-failed"
	Start       Kind = "start"
	Restart     Kind = "restart"
	// ReloadService makes a running service read its configuration files again.
	ReloadService Kind = "reload-service"
	// Recreate stops a service, removes its container by force, but no volume of it, and starts
	// the service. ReloadNetwork makes Podman set up the network of its containers again: a
	// firewall reload deletes Podman's rules.
	Recreate      Kind = "recreate"
	ReloadNetwork Kind = "reload-network"
	// Adopt parks a foreign container, so that the app replaces it. Restore undoes that.
	Adopt   Kind = "adopt"
	Restore Kind = "restore"
	// Acquire pulls the images and creates the secrets that an app lacks, if any.
	Acquire Kind = "acquire"
	// Leave does nothing, for a reason that may interest the operator.
	Leave Kind = "leave"
)

// Action is one action of a plan, or the decision to do nothing about a target.
type Action struct {
	// App is the app of the target, empty for a target that all apps share.
	App  string `json:"app,omitempty"`
	Kind Kind   `json:"action"`
	// Target is a file or a service.
	Target string `json:"target,omitempty"`
	Reason Reason `json:"reason"`
	// Repair: it counts against the app's budget.
	Repair bool `json:"repair,omitempty"`
	// Alone: a restart does not include the units that are PartOf= the target.
	Alone bool `json:"alone,omitempty"`
}

// Changes reports whether an action changes units or services of the machine.
func (a Action) Changes() bool { return a.Kind != Leave && a.Kind != Acquire }

// isStart reports whether an action creates a container.
func (a Action) isStart() bool { return a.Kind == Start || a.Kind == Restart || a.Kind == Recreate }

// Plan is every action from the observed to the desired state, in the order of the fields. Decide
// makes it, and nothing changes it afterwards.
type Plan struct {
	// Basis is what the plan was made from, without what waits: an app that stops keeps its files
	// if others would need a pull first.
	Basis Basis
	// Ours is the files of ours before the plan is carried out.
	Ours Set
	// Refused is the apps for which the plan does nothing.
	Refused []Refusal
	// Acquisitions is what has to be available before an app is changed.
	Acquisitions []Acquisition
	// Records is the files of grants to write, see App.Unrecorded.
	Records []Action
	// Revives is the files of services that must stop and have lost their files.
	Revives Set
	// Stops are carried out while systemd still has the units of the services.
	Stops []Action
	// Adopts is the foreign containers to park, by app. They are removed once the app serves.
	Adopts map[string][]ForeignContainer
	// Files are written and removed together.
	Files []Action
	// Reload is nil if systemd has to read nothing.
	Reload *Action
	// Reverts is the apps whose containers are not restored yet: those of Basis.Reverted, and disabled
	// ones that are down. The latter keep their unit files.
	Reverts []Rollback
	// Resets is the services whose automatic restarts are forgotten. They keep running, so nothing
	// has to be verified afterwards.
	Resets []Action
	// Steps is the actions on services, app by app: an app comes after the apps that it needs.
	Steps []Action
	// Rollbacks is the apps that return to what they were before they were changed.
	Rollbacks []Rollback
	// Verifies is the apps that the pass verifies without an action, because it is not known yet
	// whether they serve.
	Verifies []string
	// Left is what the pass found and leaves as it is.
	Left []Action
	// Due is when the first delayed action may be taken, the zero time if there is none.
	Due time.Time
}

// Refusal is why the plan does nothing for an app.
type Refusal struct {
	App string
	Err error
}

// Prerequisites is what an app may lack when its containers are created.
type Prerequisites struct {
	// Images: the app does not run with its desired images, so they may be missing.
	Images bool
	// Secrets: secrets may have no value yet.
	Secrets bool
}

// Acquisition is what an app may lack.
type Acquisition struct {
	App string
	Prerequisites
}

// Rollback is an app that returns to what it was before its last change.
type Rollback struct {
	App string
	// Service is the part that failed after an earlier pass changed the app.
	Service string
	// Actions carries out the rollback. It is empty if an app that it needs is down, too: that may
	// be the only cause.
	Actions []Action
}

// Idle reports whether there is nothing to do.
func (p Plan) Idle() bool {
	rollsBack := slices.ContainsFunc(p.Rollbacks, func(r Rollback) bool { return len(r.Actions) > 0 })
	return len(p.Records)+len(p.Revives)+len(p.Stops)+len(p.Files)+len(p.Reverts)+len(p.Resets)+len(p.Steps) == 0 && p.Reload == nil && !rollsBack
}

// StepsOf is the actions on the services of an app.
func (p Plan) StepsOf(app string) []Action {
	var list []Action
	for _, a := range p.Steps {
		if a.App == app {
			list = append(list, a)
		}
	}
	return list
}

// HasSteps reports whether the plan has actions on the services of an app.
func (p Plan) HasSteps(app string) bool {
	return slices.ContainsFunc(p.Steps, func(a Action) bool { return a.App == app })
}

// Writes reports whether the plan changes files of an app.
func (p Plan) Writes(app string) bool {
	return slices.ContainsFunc(p.Files, func(a Action) bool { return a.App == app })
}

// starts reports whether a step or a rollback that fits makes a container.
func (p Plan) starts(fits func(Action) bool) bool {
	isStart := func(a Action) bool { return a.isStart() && fits(a) }
	return slices.ContainsFunc(p.Steps, isStart) ||
		slices.ContainsFunc(p.Rollbacks, func(r Rollback) bool { return slices.ContainsFunc(r.Actions, isStart) })
}

// Starting is the apps of which the plan starts a service that is down. Only then can a foreign
// container have its name.
func (p Plan) Starting(have Observed) []App {
	var list []App
	for _, app := range p.Basis.Apps {
		isDown := func(part Part) bool { return have.Units[part.Service].Active != Active }
		isOf := func(a Action) bool { return a.App == app.ID }
		if slices.ContainsFunc(app.Parts, isDown) && p.starts(isOf) {
			list = append(list, app)
		}
	}
	return list
}

// Actions lists all actions in order, then what is left as it is.
func (p Plan) Actions() []Action {
	list := slices.Clone(p.Records)
	for _, a := range p.Acquisitions {
		list = append(list, Action{App: a.App, Kind: Acquire, Reason: ReasonMayLack})
	}
	if len(p.Revives) > 0 {
		list = append(list, Action{Kind: Reload, Reason: ReasonNotLoaded})
	}
	list = append(list, p.Stops...)
	ids := slices.Sorted(maps.Keys(p.Adopts))
	for _, id := range ids {
		for _, c := range p.Adopts[id] {
			list = append(list, c.ParkAction(id))
		}
	}
	list = append(list, p.Files...)
	if p.Reload != nil {
		list = append(list, *p.Reload)
	}
	for _, r := range p.Reverts {
		list = append(list, r.Actions...)
	}
	list = append(list, p.Resets...)
	list = append(list, p.Steps...)
	for _, r := range p.Rollbacks {
		list = append(list, r.Actions...)
	}
	for _, id := range ids {
		if p.rollsBack(id) {
			continue
		}
		for _, c := range p.Adopts[id] {
			list = append(list, c.RemoveAction(id))
		}
	}
	return append(list, p.Left...)
}
