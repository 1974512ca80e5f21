package reconcile

import (
	"context"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// Config returns the digests of the configuration that the container of a service would start with
// now, by the text of its recipe, and of the one that it was started with.
type Config func(service string, recipe []byte) (want, have units.ConfigDigests, err error)

// configure adds the digests of the configuration of services that run or restart. A digest that
// is unknown, for example because a secret has no value, restarts nothing.
func (p *pass) configure(basis units.Basis) {
	for i, app := range basis.Apps {
		basis.Apps[i].Parts = slices.Clone(app.Parts)
		for j := range app.Parts {
			part := &basis.Apps[i].Parts[j]
			u := p.have.Units[part.Service]
			want, have, err := p.configOf(app, *part, u)
			if u.ConfigUnknown = err != nil; u.ConfigUnknown {
				p.have.Units[part.Service] = u
				continue
			}
			part.Config, part.Watched, part.Reloadable = want.Config, want.Watched, want.Reloadable
			u.Config, u.Watched, u.Reloadable = have.Config, have.Watched, have.Reloadable
			if want != (units.ConfigDigests{}) {
				p.have.Units[part.Service] = u
			}
		}
	}
}

// configOf returns no digests for a part that has no recipe or is down. During a rotation a part
// that is starting counts, too.
func (p *pass) configOf(app units.App, part units.Part, u units.Unit) (want, have units.ConfigDigests, err error) {
	file, ok := app.Files.Find(units.PrestartName(part.Service))
	isStarting := app.Rotating && u.Active == units.Activating
	if !ok || u.Active != units.Active && !u.Restarting && !isStarting {
		return want, have, nil
	}
	return p.host.Config(part.Service, file.Content)
}

// ofConfig is the reasons that end once an app has its configuration.
var ofConfig = []units.Reason{units.ReasonConfigDiffers, units.ReasonReloadableFileDiffers}

// met records that an app which restarted or reloaded for its configuration has it now, and that
// an app which restarted for what it watches has read it. If the app's own start changes what it
// watches it has not, and its repairs keep counting.
func (p *pass) met(ctx context.Context, app units.App, steps []units.Action) {
	isFor := func(reasons ...units.Reason) bool {
		return slices.ContainsFunc(steps, func(a units.Action) bool { return slices.Contains(reasons, a.Reason) })
	}
	isConfigured, isUpToDate := isFor(ofConfig...), isFor(units.ReasonWatchedFileDiffers)
	if !isConfigured && !isUpToDate {
		return
	}
	found, err := p.look(ctx, app.Services())
	if err != nil {
		return
	}
	for _, part := range app.Parts {
		want, have, err := p.configOf(app, part, found[part.Service])
		if err != nil {
			return
		}
		isConfigured = isConfigured && hasConfig(want, have)
		isUpToDate = isUpToDate && want.Watched == have.Watched
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if isConfigured {
		p.metConfig(app.ID)
	}
	if isUpToDate {
		p.history.Resolve(app.ID, units.ReasonWatchedFileDiffers)
	}
}

// metByThen is met for a pass without steps for the app: a job of an earlier pass, which did not wait
// for it, made the app read its files. Whether the app serves does not matter: a wallet may be locked.
// The app's own start may still change what it watches, until it has been up for a while.
func (p *pass) metByThen(app units.App) {
	isConfigured, isUpToDate := true, app.Age(p.have.Units) >= p.host.StabilizationTime
	for _, part := range app.Parts {
		u := p.have.Units[part.Service]
		isRead := u.Active == units.Active && !u.ConfigUnknown
		isConfigured = isConfigured && isRead && u.Config == part.Config && u.Reloadable == part.Reloadable
		isUpToDate = isUpToDate && isRead && u.Watched == part.Watched
	}
	if isConfigured {
		p.metConfig(app.ID)
	}
	if isUpToDate {
		p.history.Resolve(app.ID, units.ReasonWatchedFileDiffers)
	}
}

// reloaded records the result of a reload at once. A reload that made the service read other files
// succeeded, even if the files change again before the app is verified. Any other one counts as a
// failed repair.
func (p *pass) reloaded(ctx context.Context, app units.App, a units.Action, failed error) {
	isMet := failed == nil && p.hasReadOther(ctx, app, a.Target)
	p.mu.Lock()
	defer p.mu.Unlock()
	if isMet {
		p.history.Resolve(app.ID, a.Reason)
	} else {
		p.history.Repaired(app, a.Reason, p.started)
	}
}

// hasReadOther reports whether a service has read other files since the pass began.
func (p *pass) hasReadOther(ctx context.Context, app units.App, service string) bool {
	i := slices.IndexFunc(app.Parts, func(part units.Part) bool { return part.Service == service })
	found, err := p.look(ctx, []string{service})
	if err != nil || i < 0 {
		return false
	}
	_, have, err := p.configOf(app, app.Parts[i], found[service])
	return err == nil && have.Reloadable != p.have.Units[service].Reloadable
}

// metConfig resolves the reasons about the configuration. The caller holds mu, or needs no lock.
func (p *pass) metConfig(app string) {
	for _, why := range ofConfig {
		p.history.Resolve(app, why)
	}
}

// hasConfig reports whether a container has its desired configuration.
func hasConfig(want, have units.ConfigDigests) bool {
	return want.Config == have.Config && want.Reloadable == have.Reloadable
}
