package trial

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// stored is what a test stores about updates.
type stored struct {
	trials  []*update.Journal
	journal *update.Journal
	isHeld  bool
}

func (s *stored) Trials() ([]*update.Journal, error) { return s.trials, nil }

func (s *stored) UpdateJournal() (*update.Journal, error) { return s.journal, nil }

func (s *stored) LockIdleUpdates(context.Context) (func(), error) {
	if s.isHeld {
		return nil, nil
	}
	return func() {}, nil
}

// TestWatch: systemd runs archgen for a trial that is over or failed and for an update that was left, one
// run at a time, and not while another process is at work on updates.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := since.Add(time.Minute)
		store := &stored{}
		var mu sync.Mutex
		var started []string
		end := make(chan struct{})
		w := &Watch{
			Store: store, Boot: "1", Now: func() time.Time { return now },
			Start: func(_ context.Context, unit string) error {
				mu.Lock()
				started = append(started, unit)
				mu.Unlock()
				<-end
				return nil
			},
		}
		after := func(what string, u units.Unit, next time.Time, want ...string) {
			t.Helper()
			got := w.After(t.Context(), reconcile.Report{Units: map[string]units.Unit{"app@web.service": u}}, nil)["web"]
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(started)
			if d := cmp.Diff(want, started); d != "" || !got.Equal(next) {
				t.Errorf("%s: next %v, want %v; started -want +got:\n%s", what, got, next, d)
			}
			started = nil
		}
		up, failed := units.Unit{Active: units.Active}, units.Unit{Active: units.Failed}
		after("without a trial", failed, time.Time{})
		store.trials = []*update.Journal{onTrial()}
		after("all is well", up, since.Add(10*time.Minute))
		store.isHeld = true
		after("another process is at work", failed, time.Time{})
		store.isHeld = false
		after("it failed", failed, time.Time{}, "archipelago-trial@web.service")
		after("the unit runs", failed, time.Time{})
		end <- struct{}{}
		synctest.Wait()
		now = since.Add(time.Hour)
		after("it is over", up, time.Time{}, "archipelago-trial@web.service")
		end <- struct{}{}
		store.trials, store.journal = nil, &update.Journal{App: "tor"}
		after("an update was left", up, time.Time{}, "archipelago-trial@tor.service")
		end <- struct{}{}
	})
}
