package rotation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

// TestResuming: a daemon has an interrupted rotation resumed, one run at a time, and gets
// its desired state at once. It leaves a rotation alone that another process is at work on.
func TestResuming(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.rotator.Machine.Secrets.Store
	synctest.Test(t, func(t *testing.T) {
		resumed, end := 0, make(chan struct{})
		desired := Resuming(t.Context(), store, func(context.Context) { resumed++; <-end }, func() (units.Desired, error) {
			return units.Desired{Complete: true}, nil
		})
		look := func(what string, want int) {
			t.Helper()
			got, err := desired()
			if !got.Complete || err != nil {
				t.Errorf("%s: %+v, %v", what, got, err)
			}
			synctest.Wait()
			if resumed != want {
				t.Errorf("%s: resumed %d times, want %d", what, resumed, want)
			}
		}
		look("without a rotation", 0)
		if _, err := store.Begin(t.Context(), w.desired().OwnerOf(password).Secrets, secret.Request{Name: password, Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		release, err := store.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		look("while another process is at work on it", 0)
		release()
		look("after that was interrupted", 1)
		look("while it is resumed", 1)
		end <- struct{}{}
		synctest.Wait()
		look("when that did not help", 2)
		close(end)
	})
}
