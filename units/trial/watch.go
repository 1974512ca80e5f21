package trial

import (
	"context"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// Store is what is stored about updates.
type Store interface {
	Trials() ([]*update.Journal, error)
	UpdateJournal() (*update.Journal, error)
	// LockIdleUpdates returns nil while another process is at work on them.
	LockIdleUpdates(ctx context.Context) (unlock func(), err error)
}

// Watch looks after trials for a daemon. A daemon does not run Podman, so it has systemd run archgen.
type Watch struct {
	Store Store
	// Start starts a unit, and waits until it ends.
	Start func(ctx context.Context, unit string) error
	// Boot identifies the boot.
	Boot string
	Now  func() time.Time

	mu     sync.Mutex
	atWork map[string]bool
}

// After is called with what a pass saw, and the history after it. It returns when the trials end that
// continue, by app.
func (w *Watch) After(ctx context.Context, r reconcile.Report, history units.History) (ends map[string]time.Time) {
	if j, err := w.Store.UpdateJournal(); err == nil && j != nil {
		w.have(ctx, j.App)
	}
	list, err := w.Store.Trials()
	if err != nil {
		return nil // the next archgen apply reports it
	}
	ends = map[string]time.Time{}
	seen := Seen{Now: w.Now(), Boot: w.Boot, Units: r.Units, History: history, OnTrial: Apps(list)}
	for _, j := range list {
		switch Judge(j, seen).Kind {
		case Pending:
			ends[j.App] = j.Trial.Until
		case Passed, Failed, Superseded:
			w.have(ctx, j.App)
		}
	}
	return ends
}

// Apps is the apps that are on trial.
func Apps(list []*update.Journal) map[string]bool {
	apps := map[string]bool{}
	for _, j := range list {
		apps[j.App] = true
	}
	return apps
}

// have has systemd run archgen for an app, one run at a time, while passes continue. archgen judges by
// itself. The log of the unit has its result.
func (w *Watch) have(ctx context.Context, app string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.atWork[app] {
		return
	}
	if w.atWork == nil {
		w.atWork = map[string]bool{}
	}
	w.atWork[app] = true
	go func() {
		if unlock, err := w.Store.LockIdleUpdates(ctx); err == nil && unlock != nil {
			unlock()
			_ = w.Start(ctx, units.TrialOf(app)) // where the unit is not installed, the next archgen apply does it
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.atWork, app)
	}()
}
