package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/units"
)

// suppliers is how many apps are supplied at a time.
const suppliers = 4

// acquire gets what apps lack before anything of them is changed: where it can't be had, the
// app that runs goes on running. Nobody else waits longer for it than for an app that starts.
func (p *pass) acquire(ctx context.Context) {
	if p.host.Supply == nil {
		return
	}
	var all sync.WaitGroup
	var asked []units.App
	slots := make(chan struct{}, suppliers)
	for _, lack := range p.plan.Acquisitions {
		app, _ := p.plan.Basis.Find(lack.App)
		if p.isBad(app.ID) {
			continue
		}
		slots <- struct{}{}
		if now := p.host.Now(); now.Sub(p.started) > p.host.WaitTimeout {
			p.supplied(app, units.ErrPending)
			p.due = now
			<-slots
			continue
		}
		asked = append(asked, app)
		p.mu.Lock()
		p.done = append(p.done, units.Action{App: app.ID, Kind: units.Acquire, Reason: units.ReasonMayLack})
		p.mu.Unlock()
		all.Go(func() {
			defer func() { <-slots }()
			p.supplied(app, p.host.Supply(ctx, app, lack.Prerequisites))
		})
	}
	all.Wait()
	p.recheckManifests(asked)
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
			p.due = p.host.Now()
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
