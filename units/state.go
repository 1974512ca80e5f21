package units

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Desired is the desired state of the machine.
type Desired struct {
	// Apps is the valid apps, in any order.
	Apps []App
	// Invalid is the ids of apps whose manifests are invalid. Everything of them stays as it is: a
	// mistake in a manifest never removes an app.
	Invalid []string
	// Ungranted is the ids of apps that must have no files although they have manifests: a right
	// that they need was never granted, or no longer is.
	Ungranted []string
	// Shared is the files that belong to no single app: the networks of capabilities.
	Shared Set
	// Complete: Apps and Invalid are all apps of the machine, so every other file of ours is
	// removed.
	Complete bool
	// Scope is the manager that runs the apps.
	Scope Scope
	// Adopts: apps may replace foreign containers.
	Adopts bool
	// StabilizationTime is how long a started app has to stay up before it counts as started.
	StabilizationTime time.Duration
}

// Refused is the apps that have a manifest but are not in Apps, with the reason.
func (d Desired) Refused() map[string]Reason {
	list := make(map[string]Reason, len(d.Invalid)+len(d.Ungranted))
	for _, id := range d.Invalid {
		list[id] = ReasonInvalidManifest
	}
	for _, id := range d.Ungranted {
		list[id] = ReasonNotGranted
	}
	return list
}

// Find returns the valid app with an id.
func (d Desired) Find(id string) (App, bool) {
	// A pass finds all apps, which mostly are in order.
	i, isThere := slices.BinarySearchFunc(d.Apps, id, func(a App, id string) int { return cmp.Compare(a.ID, id) })
	if !isThere {
		i = slices.IndexFunc(d.Apps, func(a App) bool { return a.ID == id })
	}
	if i < 0 {
		return App{}, false
	}
	return d.Apps[i], true
}

// Services is the names of the services of the apps.
func (d Desired) Services() []string {
	var names []string
	for _, app := range d.Apps {
		names = append(names, app.Services()...)
	}
	return names
}

// Files is every file of the desired state, sorted.
func (d Desired) Files() Set {
	set := make(Set, 0, d.FileCount())
	set = append(set, d.Shared...)
	for _, app := range d.Apps {
		set = append(set, app.Files...)
	}
	set.Sort()
	return set
}

// FileCount is the number of files of the desired state.
func (d Desired) FileCount() int {
	n := len(d.Shared)
	for _, app := range d.Apps {
		n += len(app.Files)
	}
	return n
}

// App is one app as it should be.
type App struct {
	ID string
	// Files is the app's own files.
	Files Set
	// Parts is the app's services, main first.
	Parts []Part
	// Needs is the ids of the apps that have to serve before it starts.
	Needs []string
	// RestartAfter is the ids of the apps that write files which this one reads when it starts, or
	// whose address it looks up then. When one of them restarts, this one is checked, too.
	RestartAfter []string
	// Companions is the ids of the apps that stop and restart with this one.
	Companions []string
	// Secrets is the secrets that must have a value before the app starts.
	Secrets []Secret
	// Unrecorded is a file that is written before the app's units, nil if there is none.
	Unrecorded *Unrecorded
	// Enabled: the app starts at boot, and a pass starts it if it was never started.
	Enabled bool
	// ManifestDigest identifies the version of the manifest.
	ManifestDigest string
	// Request is the operator's request: Start, Restart, Stop or none. Leave makes no repair, so
	// that the outcome of the last one can be seen.
	Request Kind
	// IsAwaited: an operator waits for this app to serve.
	IsAwaited bool
	// Rotating: a rotation changes secrets of the app or of an app that it needs. What follows
	// from that is not delayed, and the app is not yet verified with the new values.
	Rotating bool
}

// Unrecorded is a file of grants that is not written yet. Only the app's old units record that the
// app has them.
type Unrecorded struct {
	Dir, Name string
	Content   []byte
}

// Services is the names of the app's services, main first.
func (a App) Services() []string {
	names := make([]string, 0, len(a.Parts))
	for _, p := range a.Parts {
		names = append(names, p.Service)
	}
	return names
}

// PartsInOrder is the app's parts, each after the parts that it is ordered after.
func (a App) PartsInOrder() []Part {
	return inOrder(a.Parts, func(p Part) string { return p.Service }, func(p Part) []string { return p.After })
}

// Stale is the app with only the given service, which does not serve, and whether that service is
// Stale: a part that it is ordered after came up later. That part may have another address now,
// and has closed every connection.
func (a App) Stale(service string, found map[string]Unit) (App, bool) {
	before, isStale := map[string]bool{service: true}, false
	for _, p := range slices.Backward(a.PartsInOrder()) {
		if before[p.Service] {
			u := found[p.Service]
			isStale = isStale || u.Active == Active && u.Up < found[service].Up
			for _, other := range p.After {
				before[other] = true
			}
		}
	}
	a.Request, a.Parts = "", slices.DeleteFunc(slices.Clone(a.Parts), func(p Part) bool { return p.Service != service })
	for i := range a.Parts {
		a.Parts[i].Stale = true
	}
	return a, isStale
}

