package main

import (
	"context"
	"sync/atomic"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

// resuming is desired, and sees to it that a rotation of secrets which somebody did
// not bring to its end is gone on with. That takes Podman, which is not for us to
// run: complete lets systemd do it.
func resuming(ctx context.Context, store secret.Store, complete func(context.Context), desired func() (units.Desired, error)) func() (units.Desired, error) {
	var isAtWork atomic.Bool
	return func() (units.Desired, error) {
		r, release, err := store.Abandoned(ctx)
		if err == nil && r != nil {
			release()
			if isAtWork.CompareAndSwap(false, true) {
				go func() {
					defer isAtWork.Store(false)
					complete(ctx)
				}()
			}
		}
		return desired()
	}
}
