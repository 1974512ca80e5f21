package healthd

import (
	"context"
	"sync"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// losses hands the hints about unit files to a running pass, which restores those that are missing
// without an end of its own work.
type losses struct {
	mu sync.Mutex
	// apps is the desired apps of the pass, files the files with hints that it has not taken.
	apps  []units.App
	files map[string]bool
	// ready has a token if there are files.
	ready chan struct{}
}

func newLosses() *losses { return &losses{files: map[string]bool{}, ready: make(chan struct{}, 1)} }

// expect sets the desired apps.
func (l *losses) expect(apps []units.App) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apps = apps
}

// add records a hint about a file.
func (l *losses) add(file string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[file] = true
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// wait waits for hints about files of apps, and returns nothing once the context has ended.
func (l *losses) wait(ctx context.Context) []reconcile.Loss {
	for {
		select {
		case <-l.ready:
		case <-ctx.Done():
			return nil
		}
		if list := l.take(); len(list) > 0 {
			return list
		}
	}
}

func (l *losses) take() (list []reconcile.Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, app := range l.apps {
		for _, f := range app.Files {
			if l.files[f.Name] {
				list = append(list, reconcile.Loss{App: app, File: f.Name})
			}
		}
	}
	clear(l.files)
	return list
}
