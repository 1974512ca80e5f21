package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// provide sees to the secrets of apps that are about to be changed or started.
// Where one can't be had, the app that runs goes on running as it is.
func (p *pass) provide(ctx context.Context) {
	for _, app := range p.want.Apps {
		if len(app.Secrets) == 0 || p.host.Provide == nil || p.isBad(app.ID) || !p.isTouched(app) {
			continue
		}
		if err := p.host.Provide(ctx, app); err != nil {
			p.fail(app.ID, Failed, fmt.Errorf("its secrets can't be had, so nothing of it was changed: %w", err), nil)
		}
	}
}

// isTouched reports whether containers of an app are made by this pass, or later
// from files that it writes, or by systemd, which tries again and again.
func (p *pass) isTouched(app units.App) bool {
	makes := func(a units.Action) bool {
		return a.Kind == units.Start || a.Kind == units.Restart || a.Kind == units.Recreate
	}
	retries := func(a units.Action) bool { return a.App == app.ID && a.Reason == units.BecauseCrashing }
	return p.wrote(app.ID) && !p.runs(app) || slices.ContainsFunc(p.steps(app), makes) ||
		slices.ContainsFunc(p.plan.Left, retries) || len(p.claims[app.ID]) > 0
}

// isAtWork reports whether systemd runs an app, or tries to. One that ends again
// and again with a new value is no app that was stopped.
func (p *pass) isAtWork(app units.App) bool {
	u := p.have.Units[app.Parts[0].Service]
	return u.Active != units.Inactive && u.Active != ""
}

func (p *pass) isRotating() bool {
	return slices.ContainsFunc(p.want.Apps, func(app units.App) bool { return app.Rotating })
}

// due is the steps of an app, less those for a configuration that it was started
// with meanwhile: the restart of what it belongs to has taken it along.
func (p *pass) due(ctx context.Context, app units.App) []units.Action {
	return slices.DeleteFunc(p.steps(app), func(a units.Action) bool {
		if a.Reason != units.BecauseConfig {
			return false
		}
		i := slices.IndexFunc(app.Parts, func(part units.Part) bool { return part.Service == a.Target })
		found, err := p.host.Services.Observe(ctx, []string{a.Target}, false)
		if err != nil || i < 0 || found[a.Target].Invocation == p.have.Units[a.Target].Invocation {
			return false
		}
		want, have, err := p.configOf(app, app.Parts[i], found[a.Target])
		return err == nil && want.Config != "" && want.Config == have.Config
	})
}
