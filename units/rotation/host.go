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

// stabilizationTime is how long an app has to stay up that was restarted for a secret: one
// that refuses its value does so at once, and others wait meanwhile. Tests have another one.
var stabilizationTime = time.Second

// stoppingPause is the time between two looks at what is stopping.
const stoppingPause = 200 * time.Millisecond

// host is the machine for one rotation; it is a secret.Machine.
type host struct {
	podmancli.Secrets
	Rotator
	// after is how the services that use the secret were in the end.
	after map[string]machine.Service
}

// Lock keeps passes out.
func (h *host) Lock(ctx context.Context) (unlock func(), err error) {
	return h.Machine.Store.Lock(ctx)
}

// Serve restarts what runs with another value than it should, by the one pass that
// changes what runs.
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

// rotating is the apps that may use the secrets, for a pass.
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

// timeout is how long to wait for an app. With the old value it serves: a short timeout
// is one for the new value.
func (h *host) timeout(r *secret.Rotation) time.Duration {
	if r.Reverting {
		return max(h.Timeout, machine.WaitTimeout)
	}
	return h.Timeout
}

// waitStopped waits until nothing that uses the secrets is stopping: a run that was killed
// leaves systemd at work. What is starting is for the pass to wait for, or to restart.
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

// observe finds the services that may use the secrets as they are.
func (h *host) observe(ctx context.Context, r *secret.Rotation) (map[string]machine.Service, error) {
	want, err := h.Users(r.Names())
	if err != nil {
		return nil, err
	}
	names := servicesOf(want)
	all, err := h.Machine.Services.All(ctx, names)
	found := make(map[string]machine.Service, len(names))
	for _, name := range names {
		found[name] = all[name]
	}
	return found, err
}

// verify demands that what runs has the value that it should, and that nothing has
// failed.
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

// isDown reports whether a part of an app is neither up nor at rest, or was up when
// the rotation began and is not.
func isDown(app units.App, found map[string]machine.Service, r *secret.Rotation) bool {
	return slices.ContainsFunc(app.Parts, func(p units.Part) bool {
		u := found[p.Service].State
		return u.Active != units.Active && (!u.IsAtRest() || u.Stopped && r.WasUp(p.Service))
	})
}

// hasValue demands that a part which is up was started with the value that it would be
// started with now.
func (h *host) hasValue(app units.App, part units.Part) error {
	file, ok := app.Files.Find(units.PrestartName(part.Service))
	if !ok || h.after[part.Service].State.Active != units.Active {
		return nil
	}
	recipe, err := units.ReadPrestart(file.Content)
	if err != nil {
		return err
	}
	want, have, err := h.Machine.Config.CompareService(part.Service, recipe)
	if err == nil && want.Config != have.Config {
		err = fmt.Errorf("%s runs with another value than it should", part.Service)
	}
	return err
}
