package reconcile

import (
	"context"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// Config tells what the container of a service would be started with now beside
// its file, by its recipe, and what it was started with.
type Config func(service string, recipe units.Recipe) (want, have units.ConfigDigests, err error)

// configure fills in the digests of the configuration of what runs, or is restarting. Where nobody
// can tell one, as when a secret has no value, the container runs on.
func (p *pass) configure() (unknown []units.Action) {
	if p.host.Config == nil {
		return nil
	}
	for i, app := range p.want.Apps {
		p.want.Apps[i].Parts = slices.Clone(app.Parts)
		for j := range app.Parts {
			part := &p.want.Apps[i].Parts[j]
			u := p.have.Units[part.Service]
			want, have, err := p.configOf(app, *part, u)
			if err != nil {
				unknown = append(unknown, units.Action{App: app.ID, Kind: units.Leave, Target: part.Service, Reason: units.BecauseNoConfig})
				continue
			}
			part.Config, part.Watched = want.Config, want.Watched
			u.Config, u.Watched = have.Config, have.Watched
			if want != (units.ConfigDigests{}) {
				p.have.Units[part.Service] = u
			}
		}
	}
	return unknown
}

// configOf is nothing for a part that has no recipe, or is down for good. While a secret
// is rotated it counts what a part starts with, too.
func (p *pass) configOf(app units.App, part units.Part, u units.Unit) (want, have units.ConfigDigests, err error) {
	file, ok := app.Files.Find(units.RecipeName(part.Service))
	isStarting := app.Rotating && u.Active == units.Activating
	if !ok || u.Active != units.Active && !u.Restarting && !isStarting {
		return want, have, nil
	}
	recipe, err := units.ReadRecipe(file.Content)
	if err != nil {
		return want, have, err
	}
	return p.host.Config(part.Service, recipe)
}

// met notes that an app which was restarted for its configuration has it now.
func (p *pass) met(ctx context.Context, app units.App, steps []units.Action) {
	if !slices.ContainsFunc(steps, func(a units.Action) bool { return a.Reason == units.BecauseConfig }) {
		return
	}
	found, err := p.host.Services.Observe(ctx, app.Services(), false)
	if err != nil {
		return
	}
	for _, part := range app.Parts {
		want, have, err := p.configOf(app, part, found[part.Service])
		if err != nil || want.Config != have.Config {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history.Met(app.ID, units.BecauseConfig)
}
