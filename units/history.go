package units

import (
	"maps"
	"strings"
	"time"
)

// Record is the repairs of an app since it was last healthy, changed, or started by an operator.
type Record struct {
	// ManifestDigest identifies the manifest that the record belongs to.
	ManifestDigest string `json:"manifest_digest"`
	// Tries is the number of repairs.
	Tries int `json:"tries"`
	// Last is when the last repair was made.
	Last time.Time `json:"last"`
	// Why is the reason for the last repair, and Escalation how many in a row had it.
	Why        Reason `json:"why,omitempty"`
	Escalation int    `json:"rung,omitempty"`
	// RolledBack: the app did not serve with this manifest and has its last-good files until the
	// manifest changes or an operator requests the app.
	RolledBack bool `json:"rolled_back,omitempty"`
	// Changed: a pass began to change the app's files and did not finish. It is not known yet
	// whether the app serves with them.
	Changed bool `json:"changed,omitempty"`
	// Pending is the services on which work began and is not known to have finished, with the
	// invocation that each had before. A service that is down and has not been started since was
	// not stopped by an operator, although it looks so after a reset-failed. In the record of a
	// removed app it is the services that the removal stopped.
	Pending map[string]string `json:"pending,omitempty"`
}

// equal reports whether two records are the same.
func (r Record) equal(s Record) bool {
	return r.ManifestDigest == s.ManifestDigest && r.Tries == s.Tries && r.Last.Equal(s.Last) &&
		r.Why == s.Why && r.Escalation == s.Escalation && r.RolledBack == s.RolledBack &&
		r.Changed == s.Changed && maps.Equal(r.Pending, s.Pending)
}

// History is the records of apps by id.
type History map[string]Record

// Equal reports whether two histories have the same records.
func (h History) Equal(other History) bool { return maps.EqualFunc(h, other, Record.equal) }

// The budget of repairs. The first one is made at once. The delay before each further one grows,
// up to an hour. After budgetTries the app counts as given up (gave-up).
const (
	budgetTries = 5
	firstDelay  = 10 * time.Second
	lastDelay   = time.Hour
)

// of returns the record of an app. Repairs for another manifest don't count, but pending work
// does.
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
	if n := r.Tries - 1; n < 9 { // 10 s doubled nine times exceeds an hour
		delay = min(firstDelay<<n, lastDelay)
	}
	return r.Last.Add(delay)
}

// GaveUp reports whether the budget is used up. Repairs continue, an hour apart.
func (r Record) GaveUp() bool { return r.Tries >= budgetTries }

// MarkPending records the invocation of a service before anything is done to it.
func (h History) MarkPending(app App, service, invocation string) {
	r := h.of(app)
	r.Pending = maps.Clone(r.Pending)
	if r.Pending == nil {
		r.Pending = map[string]string{}
	}
	r.Pending[service] = invocation
	h[app.ID] = r
}

// byJob is the prefix of an invocation in Pending for MarkJobPending.
const byJob = "job "

// MarkJobPending is MarkPending for a single systemd job on a service that is up. The job
// continues without the pass, so a service that is then down without a job was stopped by an
// operator.
func (h History) MarkJobPending(app App, service, invocation string) {
	h.MarkPending(app, service, byJob+invocation)
}

// Repaired counts a repair against the app's budget before the repair is made.
func (h History) Repaired(app App, why Reason, now time.Time) {
	r := h.of(app)
	r.Tries, r.Last, r.Escalation, r.Why = r.Tries+1, now, r.escalation(why)+1, why
	h[app.ID] = r
}

// escalation is how many repairs in a row were made for a reason.
func (r Record) escalation(why Reason) int {
	if r.Why != why {
		return 0
	}
	return r.Escalation
}

// ClearPending records that the work on an app finished, whatever its outcome.
func (h History) ClearPending(id string) {
	r := h[id]
	r.Pending = nil
	h[id] = r
	if r.Tries == 0 && !r.RolledBack && !r.Changed {
		delete(h, id)
	}
}

// Resolve records that a repair helped: the next one for the same reason is made at once.
func (h History) Resolve(id string, why Reason) {
	if r := h[id]; r.Why == why {
		r.Tries, r.Escalation, r.Why = r.Tries-r.Escalation, 0, ""
		h[id] = r
	}
}

// MarkChanged records that the files of an app are about to change.
func (h History) MarkChanged(id string) {
	r := h[id]
	r.Changed = true
	h[id] = r
}

// MarkVerified records that a pass that changed the files of an app finished.
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

// RollBack records that a manifest did not serve.
func (h History) RollBack(app App) {
	r := h.of(app)
	r.RolledBack = true
	h[app.ID] = r
}

// RolledBack reports whether the app's manifest did not serve and was rolled back.
func (h History) RolledBack(app App) bool { return h.of(app).RolledBack }

// hasStarted reports whether work on a service is pending, and whether it was started since.
func (r Record) hasStarted(service string, u Unit) (started, begun bool) {
	before, begun := r.Pending[service]
	return begun && strings.TrimPrefix(before, byJob) != u.Invocation, begun
}

// DropStarted drops pending work on the services of an app that were started since. The files of
// the app change again, and the outcome of that start says nothing about them.
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

// interrupted reports whether work on a service is pending that never started it.
func (r Record) interrupted(service string, u Unit) bool {
	before, begun := r.Pending[service]
	return begun && before == u.Invocation
}

// forgetAfter is how long an app has to stay healthy until its repairs and its automatic restarts
// are forgotten.
const forgetAfter = 10 * time.Minute

// ExpireIfHealthy drops the record of a healthy app after a while.
func (h History) ExpireIfHealthy(id string, now time.Time) {
	if r, ok := h[id]; ok && !r.RolledBack && !r.Changed && (now.Sub(r.Last) >= forgetAfter || now.Before(r.Last)) {
		delete(h, id)
	}
}

// DropRemoved drops the record of a removed app. It keeps the services that the removal stopped as
// long as systemd remembers them, which it does while another unit mentions them: if the app is
// installed again, no operator stopped them. have is nil if the units are unknown.
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

// withoutRequested is the history without the records of apps that an operator starts.
func (h History) withoutRequested(apps []App) History {
	isShared := true // most passes have no request, and hundreds of records
	for _, app := range apps {
		if !app.isStartAsked() {
			continue
		}
		if isShared {
			h, isShared = maps.Clone(h), false
		}
		h.Reset(app.ID)
	}
	return h
}

// Reset drops the record of an app that an operator starts, except that its changed files are not
// verified.
func (h History) Reset(id string) {
	if !h[id].Changed {
		delete(h, id)
		return
	}
	h[id] = Record{Changed: true}
}
