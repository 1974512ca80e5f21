package rotation

import (
	"context"
	"sync/atomic"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Resuming is desired for the passes of a daemon, before which it looks for a rotation that
// was cut off. It takes Podman to go on with one, which a daemon does not run: resume lets
// systemd do it, once at a time, while passes go on.
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
