package units

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Desired is what the machine should look like.
type Desired struct {
	// Apps is the valid apps, in any order.
	Apps []App
	// Invalid is the ids of apps whose manifests are invalid: what is there of
	// them stays as it is. A mistake in a manifest is never a removal.
	Invalid []string
	// Ungranted is the ids of apps of which nothing may be there, although their manifests
	// are: they ask for a right that nobody granted, and never had it, or have it no more.
	Ungranted []string
	// Shared is the files that belong to no single app: capabilities' networks.
	Shared Set
	// Complete: Apps and Invalid are all apps there are, so that whatever else is
	// ours is to go.
	Complete bool
	// Scope is the manager that runs the apps.
	Scope Scope
	// Adopts: apps may take the place of foreign containers.
	Adopts bool
	// StabilizationTime is how long a started app has to stay up before it counts as
	// started.
	StabilizationTime time.Duration
}

// Refused is the ids of the apps that have a manifest and are not among Apps, and why.
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
	i := slices.IndexFunc(d.Apps, func(a App) bool { return a.ID == id })
	if i < 0 {
		return App{}, false
	}
	return d.Apps[i], true
}

// Files is every file that should be there, sorted.
func (d Desired) Files() Set {
	set := slices.Clone(d.Shared)
	for _, app := range d.Apps {
		set = append(set, app.Files...)
	}
	set.Sort()
	return set
}

// App is one app as it should be.
type App struct {
	ID string
	// Files is the app's own files.
	Files Set
	// Parts is the app's services, main first.
	Parts []Part
	// Needs is the ids of the apps that have to serve first.
	Needs []string
	// RestartAfter is the ids of the apps that write files which this one reads when it
	// starts, or whose address it looks up then: when one of them starts anew, this
	// one is to be looked at as well.
	RestartAfter []string
	// Companions is the ids of the apps that stop and restart with this one.
	Companions []string
	// Secrets is what has to have a value before the app starts.
	Secrets []Secret
	// Unrecorded is a file that is written before the app's units are, nil where there is
	// nothing to write.
	Unrecorded *Unrecorded
	// Enabled: the app starts at boot, and is started when it never was.
	Enabled bool
	// ManifestDigest tells one version of the manifest from another.
	ManifestDigest string
	// Request is what a person asks for now: Start, Restart or Stop, or nothing. Leave
	// asks for no repair: what became of the last one is to be seen.
	Request Kind
	// IsAwaited: a person waits for it, by name, to serve.
	IsAwaited bool
	// Rotating: secrets of it, or of what it needs, are being changed. What follows
	// from that is not put off, and nobody has seen yet whether it serves with them.
	Rotating bool
}

// Unrecorded is a file of grants that nobody has written yet: with the app's next units
// nobody could tell any more that the app has them.
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

// PartsInOrder is the app's parts, each after the parts that it is started after.
func (a App) PartsInOrder() []Part {
	return inOrder(a.Parts, func(p Part) string { return p.Service }, func(p Part) []string { return p.After })
}

// Stale is the app as far as one service of it, which does not serve, and whether the
// service is Stale: one that it is started after has come up later than it. That one may
// have another address since, and has closed every connection.
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

// Age is how long the part of the app has been up that came up last.
func (a App) Age(found map[string]Unit) time.Duration {
	least := time.Duration(math.MaxInt64)
	for _, p := range a.Parts {
		if u := found[p.Service]; u.Active == Active {
			least = min(least, u.Up)
		}
	}
	return least
}

// IsUp reports whether the app is where a start leads to: some parts run, and the
// others are stopped.
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
	// Digest is that of a container which matches the file.
	Digest string
	// Config and Watched are digests of what the container would be started with
	// now beside its file: Config of its configuration files and secrets, Watched of
	// files that other apps write, Reloadable of configuration files that it can read
	// again while it runs. Empty: it needs none, or nobody can tell.
	Config, Watched, Reloadable string
	// Oneshot: the container ends, and its unit stays active.
	Oneshot bool
	// Stale: it has not served since a part was restarted that it is started after. It is a
	// proxy that keeps the address which a server had before, or a client that ends without
	// its database.
	Stale bool
	// WasUp: it was up, or on its way, when the rotation of secrets began for which the
	// app is Rotating.
	WasUp bool
	// After is the services of the same app that this one is started after, and PartOf
	// those whose restart restarts this one.
	After, PartOf []string
	// TracksAddressOf is the services of other apps whose addresses this one looks up once, when
	// it starts: each start of theirs may give them another one.
	TracksAddressOf []string
	// Lends: other parts share its network, and lose it with its container.
	Lends bool
}