// Age is how long ago the app's most recently started part came up.
func (a App) Age(found map[string]Unit) time.Duration {
	least := time.Duration(math.MaxInt64)
	for _, p := range a.Parts {
		if u := found[p.Service]; u.Active == Active {
			least = min(least, u.Up)
		}
	}
	return least
}

// IsUp reports whether the app is started: some parts run, and the others were stopped.
func (a App) IsUp(found map[string]Unit) bool {
	some := false
	for _, p := range a.Parts {
		u := found[p.Service]
		switch {
		case u.IsOnItsWay():
			return false
		case u.Active == Active:
			some = true
		case u.Active != Inactive:
			return false
		}
	}
	return some
}

// Part is one service of an app.
type Part struct {
	// Service is the systemd unit, File the Quadlet file that it is made from.
	Service, File string
	// Digest is that of the file, and of a container that matches it.
	Digest string
	// Config, Watched and Reloadable are the digests of what the container would be started with
	// now beside its file: configuration files and secrets, files that other apps write, and
	// configuration files that it can read again while it runs. A digest is empty if the container
	// needs none or the digest is unknown.
	Config, Watched, Reloadable string
	// Oneshot: the container exits, and its unit stays active.
	Oneshot bool
	// Stale: it does not serve since a part that it is ordered after restarted. It may be a proxy
	// that keeps the old address of a server, or a client that exits without its database.
	Stale bool
	// WasUp: it was up or starting when the rotation of Rotating began.
	WasUp bool
	// After is the services of the same app that this one is ordered after. PartOf is those whose
	// restart restarts this one.
	After, PartOf []string
	// TracksAddressOf is the services of other apps whose addresses this one looks up only when it
	// starts. Each start can give those another address.
	TracksAddressOf []string
	// Lends: other parts share its network namespace, and lose it with its container.
	Lends bool
}

// Secret is a value that only its users may read. Names are full names, ID.NAME.
type Secret struct {
	Name string
	// Length and Alphabet describe a random value. A secret without them is entered by an
	// operator, or derived From the value of another secret by a Method.
	Length   int
	Alphabet string
	From     string
	Method   string
}

// Observed is the observed state of the machine.
type Observed struct {
	// Files has every wanted file that is not as it should be, and every file of ours that is not
	// wanted, by name. A wanted file that is missing here is right.
	Files map[string]FoundFile
	// Units is what systemd reports about each service, by name.
	Units map[string]Unit
	// Ours is every file of ours.
	Ours Set
	// Foreign is the foreign containers of each app for which they were looked up.
	Foreign map[string]Foreign
	// Room is how many more containers fit each limit on which a service has failed. One that is
	// unknown is missing.
	Room map[Limit]int
}

// FoundFile is a file that is not as it should be.
type FoundFile struct {
	State FileState
	// App is the app that the file belongs to, empty for a shared one.
	App string
	// Service is the service that Quadlet makes of it, if it is a container file of ours.
	Service string
}

// FileState is what is wrong with a file.
type FileState string

// The states of files.
const (
	// FileMissing: there is no file.
	FileMissing FileState = "missing"
	// FileDiffers: the file is ours and was edited, truncated, or rendered from something else.
	FileDiffers FileState = "differs"
	// FileOdd: a link, a directory, a FIFO or damaged data has the name.
	FileOdd FileState = "odd"
	// FileForeign: a foreign file has the name. It is never replaced.
	FileForeign FileState = "foreign"
	// FileStale: the file is ours and not wanted.
	FileStale FileState = "stale"
)

// Unit is a service as systemd knows it.
type Unit struct {
	// Loaded: systemd has a valid or a masked unit. An app may run without one after its file was
	// deleted.
	Loaded bool
	// Masked: systemctl mask forbids systemd to start it, whatever its file says.
	Masked bool
	// NeedsReload: the unit's file changed since systemd read it.
	NeedsReload bool
	Active      ActiveState
	// Job is the type of the job that systemd has queued or runs for the unit, such as "restart",
	// and empty without one. The unit stays Active until the job runs, which takes minutes if
	// other units have to stop first.
	Job string
	// Invocation is systemd's id of the last start, empty before the first.
	Invocation string
	// Up is how long ago the unit last became active, 0 if unknown.
	Up time.Duration
	// Restarting: the unit waits for its next automatic start.
	Restarting bool
	// Restarts is systemd's NRestarts: the automatic restarts since the last start by a job or
	// reset-failed. The delay before the next one depends on it.
	Restarts uint32
	// Stopped: the unit was started, and is down because it was stopped, or because it exited as
	// configured. After any other exit systemd would restart it.
	Stopped bool
	// Digest is that of the running container, empty if unknown.
	Digest string
	// Unreadable says why the state of its container can't be read, empty if it can.
	Unreadable string
	// Config and Watched are the digests that it was started with, and Reloadable that of the
	// files that it read last, see Part.
	Config, Watched, Reloadable string
	// Payload is the control group of the container's processes, empty if none runs.
	Payload string
	// Limit is the limit of the machine on which its last start failed, empty if there is none or
	// it is unknown.
	Limit Limit
	// ConfigUnknown: the digests of what it would be started with now are unknown.
	ConfigUnknown bool
	// Paused: the container's processes are frozen.
	Paused bool
	Health Health
	Run    Run
}

