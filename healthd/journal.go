package healthd

import (
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// Event is something that a person may look for later. A healthy probe makes none.
type Event struct {
	Kind Kind
	// Message is one sentence.
	Message string
	// App, Action, Target, Reason and Log are empty where there are none.
	App    string
	Action units.Kind
	Target string
	Reason units.Reason
	// Log is the last lines that the app wrote.
	Log []string
}

// Kind is what an entry tells of. Its text is the MESSAGE_ID in the journal, by
// which journalctl -x finds the explanation in packaging/journal/archipelago.catalog.
type Kind string

// The kinds of entries.
const (
	// Acting: something is done for an app, or for all.
	Acting Kind = "5d2c7be1a8f04c0e9f1b6a3d47e2905c"
	// Trouble: what was done for an app did not make it serve.
	Trouble Kind = "9b41f60d2e7c4a58b3c9d1e05f7a8623"
	// GaveUp: the budget of an app's repairs is used up.
	GaveUp Kind = "e07a35c49d1b4f628e5fb2a97c60d318"
	// Sick: an app has not answered as often as its manifest allows.
	Sick Kind = "31c8d9f7a05e46b2bd4a60e2f9175c8b"
	// Recovered: it does again.
	Recovered Kind = "c6f2e81b7a394d05a1de905b3f48c726"
	// PassFailed: a pass could not be made.
	PassFailed Kind = "2fb90c5ad8e34716957d3c1e6a04b8f2"
	// BadManifest: a manifest has an error, or something that wants a look.
	BadManifest Kind = "74ae1d03f5c24b8d86b07f92c1e3d5a9"
	// WatchDegraded: not everything can be watched.
	WatchDegraded Kind = "b85d7f3c61a9408ea2c4e0d8975f1b36"
	// ForeignFile: somebody else's file lies in the place of one of an app's units.
	ForeignFile Kind = "f1a583e3968440f2bea332b940476ed7"
	// PublishFailed: what is known can't be shown on the bus, or to Prometheus.
	PublishFailed Kind = "d43327fdd171456296b7af8bfad2d61e"
)

// Priority is that of syslog: 6 for what was done, 5 for what is worth a look, 4
// for what needs one.
func (k Kind) Priority() int {
	switch k {
	case Trouble, GaveUp, PassFailed, WatchDegraded:
		return 4
	case Sick, BadManifest, ForeignFile, PublishFailed:
		return 5
	case Acting, Recovered:
	}
	return 6
}

// actionEvent tells of an action as it begins; of one that is done at once, when it is.
func actionEvent(e reconcile.Event) (Event, bool) {
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

// failures tells what went wrong in a pass.
func failures(r reconcile.Report, err error) []Event {
	if err != nil {
		return []Event{{Kind: PassFailed, Message: err.Error()}}
	}
	list := foreignFiles(r)
	for _, a := range r.Results {
		switch a.Outcome {
		case reconcile.Failed, reconcile.NotServing, reconcile.RolledBack:
			list = append(list, Event{Kind: Trouble, Message: a.App + ": " + string(a.Outcome) + ": " + a.Error, App: a.App, Log: a.Log})
		case reconcile.Unchanged, reconcile.Done, reconcile.Starting:
		}
	}
	return list
}

// foreignFiles tells of files that keep ours from their places, and are left there.
func foreignFiles(r reconcile.Report) []Event {
	var list []Event
	for _, a := range r.Actions {
		if a.Reason == units.BecauseForeign {
			list = append(list, Event{
				Kind: ForeignFile, App: a.App, Target: a.Target, Reason: a.Reason,
				Message: fmt.Sprintf("%s: %s was not written by archgen, and stays: move it away, or put what it says into the manifest or an overlay", a.App, a.Target),
			})
		}
	}
	return list
}

// transitions tells what became of apps from one moment to the next.
func transitions(before, after Status) []Event {
	was := make(map[string]App, len(before.Apps))
	for _, a := range before.Apps {
		was[a.ID] = a
	}
	var list []Event
	for _, a := range after.Apps {
		b, known := was[a.ID]
		switch {
		case a.Reason == units.BecauseGaveUp && b.Reason != units.BecauseGaveUp:
			list = append(list, Event{
				Kind: GaveUp, App: a.ID, Reason: a.Reason, Log: a.Log,
				Message: a.ID + ": repairs did not help, and are tried once an hour from now on" + clause(a.Error),
			})
		case !known:
		case a.sick && !b.sick:
			list = append(list, Event{Kind: Sick, App: a.ID, Reason: units.BecauseSick, Message: a.ID + " does not answer as it should" + clause(a.Detail)})
		case b.sick && !a.sick:
			list = append(list, Event{Kind: Recovered, App: a.ID, Message: a.ID + " serves again"})
		}
	}
	return list
}

func clause(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// Findings tells of the diagnostics of manifests.
func Findings(list diag.List) []Event {
	entries := make([]Event, 0, len(list))
	for _, d := range list {
		entries = append(entries, Event{Kind: BadManifest, Message: d.String()})
	}
	return entries
}