// Secret is a value that nobody but its users may see. Names are full ones: ID.NAME.
type Secret struct {
	Name string
	// Length and Alphabet say how a random value looks. Without, a person supplies
	// one, unless it is derived From the value of another secret, by a Method.
	Length   int
	Alphabet string
	From     string
	Method   string
}

// Observed is what was found on the machine.
type Observed struct {
	// Files has every wanted file that is not right, and every file of ours
	// that is not wanted, by name. A file that is not in it is right.
	Files map[string]FoundFile
	// Units is what systemd says of each service, by name.
	Units map[string]Unit
	// Ours is every file of ours.
	Ours Set
	// Foreign is what stands in the place of apps, by app, as far as somebody looked.
	Foreign map[string]Foreign
}

// FoundFile is a file that is not as it should be.
type FoundFile struct {
	State FileState
	// App is whose the file is, empty for a shared one.
	App string
	// Service is the unit that Quadlet makes of a container file of ours.
	Service string
}

// FileState is what is wrong with a file.
type FileState string

// The states of files.
const (
	// FileMissing: nothing is there.
	FileMissing FileState = "missing"
	// FileDiffers: it is ours, and was edited, cut short, or rendered from
	// something else.
	FileDiffers FileState = "differs"
	// FileOdd: a link, a directory, a FIFO, junk lies in its place.
	FileOdd FileState = "odd"
	// FileForeign: somebody else's file has the name. It is never replaced.
	FileForeign FileState = "foreign"
	// FileStale: it is ours and not wanted.
	FileStale FileState = "stale"
)

// Unit is a service as systemd knows it.
type Unit struct {
	// Loaded: systemd has a valid unit, or a masked one. An app may run without one,
	// when its file was deleted.
	Loaded bool
	// Masked: somebody forbade systemd to start it, by systemctl mask, whatever its
	// file says.
	Masked bool
	// NeedsReload: the unit's file changed since systemd read it.
	NeedsReload bool
	Active      ActiveState
	// Job is the type of the job that systemd has queued or runs for the unit, such as
	// "restart", and empty without one. The unit stays Active until the job's turn comes:
	// units that have to stop before it may take minutes to.
	Job string
	// Invocation is systemd's id of the last start, empty before the first.
	Invocation string
	// Up is how long ago the unit came up last, 0 where that is unknown.
	Up time.Duration
	// Restarting: the unit waits for its next automatic start.
	Restarting bool
	// Stopped: the unit was started, and is down because somebody ended it. Had it ended
	// by itself, systemd would be starting it again, or it was not to be.
	Stopped bool
	// Digest is that of the running container, empty where nothing tells.
	Digest string
	// Config and Watched are what it was started with, Reloadable what it has read last,
	// see Part.
	Config, Watched, Reloadable string
	// Payload is the control group of the container's processes, empty where none runs.
	Payload string
	// ConfigUnknown: nobody can tell what it would be started with now.
	ConfigUnknown bool
	// Paused: the container's processes are frozen.
	Paused bool
	Health Health
	Run    Run
}

// Phase is how a service is, in one word for people.
type Phase string

// The words.
const (
	PhaseRunning    Phase = "running"
	PhaseDone       Phase = "done" // it ended as it should, and counts as active
	PhaseStarting   Phase = "starting"
	PhaseStopping   Phase = "stopping"
	PhaseRestarting Phase = "restarting"
	PhasePaused     Phase = "paused"
	PhaseFailed     Phase = "failed"
	PhaseStopped    Phase = "stopped"
)

// severity orders the words: an app is what its worst part is.
var severity = map[Phase]int{PhaseFailed: 7, PhasePaused: 6, PhaseRestarting: 5, PhaseStopped: 4, PhaseStopping: 3, PhaseStarting: 2}

// IsWorse reports whether a service is in a worse way than another.
func (w Phase) IsWorse(than Phase) bool { return severity[w] > severity[than] }

// Phase takes what is known of a service into one word.
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

// ActiveState is systemd's coarse state of a unit.
type ActiveState string

// The states, as systemd names them.
const (
	Inactive     ActiveState = "inactive"
	Activating   ActiveState = "activating"
	Active       ActiveState = "active"
	Deactivating ActiveState = "deactivating"
	Failed       ActiveState = "failed"
)