// Unreadable is the error of the first of some services whose container's state can't be read, nil if
// there is none.
func Unreadable(found map[string]Unit, services []string) error {
	for _, name := range services {
		if why := found[name].Unreadable; why != "" {
			return fmt.Errorf("the state of the container of %s can't be read: %s", name, why)
		}
	}
	return nil
}

// Phase is the state of a service, as shown to users.
type Phase string

// The phases.
const (
	PhaseRunning    Phase = "running"
	PhaseDone       Phase = "done" // it exited successfully and stays active
	PhaseStarting   Phase = "starting"
	PhaseStopping   Phase = "stopping"
	PhaseRestarting Phase = "restarting"
	PhasePaused     Phase = "paused"
	PhaseFailed     Phase = "failed"
	PhaseStopped    Phase = "stopped"
)

// severity orders the phases: the part in the worst state speaks for the app.
var severity = map[Phase]int{PhaseFailed: 7, PhasePaused: 6, PhaseRestarting: 5, PhaseStopped: 4, PhaseStopping: 3, PhaseStarting: 2}

// IsWorse reports whether a phase is worse than another.
func (w Phase) IsWorse(than Phase) bool { return severity[w] > severity[than] }

// Phase is the one word for what is known of a service.
func (u Unit) Phase() Phase {
	switch {
	case u.Restarting:
		return PhaseRestarting
	case u.Active == Active && u.Paused:
		return PhasePaused
	case u.Active == Active && u.Run.Exited:
		return PhaseDone
	case u.Stopped:
		return PhaseStopped
	}
	return words[u.Active]
}

var words = map[ActiveState]Phase{
	Active: PhaseRunning, Activating: PhaseStarting, Deactivating: PhaseStopping, Failed: PhaseFailed, Inactive: PhaseStopped, "": PhaseStopped,
}

// ActiveState is systemd's ActiveState of a unit.
type ActiveState string

// The states, as systemd names them.
const (
	Inactive     ActiveState = "inactive"
	Activating   ActiveState = "activating"
	Active       ActiveState = "active"
	Deactivating ActiveState = "deactivating"
	Failed       ActiveState = "failed"
)

// IsOnItsWay reports whether the unit is about to be up or down. One that waits for its next
// automatic start does not count: it may restart forever.
func (u Unit) IsOnItsWay() bool {
	return u.Active == Deactivating || u.Active == Activating && !u.Restarting || u.Active == Active && u.Job != ""
}

// IsRetried reports whether the unit exited by itself, and systemd waits for its next automatic
// start or makes it. The first wait is too short to be observed.
func (u Unit) IsRetried() bool { return u.Restarting || u.Active == Activating && u.Restarts > 0 }

// IsComing reports whether the unit is about to be up. One that is stopping may have a job that
// starts it again.
func (u Unit) IsComing() bool {
	return u.IsOnItsWay() && (u.Active != Deactivating || u.HasStartJob())
}

// HasStartJob reports whether systemd has a job that starts the unit, perhaps after a stop.
func (u Unit) HasStartJob() bool { return u.Job == "start" || u.Job == "restart" }

// HasExitedSince reports whether the unit was active before and has exited, even if it is active
// again. One that is stopping has not.
func (u Unit) HasExitedSince(before Unit) bool {
	isDown := u.Active == Inactive || u.Active == Failed || u.IsRetried()
	return before.Active == Active && (isDown || u.Active == Active && u.Invocation != before.Invocation)
}

// IsAtRest reports whether the unit is down and systemd won't start it by itself.
func (u Unit) IsAtRest() bool {
	return u.Active == "" || u.Active == Inactive || u.Active == Failed && u.Stopped
}

// hasEnded reports whether the unit was started and has exited, successfully or not.
func (u Unit) hasEnded() bool {
	return u.Restarting || u.Stopped || u.Active == Failed
}

// Health is what the probes of a service say.
type Health string

// The states of health.
const (
	// HealthUnknown: there is no answer. An active unit is assumed to serve.
	HealthUnknown Health = ""
	Serving       Health = "serving"
	// Loading: it answers that it is not ready yet.
	Loading Health = "loading"
	// NeedsUser: it waits for a person, for example to unlock a wallet.
	NeedsUser Health = "needs-user"
	// Failing: its probe fails, but not as often as its manifest allows.
	Failing Health = "unsure"
	// Unhealthy: its probe failed as often as its manifest allows.
	Unhealthy Health = "sick"
)

// IsDown reports whether a service was probed and does not serve.
func (h Health) IsDown() bool { return h == Failing || h == Unhealthy }
