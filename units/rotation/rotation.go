// Package rotation owns the rotation of a secret on a machine: it begins a rotation,
// restarts the services that use the secret in one pass, verifies that each runs with its
// value, and completes an interrupted rotation. It measures the downtime of services.
//
// It never decides which of the two values is in force: units/secret does, and keeps the
// record of a rotation. The caller says which apps may use a secret. It prints nothing.
package rotation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Rotator carries out rotations on a machine.
type Rotator struct {
	Machine *machine.Machine
	// Installed returns the installed apps.
	Installed func() (units.Desired, error)
	// Users returns the apps that may use one of some secrets: the app that the secret
	// belongs to, and those that require a capability that exports it.
	Users func(secrets []string) (units.Desired, error)
	// Timeout is how long to wait for an app.
	Timeout time.Duration
	// Progress is called for every action. It may be nil.
	Progress func(reconcile.Event)
	// Ended is called with the result of each rotation.
	Ended func(Result)
}

// Rotate sets a secret to a new value, and updates the secrets derived from it. If value is
// empty, it generates one. It completes an interrupted rotation first.
func (r Rotator) Rotate(ctx context.Context, name, value string) error {
	release, err := r.Machine.Secrets.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	left, err := r.Machine.Secrets.Rotation()
	if err != nil {
		return err
	}
	if left != nil {
		if err := r.complete(ctx, left); err != nil {
			return err
		}
	}
	begun, err := r.begin(ctx, name, value)
	if err != nil {
		return err
	}
	return r.complete(ctx, begun)
}

// Resume completes an interrupted rotation, and calls resuming before. It does nothing if
// there is none, or if another process is at work on it.
func (r Rotator) Resume(ctx context.Context, resuming func(*secret.Rotation)) error {
	left, release, err := r.Machine.Secrets.Abandoned(ctx)
	if err != nil || left == nil {
		return err
	}
	defer release()
	resuming(left)
	return r.complete(ctx, left)
}

// begin records a rotation and the services that are up now.
func (r Rotator) begin(ctx context.Context, name, value string) (*secret.Rotation, error) {
	want, err := r.Installed()
	if err != nil {
		return nil, err
	}
	if refused := slices.Sorted(maps.Keys(want.Refused())); len(refused) > 0 {
		return nil, fmt.Errorf("the manifest of %s has errors, so it is unknown whether it uses %s: see archgen check", strings.Join(refused, ", "), name)
	}
	up, err := r.up(ctx, want)
	if err != nil {
		return nil, err
	}
	return r.Machine.Secrets.Begin(ctx, want.OwnerOf(name).Secrets, secret.Request{Name: name, Value: value, Up: up, Now: time.Now()})
}

// up returns the services of apps that are up or starting.
func (r Rotator) up(ctx context.Context, want units.Desired) ([]string, error) {
	names := want.Services()
	found, err := r.Machine.Services.All(ctx, names)
	return slices.DeleteFunc(names, func(name string) bool { return found[name].State.IsAtRest() }), err
}

// complete finishes a rotation and reports its result.
func (r Rotator) complete(ctx context.Context, rotation *secret.Rotation) error {
	h := &host{Secrets: r.Machine.Secrets.Podman, Rotator: r}
	before, err := h.observe(ctx, rotation)
	if err != nil {
		return err
	}
	result := Result{Name: rotation.Name, Err: r.Machine.Secrets.Complete(ctx, h, rotation)}
	if ctx.Err() == nil {
		result.measure(before, h.after)
	}
	r.Ended(result)
	return result.Err
}