// IsOnItsWay reports whether the unit is about to be up or down. One that waits
// for its next automatic start may come and go for ever.
func (u Unit) IsOnItsWay() bool {
	return u.Active == Deactivating || u.Active == Activating && !u.Restarting || u.Active == Active && u.Job != ""
}

// IsComing reports whether the unit is on its way, and up is where that leads: one that
// stops may have a job that starts it again.
func (u Unit) IsComing() bool {
	return u.IsOnItsWay() && (u.Active != Deactivating || u.HasStartJob())
}

// HasStartJob reports whether systemd is to start the unit, be it after a stop.
func (u Unit) HasStartJob() bool { return u.Job == "start" || u.Job == "restart" }

// IsAtRest reports whether the unit neither runs nor is to be started by systemd.
func (u Unit) IsAtRest() bool {
	return u.Active == "" || u.Active == Inactive || u.Active == Failed && u.Stopped
}

// hasEnded reports whether the unit was started and has ended, in whatever way.
func (u Unit) hasEnded() bool {
	return u.Restarting || u.Stopped || u.Active == Failed
}

// Health is what the probes say of a service.
type Health string

// The states of health.
const (
	// HealthUnknown: nothing tells; an active unit is taken to serve.
	HealthUnknown Health = ""
	Serving       Health = "serving"
	// Loading: it answers that it is not ready yet.
	Loading Health = "loading"
	// NeedsUser: it waits for a person, such as a locked wallet.
	NeedsUser Health = "needs-user"
	// Failing: it does not answer, but not for long enough to act.
	Failing Health = "unsure"
	// Sick: it has not answered as often as its manifest allows.
	Unhealthy Health = "sick"
)

// Record is what was done to repair an app since it was last well, changed, or
// started by a person.
type Record struct {
	// ManifestDigest is the manifest that the record belongs to.
	ManifestDigest string `json:"manifest_digest"`
	// Tries is the number of repairs.
	Tries int `json:"tries"`
	// Last is when the last one was made.
	Last time.Time `json:"last"`
	// Why is what it was for, and Rung how many in a row were for that.
	Why        Reason `json:"why,omitempty"`
	Escalation int    `json:"rung,omitempty"`
	// RolledBack: the app did not serve with this manifest and got its last good
	// files back. They stay until the manifest changes or a person asks.
	RolledBack bool `json:"rolled_back,omitempty"`
	// Changed: a pass set about changing the app's files, and has not come to its
	// end: nobody knows yet whether the app serves with them.
	Changed bool `json:"changed,omitempty"`
	// Pending is the services on which work has begun and whose end nobody has
	// noted, with the invocation that each had before. One that is down and has
	// not been started since was not stopped by a person: starting it again may
	// begin with making systemd forget that it failed. Of an app that is gone, those
	// that were stopped for that.
	Pending map[string]string `json:"pending,omitempty"`
}

// History is the records of apps by id.
type History map[string]Record

// The budget of repairs. The first comes at once; each further one waits
// longer, up to an hour. After budgetTries the app counts as given up.
const (
	budgetTries = 5
	firstDelay  = 10 * time.Second
	lastDelay   = time.Hour
)

// of returns the record of an app. The repairs of another manifest don't count,
// but that work has begun does.
func (h History) of(app App) Record {
	r := h[app.ID]
	if r.ManifestDigest == app.ManifestDigest {
		return r
	}
	return Record{ManifestDigest: app.ManifestDigest, Pending: r.Pending, Changed: r.Changed}
}

// Next is when the next repair may be made.
func (r Record) Next() time.Time {
	if r.Tries == 0 {
		return time.Time{}
	}
	delay := lastDelay
	if n := r.Tries - 1; n < 9 { // 10 s doubled nine times is more than an hour
		delay = min(firstDelay<<n, lastDelay)
	}
	return r.Last.Add(delay)
}

// GaveUp reports whether the budget is used up. Tries go on, an hour apart.
func (r Record) GaveUp() bool { return r.Tries >= budgetTries }

// MarkPending notes, before anything is done to a service, its invocation until then.
func (h History) MarkPending(app App, service, invocation string) {
	r := h.of(app)
	r.Pending = maps.Clone(r.Pending)
	if r.Pending == nil {
		r.Pending = map[string]string{}
	}
	r.Pending[service] = invocation
	h[app.ID] = r
}

// byJob comes before an invocation in Pending.
const byJob = "job "

