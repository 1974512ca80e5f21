package healthd

import (
	"cmp"

	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// transitions is the events for the changes between two statuses.
func transitions(before, after Status) []journal.Event {
	was := make(map[string]App, len(before.Apps))
	for _, a := range before.Apps {
		was[a.ID] = a
	}
	list := watchEvents(before.Watch, after.Watch)
	for _, a := range after.Apps {
		b, known := was[a.ID]
		switch {
		case a.Reason == units.ReasonGaveUp && b.Reason != units.ReasonGaveUp:
			list = append(list, journal.Event{
				Kind: journal.GaveUp, App: a.ID, Reason: a.Reason, Log: a.PassLog,
				Message: a.ID + ": repairs did not help; healthd repairs it once an hour from now on" + clause(cmp.Or(a.Error, a.PassError)),
			})
		case !known:
		case a.unhealthy && !b.unhealthy:
			list = append(list, journal.Event{Kind: journal.Unhealthy, App: a.ID, Reason: units.ReasonNotServing, Message: a.ID + " does not answer as it should" + clause(a.Detail)})
		case b.unhealthy && !a.unhealthy:
			list = append(list, journal.Event{Kind: journal.Recovered, App: a.ID, Message: a.ID + " serves again"})
		}
	}
	return list
}

// watchEvents is the event for a change of the watch.
func watchEvents(before, after Watch) []journal.Event {
	switch {
	case before == after:
		return nil
	case after.Errno == 0:
		return []journal.Event{{Kind: journal.WatchRestored, Message: "healthd watches all files and containers again"}}
	}
	return []journal.Event{{
		Kind: journal.WatchDegraded, Reason: after.Reason(),
		Message: after.Error + "; until this is fixed, healthd finds changes only by a check every few minutes",
	}}
}

func clause(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// Findings is the events for the diagnostics of manifests.
func Findings(list diag.List) []journal.Event {
	entries := make([]journal.Event, 0, len(list))
	for _, d := range list {
		entries = append(entries, journal.Event{Kind: journal.BadManifest, Message: d.String()})
	}
	return entries
}
