// Package journal owns the messages about apps in systemd's journal: their kinds, their
// fields, and how they are written and read.
//
// It never decides when to write one, and does not read what apps wrote.
package journal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// Event is a message about an app, or about healthd itself. A healthy probe makes none.
type Event struct {
	Kind Kind
	// Message is one sentence.
	Message string
	// App, Action, Target, Reason and Log may be empty.
	App    string
	Action units.Kind
	Target string
	Reason units.Reason
	// Log is the last lines that the app wrote.
	Log []string
}

// Kind is the kind of an event. Its text is the MESSAGE_ID in the journal, with which
// journalctl -x finds the explanation in packaging/journal/archipelago.catalog.
type Kind string

// The kinds of events.
const (
	// Acting: an action is taken for an app, or for all apps.
	Acting Kind = "5d2c7be1a8f04c0e9f1b6a3d47e2905c"
	// Trouble: the actions for an app did not make it serve.
	Trouble Kind = "9b41f60d2e7c4a58b3c9d1e05f7a8623"
	// GaveUp: the budget of an app's repairs is used up.
	GaveUp Kind = "e07a35c49d1b4f628e5fb2a97c60d318"
	// Unhealthy: an app has not answered as often as its manifest allows.
	Unhealthy Kind = "31c8d9f7a05e46b2bd4a60e2f9175c8b"
	// Recovered: an unhealthy app answers again.
	Recovered Kind = "c6f2e81b7a394d05a1de905b3f48c726"
	// PassFailed: a pass failed as a whole.
	PassFailed Kind = "2fb90c5ad8e34716957d3c1e6a04b8f2"
	// BadManifest: a manifest has an error or a warning.
	BadManifest Kind = "74ae1d03f5c24b8d86b07f92c1e3d5a9"
	// WatchDegraded: some events are missing.
	WatchDegraded Kind = "b85d7f3c61a9408ea2c4e0d8975f1b36"
	// WatchRestored: no events are missing any more.
	WatchRestored Kind = "4a0e6d2b97c14f3c8b1d5e60a27f93d8"
	// ForeignFile: a foreign file has the name of a unit file.
	ForeignFile Kind = "f1a583e3968440f2bea332b940476ed7"
	// PublishFailed: the state of the apps can't be published on the bus or for Prometheus.
	PublishFailed Kind = "d43327fdd171456296b7af8bfad2d61e"
	// Updating: an update of an app begins, continues or ends.
	Updating Kind = "a2f7c0d94be14b6f9d3850e67c1b2f48"
	// UpdateFailed: a release does not serve and is rolled back.
	UpdateFailed Kind = "6c38e1f5027d4ab8b1f94d7a03e56c92"
)

// kinds is the word for each kind in JSON, and its syslog priority: 6 for actions, 5 for what
// deserves attention, 4 for what needs it.
var kinds = map[Kind]struct {
	word     string
	priority journal.Priority
}{
	Updating: {"update", journal.PriInfo}, UpdateFailed: {"update-failed", journal.PriWarning},
	Acting: {"action", journal.PriInfo}, Recovered: {"recovered", journal.PriInfo}, WatchRestored: {"watch-restored", journal.PriInfo},
	Unhealthy: {"unhealthy", journal.PriNotice}, BadManifest: {"manifest", journal.PriNotice},
	ForeignFile: {"foreign-file", journal.PriNotice}, PublishFailed: {"publish-failed", journal.PriNotice},
	Trouble: {"failure", journal.PriWarning}, GaveUp: {"gave-up", journal.PriWarning},
	PassFailed: {"pass-failed", journal.PriWarning}, WatchDegraded: {"watch-degraded", journal.PriWarning},
}

// String is the word for a kind.
func (k Kind) String() string { return kinds[k].word }

// OfAction is the event for an action that begins, or for an immediate action that is done.
// It reports false if there is no event.
func OfAction(e reconcile.Event) (Event, bool) {
	switch e.Kind {
	case units.Write, units.Remove:
		if !e.Ended || e.Err != nil {
			return Event{}, false
		}
	case units.Leave:
		return Event{}, false
	default:
		if e.Ended {
			return Event{}, false
		}
	}
	text := strings.TrimSpace(string(e.Kind) + " " + e.Target)
	if e.App != "" {
		text = e.App + ": " + text
	}
	return Event{
		Kind: Acting, Message: fmt.Sprintf("%s (%s)", text, e.Reason), App: e.App, Action: e.Kind, Target: e.Target, Reason: e.Reason,
	}, true
}

// OfReport is the events for the failures of a pass.
func OfReport(r reconcile.Report, err error) []Event {
	if err != nil {
		return []Event{{Kind: PassFailed, Message: err.Error()}}
	}
	list := foreignFiles(r)
	for _, a := range r.Results {
		if slices.ContainsFunc(list, func(e Event) bool { return e.Kind == ForeignFile && e.App == a.App }) {
			continue // a duplicate with less information about what to do
		}
		switch a.Outcome {
		case reconcile.Failed, reconcile.NotServing, reconcile.RolledBack:
			list = append(list, Event{Kind: Trouble, Message: a.App + ": " + string(a.Outcome) + ": " + a.Text(), App: a.App, Log: a.Log})
		case reconcile.Unchanged, reconcile.Done, reconcile.Watched, reconcile.Starting:
		}
	}
	return list
}

// OfUpdateStep is the event for a step of an update that begins.
func OfUpdateStep(j *update.Journal) Event {
	e := Event{Kind: Updating, App: j.App, Message: fmt.Sprintf("%s: update from %s to %s", j.App, j.From.Origin, j.To.Origin)}
	if j.State == update.Reverting {
		e.Kind, e.Log = UpdateFailed, j.Log
		e.Message = fmt.Sprintf("%s: rolling back %s: %s", j.App, j.To.Origin, j.Why)
	}
	return e
}

// OfUpdate is the event for an update that has ended.
func OfUpdate(r update.Result) Event {
	e := Event{Kind: Updating, App: r.App, Message: r.App + ": " + r.Text()}
	if r.Outcome == update.RolledBack || r.Outcome == update.RolledBackDown || r.Outcome == update.Stays {
		e.Kind, e.Log = UpdateFailed, r.Log
	}
	return e
}

// foreignFiles is the events for foreign files that have the names of unit files.
func foreignFiles(r reconcile.Report) []Event {
	var list []Event
	for _, a := range r.Actions {
		if a.Reason == units.ReasonFileForeign {
			list = append(list, Event{
				Kind: ForeignFile, App: a.App, Target: a.Target, Reason: a.Reason,
				Message: fmt.Sprintf("%s: %s was not written by archgen; move it away, or move its settings into the manifest or an overlay", a.App, a.Target),
			})
		}
	}
	return list
}

// IsEnabled reports whether there is a journal to write to.
func IsEnabled() bool { return journal.Enabled() }

// Send writes an event to the journal.
func (e Event) Send() error {
	return journal.Send(e.Message, kinds[e.Kind].priority, e.fields())
}

// fields is what journalctl selects events by.
func (e Event) fields() map[string]string {
	list := map[string]string{"MESSAGE_ID": string(e.Kind)}
	for name, value := range map[string]string{
		"APP": e.App, "ACTION": string(e.Action), "TARGET": e.Target, "REASON": string(e.Reason), "APP_LOG": strings.Join(e.Log, "\n"),
	} {
		if value != "" {
			list[name] = value
		}
	}
	return list
}
