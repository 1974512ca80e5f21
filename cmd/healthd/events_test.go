package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/watch"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// TestOfService: a change of an app's service is about that app. That systemd loads and
// unloads a unit because a program read it is about no app: otherwise each pass would cause
// another.
func TestOfService(t *testing.T) {
	for _, c := range []struct {
		event systemd.Event
		app   string
		tells bool
	}{
		{systemd.Event{Kind: systemd.Resync}, "", true},
		{systemd.Event{Kind: systemd.Reloaded}, "", true},
		{systemd.Event{Kind: systemd.Reloading}, "", false},
		{systemd.Event{Kind: systemd.UnitChanged, Unit: "app@web.db.service"}, "web", true},
		{systemd.Event{Kind: systemd.JobRemoved, Unit: "archipelago-pull@web.service"}, "web", true},
		{systemd.Event{Kind: systemd.UnitChanged, Unit: "dbus.service"}, "", false},
		{systemd.Event{Kind: systemd.UnitNew, Unit: "app@web.service"}, "", false},
		{systemd.Event{Kind: systemd.UnitRemoved, Unit: "app@web.service"}, "", false},
	} {
		if hint, tells := ofService(c.event); hint.App != c.app || tells != c.tells {
			t.Errorf("%+v: %+v, %v", c.event, hint, tells)
		}
	}
}

// TestSaving: a unit file is checked immediately, a manifest a moment after the first write,
// even if more writes follow.
func TestSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := make(chan watch.Event)
		told := mergeHints(t.Context(), nil, files, nil, nil, "/units")
		began := time.Now()
		go func() {
			defer close(files)
			for range 5 {
				files <- watch.Event{Dir: "/apps", Name: "web.yaml"}
				time.Sleep(30 * time.Millisecond)
			}
			files <- watch.Event{Dir: "/units", Name: "app@web.container"}
			time.Sleep(saving)
		}()
		for _, want := range []struct {
			hint healthd.Hint
			at   time.Duration
		}{
			{healthd.Hint{Urgent: true}, 100 * time.Millisecond},
			{healthd.Hint{App: "web", File: "app@web.container", Urgent: true}, 150 * time.Millisecond},
			{healthd.Hint{Urgent: true}, 220 * time.Millisecond},
		} {
			if got := <-told; got != want.hint || time.Since(began) != want.at {
				t.Errorf("%+v after %v, want %+v after %v", got, time.Since(began), want.hint, want.at)
			}
		}
		for hint := range told {
			t.Errorf("%+v besides", hint)
		}
	})
}
