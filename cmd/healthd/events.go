package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/watch"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// saving is how long after a write a manifest is not read: a file is incomplete while it is
// copied.
const saving = 100 * time.Millisecond

// mergeHints turns events of systemd, files and control groups into hints, and passes on
// requests, until the sources end.
func mergeHints(ctx context.Context, services <-chan systemd.Event, files <-chan watch.Event, groups <-chan string, asked <-chan healthd.Hint, unitDir string) <-chan healthd.Hint {
	out := make(chan healthd.Hint)
	go func() {
		defer close(out)
		var saved <-chan time.Time
		for services != nil || files != nil {
			var hint healthd.Hint
			var tells bool
			select {
			case e, ok := <-services:
				if !ok {
					services = nil
					continue
				}
				hint, tells = ofService(e)
			case e, ok := <-files:
				if !ok {
					files = nil
					continue
				}
				hint, tells = ofFile(e, unitDir), e.Dir == unitDir || e.Dir == ""
				if !tells && saved == nil {
					saved = time.After(saving)
				}
			case <-saved:
				saved, hint, tells = nil, healthd.Hint{Urgent: true}, true
			case app := <-groups:
				hint, tells = healthd.Hint{App: app, Urgent: true}, true
			case hint = <-asked: // by a person
				hint.Urgent, tells = true, true
			}
			if !tells {
				continue
			}
			select {
			case out <- hint:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// ofService is the hint for an event of systemd.
func ofService(e systemd.Event) (healthd.Hint, bool) {
	switch e.Kind {
	case systemd.Resync, systemd.Reloaded:
		return healthd.Hint{}, true
	case systemd.Reloading, systemd.UnitNew, systemd.UnitRemoved: // a pass that reads a unit which does not run makes systemd load and unload it
		return healthd.Hint{}, false
	case systemd.JobRemoved:
		if app := units.AppOfPull(e.Unit); app != "" { // a pass may not have waited for it
			return healthd.Hint{App: app, Urgent: true}, true
		}
	case systemd.UnitChanged:
	}
	app := units.AppOf(e.Unit)
	return healthd.Hint{App: app, Urgent: true}, app != ""
}

// ofFile is the hint for an event of a file. A unit file is about its app; any other file
// may be about all apps. A pass also causes events by the files that it writes itself.
func ofFile(e watch.Event, unitDir string) healthd.Hint {
	if e.Dir == unitDir {
		if service := units.ServiceOf(e.Name); service != "" {
			return healthd.Hint{App: units.AppOf(service), File: e.Name, Urgent: true}
		}
		return healthd.Hint{File: e.Name}
	}
	return healthd.Hint{Urgent: true}
}

// watched is the directories in which a change may need a pass.
func watched(source compile.Source, apps []string, unitDir string) []string {
	dirs := append([]string{unitDir}, apps...)
	for _, file := range source.Paths().Settings() {
		dirs = append(dirs, filepath.Dir(file))
	}
	return dirs
}

// watchFiles watches directories, and those within them that hold files of an app, until the
// context ends. It also sends the error for which not all are watched.
func watchFiles(ctx context.Context, dirs []string) (<-chan watch.Event, <-chan error) {
	failures := make(chan error)
	report := func(err error) {
		select {
		case failures <- err:
		case <-ctx.Done():
		}
	}
	return watch.Watch(ctx, dirs, manifests.HoldsFiles, report), failures
}