// MarkJobPending is MarkPending for what one job of systemd does to a service that is up. The job
// goes on without the pass, so a service that is down with no job was stopped by a person.
func (h History) MarkJobPending(app App, service, invocation string) {
	h.MarkPending(app, service, byJob+invocation)
}

// Repaired counts a repair against the app's budget, before it is made.
func (h History) Repaired(app App, why Reason, now time.Time) {
	r := h.of(app)
	r.Tries, r.Last, r.Escalation, r.Why = r.Tries+1, now, r.escalation(why)+1, why
	h[app.ID] = r
}

// escalation is how far up its ladder a trouble has come.
func (r Record) escalation(why Reason) int {
	if r.Why != why {
		return 0
	}
	return r.Escalation
}

// ClearPending notes that the work on an app is over, whatever came of it.
func (h History) ClearPending(id string) {
	r := h[id]
	r.Pending = nil
	h[id] = r
	if r.Tries == 0 && !r.RolledBack && !r.Changed {
		delete(h, id)
	}
}

// Resolve notes that a repair led to what it was for: the next one for the same reason
// comes at once.
func (h History) Resolve(id string, why Reason) {
	if r := h[id]; r.Why == why {
		r.Tries, r.Escalation, r.Why = r.Tries-r.Escalation, 0, ""
		h[id] = r
	}
}

// MarkChanged notes, before the files of an app are changed, that they will be.
func (h History) MarkChanged(id string) {
	r := h[id]
	r.Changed = true
	h[id] = r
}

// MarkVerified notes that a pass over an app whose files were changed came to its end.
func (h History) MarkVerified(id string) {
	r := h[id]
	if !r.Changed {
		return
	}
	r.Changed = false
	h[id] = r
	if r.Tries == 0 && !r.RolledBack && len(r.Pending) == 0 {
		delete(h, id)
	}
}

// RollBack notes that a manifest did not serve.
func (h History) RollBack(app App) {
	r := h.of(app)
	r.RolledBack = true
	h[app.ID] = r
}

// RolledBack reports whether the app's manifest was tried and did not serve.
func (h History) RolledBack(app App) bool { return h.of(app).RolledBack }

// hasStarted reports whether work on a service has begun, and the service was started since.
func (r Record) hasStarted(service string, u Unit) (started, begun bool) {
	before, begun := r.Pending[service]
	return begun && strings.TrimPrefix(before, byJob) != u.Invocation, begun
}

// DropStarted forgets the work on services of an app that led to a start: the files of the app
// change once more, and what became of that start says nothing of them.
func (h History) DropStarted(id string, found map[string]Unit) {
	r, ok := h[id]
	if !ok {
		return
	}
	r.Pending = maps.Clone(r.Pending)
	for service := range r.Pending {
		if started, _ := r.hasStarted(service, found[service]); started {
			delete(r.Pending, service)
		}
	}
	h[id] = r
}

// interrupted reports whether work on a service has begun that never came to
// the start of it.
func (r Record) interrupted(service string, u Unit) bool {
	before, begun := r.Pending[service]
	return begun && before == u.Invocation
}

// forgetAfter is how long an app has to be well until its repairs are forgotten.
const forgetAfter = 10 * time.Minute

// ExpireIfHealthy notes that an app was seen well.
func (h History) ExpireIfHealthy(id string, now time.Time) {
	if r, ok := h[id]; ok && !r.RolledBack && !r.Changed && (now.Sub(r.Last) >= forgetAfter || now.Before(r.Last)) {
		delete(h, id)
	}
}

// DropRemoved drops the record of an app that is gone. Of services that were stopped for
// that it is kept as long as systemd has them, with their past, which it does where
// another unit mentions them: no person stopped them, should the app come back. Without
// units nobody knows yet.
func (h History) DropRemoved(id string, have map[string]Unit) {
	stopped := maps.Clone(h[id].Pending)
	maps.DeleteFunc(stopped, func(service, invocation string) bool {
		u, known := have[service]
		return have != nil && (!known || u.Invocation != invocation)
	})
	if len(stopped) == 0 {
		delete(h, id)
		return
	}
	h[id] = Record{Pending: stopped}
}

// Reset drops the record of an app: a person has started it. That its files
// were changed stays to be verified.
func (h History) Reset(id string) {
	if !h[id].Changed {
		delete(h, id)
		return
	}
	h[id] = Record{Changed: true}
}
