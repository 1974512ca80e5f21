package rotation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/secret"
)

// stabilizationTime is how long an app that restarts for a secret has to stay up. It is
// short, because an app that refuses a value does so at once, and other apps wait
// meanwhile. Tests change it.
var stabilizationTime = time.Second

// stoppingPause is the interval for checking what is stopping.
const stoppingPause = 200 * time.Millisecond

// host is the machine during one rotation. It implements secret.Machine.
type host struct {
	podmancli.Secrets
	Rotator
	// after is the states of the services that use the secret, after the restarts.
	after map[string]machine.Service
}

// Lock locks out passes.
func (h *host) Lock(ctx context.Context) (unlock func(), err error) {
	return h.Machine.Store.Lock(ctx)
}

// Serve restarts the services that run with an outdated value, in one pass.
func (h *host) Serve(ctx context.Context, r *secret.Rotation) error {
	if err := h.waitStopped(ctx, r); err != nil {
		return err
	}
	pass := h.Machine.ForApply(machine.Apply{Timeout: h.timeout(r), Progress: h.Progress})
	pass.StabilizationTime = stabilizationTime
	report, err := reconcile.Await(ctx, func() (units.Desired, error) { return h.rotating(r) }, pass, h.timeout(r))
	if err != nil {
		return err
	}
	for _, a := range report.Results {
		if a.Outcome != reconcile.Unchanged && a.Outcome != reconcile.Done {
			return fmt.Errorf("%s: %s: %s", a.App, a.Outcome, a.Error)
		}
	}
	return h.verify(ctx, r)
}

// rotating returns the apps that may use the secrets, as desired for the pass.
func (h *host) rotating(r *secret.Rotation) (units.Desired, error) {
	want, err := h.Users(r.Names())
	for i, app := range want.Apps {
		want.Apps[i].Rotating = true
		for j, part := range app.Parts {
			app.Parts[j].WasUp = r.WasUp(part.Service)
		}
	}
	return want, err
}

// timeout is how long to wait for an app. A short timeout applies only to the new value:
// the app is known to serve with the old one.
func (h *host) timeout(r *secret.Rotation) time.Duration {
	if r.Reverting {
		return max(h.Timeout, machine.WaitTimeout)
	}
	return h.Timeout
}

// waitStopped waits until nothing that uses the secrets is stopping, because systemd may
// still be executing the jobs of a killed run. The pass waits for, or restarts, what is
// starting.
func (h *host) waitStopped(ctx context.Context, r *secret.Rotation) error {
	limited, cancel := context.WithTimeout(ctx, h.timeout(r))
	defer cancel()
	for {
		found, err := h.observe(ctx, r)
		if err != nil {
			return err
		}
		isStopping := false
		for _, s := range found {
			isStopping = isStopping || s.State.Active == units.Deactivating
		}
		if !isStopping || limited.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-time.After(stoppingPause):
		case <-limited.Done():
		}
	}
}

// observe returns the states of the services that may use the secrets.
func (h *host) observe(ctx context.Context, r *secret.Rotation) (map[string]machine.Service, error) {
	want, err := h.Users(r.Names())
	if err != nil {
		return nil, err
	}
	names := want.Services()
	all, err := h.Machine.Services.All(ctx, names)
	found := make(map[string]machine.Service, len(names))
	for _, name := range names {
		found[name] = all[name]
	}
	return found, err
}

// verify returns an error if a running service has an outdated value, or if one has failed.
func (h *host) verify(ctx context.Context, r *secret.Rotation) error {
	want, err := h.Users(r.Names())
	if err != nil {
		return err
	}
	if h.after, err = h.observe(ctx, r); err != nil {
		return err
	}
	for _, app := range want.Apps {
		if isDown(app, h.after, r) {
			return fmt.Errorf("%s does not stay up", app.ID)
		}
		for _, part := range app.Parts {
			if err := h.hasValue(app, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// isDown reports whether a part of an app is neither up nor at rest, or was up when the
// rotation began and is not up now.
func isDown(app units.App, found map[string]machine.Service, r *secret.Rotation) bool {
	return slices.ContainsFunc(app.Parts, func(p units.Part) bool {
		u := found[p.Service].State
		return u.Active != units.Active && (!u.IsAtRest() || u.Stopped && r.WasUp(p.Service))
	})
}

// hasValue returns an error if a part that is up was started with another value than the
// current one.
func (h *host) hasValue(app units.App, part units.Part) error {
	file, ok := app.Files.Find(units.PrestartName(part.Service))
	if !ok || h.after[part.Service].State.Active != units.Active {
		return nil
	}
	want, have, err := h.Machine.Config.CompareService(part.Service, file.Content)
	if err == nil && want.Config != have.Config {
		err = fmt.Errorf("%s does not run with the current value", part.Service)
	}
	return err
}
