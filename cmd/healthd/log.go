package main

import (
	"fmt"
	"io"
	"strings"

	sdjournal "github.com/coreos/go-systemd/v22/journal"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// log writes events to the journal, with fields for selection, or to a terminal.
type log struct {
	journal bool
	person  io.Writer
}

func newLog(stderr io.Writer) log {
	is, err := sdjournal.StderrIsJournalStream()
	return log{journal: is && err == nil, person: stderr}
}

func (l log) event(e journal.Event) {
	if l.journal && e.Send() == nil {
		return
	}
	fmt.Fprintln(l.person, strings.Join(append([]string{e.Message}, e.Log...), "\n    "))
}

func (l log) findings(list diag.List) {
	for _, e := range healthd.Findings(list) {
		l.event(e)
	}
}

// publishFailed reports that clients can't see the state of the apps. It does not affect the
// apps.
func (l log) publishFailed(err error) {
	l.event(journal.Event{Kind: journal.PublishFailed, Message: err.Error() + "; healthd still watches the apps"})
}
