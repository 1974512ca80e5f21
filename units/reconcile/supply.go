package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/units"
)

// Prerequisites is what an app may be without when its containers are made.
type Prerequisites struct {
	// Images may be missing: the app doesn't run with those that it is to have.
	Images bool
	// Secrets may have no value yet.
	Secrets bool
}

// suppliers is how many apps are supplied at a time.
const suppliers = 4

// ensurePrerequisites gets what apps lack that are about to be changed or started, and before
// anything is: where it can't be had, the app that runs goes on running. Nobody
// else waits longer for it than for an app that starts.
func (p *pass) ensurePrerequisites(ctx context.Context) {
	if p.host.Supply == nil {
		return
	}
	p.deferStopped()
	var all sync.WaitGroup
	var asked []units.App
	slots := make(chan struct{}, suppliers)
	for _, app := range p.want.Apps {
		lack := p.lackOf(app)
		if lack == (Prerequisites{}) || p.isBad(app.ID) {
			continue
		}
		slots <- struct{}{}
		if now := p.host.Now(); now.Sub(p.started) > p.host.WaitTimeout {
			p.supplied(app, units.ErrPending)
			p.plan.Due = now
			<-slots
			continue
		}
		asked = append(asked, app)
		all.Go(func() {
			defer func() { <-slots }()
			p.supplied(app, p.host.Supply(ctx, app, lack))
		})
	}
	all.Wait()
	p.recheckManifests(asked)
}

// deferStopped leaves the files as they are of apps that are to stop, and would need something
// for others: a stop waits for no registry. The next pass changes them.
func (p *pass) deferStopped() {
	var list []units.App
	for _, app := range p.want.Apps {
		if app.Request == units.Stop && p.lackOf(app) != (Prerequisites{}) {
			p.plan.Files = slices.DeleteFunc(p.plan.Files, func(a units.Action) bool { return a.App == app.ID })
			app = app.With(p.before.Of(app.ID))
		}
		if len(app.Parts) > 0 { // there is something of it to stop
			list = append(list, app)
		}
	}
	p.want.Apps = list
}

// recheckManifests puts apps off whose manifests changed while what they lack was got: who got
// it may have seen the new one, and have got nothing for the one of this pass.
func (p *pass) recheckManifests(apps []units.App) {
	if len(apps) == 0 {
		return
	}
	now, err := p.desired()
	for _, app := range apps {
		i := slices.IndexFunc(now.Apps, func(a units.App) bool { return a.ID == app.ID })
		if err != nil || i < 0 || now.Apps[i].ManifestDigest != app.ManifestDigest {
			p.supplied(app, units.ErrPending)
			p.plan.Due = p.host.Now()
		}
	}
}

// supplied notes what came of getting what an app lacks.
func (p *pass) supplied(app units.App, err error) {
	switch {
	case err == nil:
	case errors.Is(err, units.ErrPending):
		p.leave(app, units.ReasonPulling)
		p.fail(app.ID, Starting, err, nil)
	default:
		p.leave(app, units.ReasonPullFailed)
		p.fail(app.ID, Failed, fmt.Errorf("what it needs can't be had, so nothing of it was changed: %w", err), nil)
	}
}

// leave notes that an app is left as it is.
func (p *pass) leave(app units.App, why units.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = append(p.done, units.Action{App: app.ID, Kind: units.Leave, Reason: why})
}

func (p *pass) lackOf(app units.App) Prerequisites {
	return Prerequisites{
		Images:  len(p.foreign[app.ID]) > 0 || p.wrote(app.ID) && p.isNew(app),
		Secrets: len(app.Secrets) > 0 && p.isTouched(app),
	}
}

// isNew reports whether an app never ran with the files that it should have. One
// that has lost its files, and was stopped, did.
func (p *pass) isNew(app units.App) bool {
	wanted := digests(app.Files)
	if app.Runs(p.have.Units) || digests(p.before.Of(app.ID)) == wanted {
		return false
	}
	good, err := p.lastGood(app.ID)
	return err != nil || digests(good) != wanted
}

// isTouched reports whether containers of an app are made by this pass, or later
// from files that it writes, or by systemd, which tries again and again.
func (p *pass) isTouched(app units.App) bool {
	makes := func(a units.Action) bool {
		return a.Kind == units.Start || a.Kind == units.Restart || a.Kind == units.Recreate
	}
	retries := func(a units.Action) bool { return a.App == app.ID && a.Reason == units.ReasonRestartedBySystemd }
	return p.wrote(app.ID) && !app.Runs(p.have.Units) || slices.ContainsFunc(p.steps(app), makes) ||
		slices.ContainsFunc(p.plan.Left, retries) || len(p.foreign[app.ID]) > 0
}
