package reconcile

import (
	"context"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// isMet reports whether a step for a configuration is not needed any more: systemd or the restart
// of another part has started the part with it. A step for an app that the part follows is not
// needed if that app did not start after all.
func (p *pass) isMet(ctx context.Context, app units.App, a units.Action) bool {
	isWatched := a.Reason == units.ReasonWatchedFileDiffers
	i := slices.IndexFunc(app.Parts, func(part units.Part) bool { return part.Service == a.Target })
	if i < 0 || !isWatched && !slices.Contains(ofConfig, a.Reason) {
		return false
	}
	found, err := p.look(ctx, []string{a.Target})
	if err != nil || !isWatched && found[a.Target].Invocation == p.have.Units[a.Target].Invocation {
		return false
	}
	want, have, err := p.configOf(app, app.Parts[i], found[a.Target])
	if isWatched {
		return err == nil && want.Watched == have.Watched
	}
	return err == nil && want.Config != "" && hasConfig(want, have)
}
