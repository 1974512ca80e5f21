package rotation

import (
	"context"
	"sync/atomic"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Resuming wraps desired for the passes of a daemon: before each it looks for an
// interrupted rotation. Completing one needs Podman, which a daemon does not run. resume
// has systemd complete it, one run at a time, while passes continue.
func Resuming(ctx context.Context, store secret.Store, resume func(context.Context), desired func() (units.Desired, error)) func() (units.Desired, error) {
	var isAtWork atomic.Bool
	return func() (units.Desired, error) {
		left, release, err := store.Abandoned(ctx)
		if err == nil && left != nil {
			release()
			if isAtWork.CompareAndSwap(false, true) {
				go func() {
					defer isAtWork.Store(false)
					resume(ctx)
				}()
			}
		}
		return desired()
	}
}
