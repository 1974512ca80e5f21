package passes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/rotation"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Rotate gives a secret another value, or a generated one if the value is empty, and restarts what
// uses it.
func (p *Passes) Rotate(name, value string) error {
	ctx, stop := session.Interruptible()
	defer stop()
	m, err := p.Connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return p.rotator(m).Rotate(ctx, name, value)
}

// resumeRotation resumes a rotation that was interrupted.
func (p *Passes) resumeRotation(ctx context.Context, m *machine.Machine) error {
	err := p.rotator(m).Resume(ctx, func(r *secret.Rotation) {
		if !p.AsJSON {
			fmt.Fprintf(p.Stderr, "resuming the rotation of %s that began at %s\n", r.Name, r.Began.Local().Format(time.DateTime))
		}
	})
	if _, isBack := errors.AsType[*secret.RevertedError](err); isBack {
		p.Say(err) // the old value is restored: the rotation is over, and apply can continue
		return nil
	}
	return err
}

// rotator rotates the secrets of the installed apps.
func (p *Passes) rotator(m *machine.Machine) rotation.Rotator {
	return rotation.Rotator{
		Machine: m,
		Installed: func() (units.Desired, error) {
			_, want, err := p.Installed()
			return want, err
		},
		Users:   p.UsersOf,
		Timeout: p.Timeout, Progress: p.progress(),
		Ended: func(r rotation.Result) {
			if !p.AsJSON {
				view.Rotation(p.Stdout, r)
			}
		},
	}
}
