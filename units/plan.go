package units

import "time"

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

// Plan is everything that leads from what is to what should be.
type Plan struct {
	// Stops are done first, while systemd still knows how to stop the services
	// that go.
	Stops []Action
	// Files are written and removed together.
	Files []Action
	// Reload is nil where systemd has to read nothing.
	Reload *Action
	// Steps is what is done to services, app by app: an app comes after all
	// that it needs.
	Steps []Action
	// Left is what was seen and is left as it is.
	Left []Action
	// Due is when the first repair may be made that is put off, the zero time
	// where none is.
	Due time.Time
}

// Idle reports whether there is nothing to do.
func (p Plan) Idle() bool {
	return len(p.Stops)+len(p.Files)+len(p.Steps) == 0 && p.Reload == nil
}

// Actions lists everything in the order in which it is done, then what is left.
func (p Plan) Actions() []Action {
	list := append([]Action{}, p.Stops...)
	list = append(list, p.Files...)
	if p.Reload != nil {
		list = append(list, *p.Reload)
	}
	list = append(list, p.Steps...)
	return append(list, p.Left...)
}
