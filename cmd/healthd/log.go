package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// log writes entries to the journal, with fields to select them by, or to a
// terminal.
type log struct {
	journal bool
	person  io.Writer
}

func newLog(stderr io.Writer) log {
	is, err := journal.StderrIsJournalStream()
	return log{journal: is && err == nil, person: stderr}
}

func (l log) event(e healthd.Event) {
	if l.journal && journal.Send(e.Message, journal.Priority(e.Kind.Priority()), fields(e)) == nil {
		return
	}
	fmt.Fprintln(l.person, strings.Join(append([]string{e.Message}, e.Log...), "\n    "))
}

// fields is what journalctl selects entries by.
func fields(e healthd.Event) map[string]string {
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

func (l log) findings(list diag.List) {
	for _, e := range healthd.Findings(list) {
		l.event(e)
	}
}

func (l log) watchDegraded(err error) {
	l.event(healthd.Event{Kind: healthd.WatchDegraded, Message: err.Error() + "; until then changes are found by looking, every few minutes"})
}

// publishFailed tells of what others can't see. It is no trouble for the apps.
func (l log) publishFailed(err error) {
	l.event(healthd.Event{Kind: healthd.PublishFailed, Message: err.Error() + "; the apps are watched all the same"})
}
