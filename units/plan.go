package units

import (
	"maps"
	"slices"
	"time"
)

// Kind is what is done to a target.
type Kind string

// The kinds of actions, in the order in which a plan does them.
const (
	// Stop ends a service: its app was removed, or a person asks for it.
	Stop Kind = "stop"
	// Write puts a file into place, Remove takes one away.
	Write  Kind = "write"
	Remove Kind = "remove"
	// Reload lets systemd read the unit files again.
	Reload Kind = "reload"
	// Start starts a service, Restart ends it before. ResetFailed makes systemd
	// forget that it failed, so that its limits don't keep it from starting.
	ResetFailed Kind = "reset-failed"
	Start       Kind = "start"
	Restart     Kind = "restart"
	// ReloadService has a service that runs read its configuration files again.
	ReloadService Kind = "reload-service"
	// Recreate stops a service, removes its container by force, never a volume of
	// it, and starts the service. ReloadNetwork makes Podman set up the network of
	// its containers anew: a firewall that was reloaded has forgotten it.
	Recreate      Kind = "recreate"
	ReloadNetwork Kind = "reload-network"
	// Adopt stops a container that is not ours and puts it aside, so that an app
	// takes its place. Restore gives it that back.
	Adopt   Kind = "adopt"
	Restore Kind = "restore"
	// Acquire gets the images and secrets that an app lacks, if it lacks any.
	Acquire Kind = "acquire"
	// Leave does nothing, for a reason that a person may want to know.
	Leave Kind = "leave"
)

// Action is one thing that is done, or knowingly left.
type Action struct {
	// App is the app that it is done for, empty for what all share.
	App  string `json:"app,omitempty"`
	Kind Kind   `json:"action"`
	// Target is a file or a service.
	Target string `json:"target,omitempty"`
	Reason Reason `json:"reason"`
	// Repair: it counts against the app's budget.
	Repair bool `json:"repair,omitempty"`
	// Alone: a restart leaves the units alone that are PartOf= the target.
	Alone bool `json:"alone,omitempty"`
}

// Changes reports whether an action does something to the machine's units or services.
func (a Action) Changes() bool { return a.Kind != Leave && a.Kind != Acquire }

// isStart reports whether an action makes a container of its target.
func (a Action) isStart() bool { return a.Kind == Start || a.Kind == Restart || a.Kind == Recreate }

// Plan is everything that leads from what is to what should be, in the order of its fields. It
// is made by Decide, and not changed afterwards.
type Plan struct {
	// Basis is what the plan goes by, less what is put off: an app that is to stop keeps
	// the files that it has where others would have to be got first.
	Basis Basis
	// Ours is the files of ours that are there before the plan is carried out.
	Ours Set
	// Refused is the apps for which nothing can be done.
	Refused []Refusal
	// Acquisitions is what has to be there before anything of an app is changed.
	Acquisitions []Acquisition
	// Records is files of grants, see App.Unrecorded.
	Records []Action
	// Revives is the files of services that are to stop and have lost them.
	Revives Set
	// Stops are done while systemd still knows how to stop the services that go.
	Stops []Action
	// Adopts is the foreign containers that are parked, by app, and removed once it serves.
	Adopts map[string][]ForeignContainer
	// Files are written and removed together.
	Files []Action
	// Reload is nil where systemd has to read nothing.
	Reload *Action
	// Reverts is the apps of Basis.Reverted whose containers still have to get their place
	// back.
	Reverts []Rollback
	// Steps is what is done to services, app by app: an app comes after all
	// that it needs.
	Steps []Action
	// Rollbacks is the apps that get back what they were before they were changed.
	Rollbacks []Rollback
	// Verifies is the apps that are looked at though nothing is done to them: nobody has seen
	// yet whether they serve.
	Verifies []string
	// Left is what was seen and is left as it is.
	Left []Action
	// Due is when the first repair may be made that is put off, the zero time
	// where none is.
	Due time.Time
}

// Refusal is why nothing can be done for an app.
type Refusal struct {
	App string
	Err error
}

// Prerequisites is what an app may be without when its containers are made.
type Prerequisites struct {
	// Images may be missing: the app doesn't run with those that it is to have.
	Images bool
	// Secrets may have no value yet.
	Secrets bool
}

// Acquisition is what an app may be without.
type Acquisition struct {
	App string
	Prerequisites
}

// Rollback is an app that gets back what it was.
type Rollback struct {
	App string
	// Service is the part that has failed since an earlier pass changed the app.
	Service string
	// Actions is what gives the app back what it was, empty where an app that it needs is down
	// as well: that may be all that is wrong with it.
	Actions []Action
}

// Idle reports whether there is nothing to do.
func (p Plan) Idle() bool {
	rollsBack := slices.ContainsFunc(p.Rollbacks, func(r Rollback) bool { return len(r.Actions) > 0 })
	return len(p.Records)+len(p.Revives)+len(p.Stops)+len(p.Files)+len(p.Reverts)+len(p.Steps) == 0 && p.Reload == nil && !rollsBack
}

// StepsOf is what is done to the services of an app.
func (p Plan) StepsOf(app string) []Action {
	var list []Action
	for _, a := range p.Steps {
		if a.App == app {
			list = append(list, a)
		}
	}
	return list
}

// HasSteps reports whether something is done to services of an app.
func (p Plan) HasSteps(app string) bool {
	return slices.ContainsFunc(p.Steps, func(a Action) bool { return a.App == app })
}

// Writes reports whether files of an app are changed.
func (p Plan) Writes(app string) bool {
	return slices.ContainsFunc(p.Files, func(a Action) bool { return a.App == app })
}

// Starting is the apps of which a service is started that is down: only then can a foreign
// container have its name.
func (p Plan) Starting(have Observed) []App {
	var list []App
	for _, app := range p.Basis.Apps {
		isStart := func(a Action) bool { return a.App == app.ID && a.isStart() }
		isDown := func(part Part) bool { return have.Units[part.Service].Active != Active }
		restarts := slices.ContainsFunc(p.Rollbacks, func(r Rollback) bool { return slices.ContainsFunc(r.Actions, isStart) })
		if (slices.ContainsFunc(p.Steps, isStart) || restarts) && slices.ContainsFunc(app.Parts, isDown) {
			list = append(list, app)
		}
	}
	return list
}

// Actions lists everything in the order in which it is done, then what is left.
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
			list = append(list, Action{App: id, Kind: Adopt, Target: c.Name, Reason: ReasonLegacy})
		}
	}
	list = append(list, p.Files...)
	if p.Reload != nil {
		list = append(list, *p.Reload)
	}
	for _, r := range p.Reverts {
		list = append(list, r.Actions...)
	}
	list = append(list, p.Steps...)
	for _, r := range p.Rollbacks {
		list = append(list, r.Actions...)
	}
	for _, id := range ids {
		if p.rollsBack(id) {
			continue
		}
		for _, c := range p.Adopts[id] {
			list = append(list, Action{App: id, Kind: Remove, Target: c.ParkedName(), Reason: ReasonAdopted})
		}
	}
	return append(list, p.Left...)
}
