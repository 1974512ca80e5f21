package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/units"
)

// suppliers is the number of apps whose prerequisites are acquired at a time.
const suppliers = 4

// acquire acquires what apps lack before anything of them changes: if it is unavailable, the app
// keeps running. Other apps wait no longer for that than for a start.
func (p *pass) acquire(ctx context.Context) {
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

// recheckManifests delays apps whose manifests changed while their prerequisites were acquired.
// Supply may have read the new manifest and acquired nothing for the old one.
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

// supplied records the result of acquiring what an app lacks.
func (p *pass) supplied(app units.App, err error) {
	switch {
	case err == nil:
	case errors.Is(err, units.ErrPending):
		p.leave(app, units.ReasonPulling)
		p.fail(app.ID, Starting, err, nil)
	default:
		p.leave(app, units.ReasonPullFailed)
		p.fail(app.ID, Failed, fmt.Errorf("left unchanged: an image or a secret is unavailable: %w", err), nil)
	}
}

// leave records that an app is left as it is.
func (p *pass) leave(app units.App, why units.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = append(p.done, units.Action{App: app.ID, Kind: units.Leave, Reason: why})
}

// create creates the networks and volumes of apps that are about to start, while systemd reads their
// files. wait waits for that.
func (p *pass) create(ctx context.Context, starts []units.App) (wait func()) {
	starts = slices.DeleteFunc(slices.Clone(starts), func(app units.App) bool { return p.isBad(app.ID) })
	if len(starts) == 0 {
		return func() {}
	}
	var creation sync.WaitGroup
	creation.Go(func() { p.host.Create(ctx, starts) })
	return creation.Wait
}
