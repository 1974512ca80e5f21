package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/watch"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// saving is how long a manifest is not looked at that was just written to: a file is
// half there for a moment while somebody copies it.
const saving = 100 * time.Millisecond

// mergeHints makes hints of what systemd and the kernel tell, of files and of groups of
// processes, until they end, and passes on what is asked for.
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

// ofService is what an event of systemd may be about.
func ofService(e systemd.Event) (healthd.Hint, bool) {
	switch e.Kind {
	case systemd.Resync, systemd.Reloaded:
		return healthd.Hint{}, true
	case systemd.Reloading, systemd.UnitNew, systemd.UnitRemoved: // a pass that looks at a unit which does not run has systemd load and forget it
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

// ofFile is what an event of a file may be about. The unit of an app is about
// that app; anything else may be about all. Passes write other units as well, and
// hear of that like of what others do.
func ofFile(e watch.Event, unitDir string) healthd.Hint {
	if e.Dir == unitDir {
		if service := units.ServiceOf(e.Name); service != "" {
			return healthd.Hint{App: units.AppOf(service), Urgent: true}
		}
	}
	return healthd.Hint{Urgent: e.Dir != unitDir}
}

// watched is every directory in which a change may want something done.
func watched(source compile.Source, apps []string, unitDir string) []string {
	dirs := append([]string{unitDir}, apps...)
	for _, file := range source.Paths().Settings() {
		dirs = append(dirs, filepath.Dir(file))
	}
	return dirs
}
