package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/units"
)

// ForeignContainers is the owner of foreign containers. Each method also succeeds if its work is
// done already: the next pass resumes what a killed pass began.
type ForeignContainers interface {
	// Adopts reports whether apps may replace foreign containers.
	Adopts() bool
	// Find looks for foreign containers that have the names of the apps' containers, and adds
	// their mounts to the manifests. changed reports that it changed manifests, so that the caller
	// must read the desired state again.
	Find(ctx context.Context, apps []units.App) (found map[string]units.Foreign, changed bool, err error)
	// Park stops a container within the app's stop timeout and renames it to its ParkedName.
	Park(ctx context.Context, app units.App, c units.ForeignContainer) error
	// Unpark gives a container its name back, and starts it if it ran.
	Unpark(ctx context.Context, c units.ForeignContainer) error
	// Remove removes a container, but none of its volumes.
	Remove(ctx context.Context, c units.ForeignContainer) error
}

// findForeign looks for foreign containers of apps that are about to start. changed reports that
// manifests changed because of them.
func (p *pass) findForeign(ctx context.Context, apps []units.App) (found map[string]units.Foreign, changed bool) {
	found, changed, err := p.host.Foreign.Find(ctx, apps)
	if err == nil {
		return found, changed
	}
	found = map[string]units.Foreign{}
	for _, app := range apps {
		found[app.ID] = units.Foreign{Err: err}
	}
	return found, false
}

// keepAdoptions drops the reverted adoptions of removed apps, and of apps that adopt again.
func (p *pass) keepAdoptions() error {
	for id, a := range p.adoptions {
		if len(a.Containers) == 0 && !p.plan.Basis.IsInstalled(id) {
			delete(p.adoptions, id)
		}
	}
	if reflect.DeepEqual(p.adoptions, p.past.Adoptions) {
		return nil
	}
	return p.noteAdoption(func() {})
}

// finishReverts restores the containers of adoptions that a killed pass has begun to revert, or to make
// for apps that are now disabled.
func (p *pass) finishReverts(ctx context.Context) {
	for _, r := range p.plan.Reverts {
		var err error
		if i := slices.IndexFunc(p.plan.Basis.Reverted, func(a units.App) bool { return a.ID == r.App }); i >= 0 {
			err = p.stopAndUnpark(ctx, p.plan.Basis.Reverted[i])
		} else {
			err = p.unpark(ctx, r.App, nil)
		}
		if err != nil {
			p.fail(r.App, Failed, err, nil)
		}
	}
}

// containers is the foreign containers that an app is about to replace, or has replaced without
// being verified to serve.
func (p *pass) containers(id string) []units.ForeignContainer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.host.Foreign.Adopts() {
		return nil
	}
	return p.adoptions[id].Containers
}

// park parks the foreign containers before their apps' units are written. Later is too late: a
// start of an app that it needs also starts the app, and Podman removes any container that has its
// name.
func (p *pass) park(ctx context.Context) {
	var wg sync.WaitGroup
	for _, app := range p.plan.Basis.Apps {
		if _, adopts := p.plan.Adopts[app.ID]; !adopts || p.isBad(app.ID) {
			continue
		}
		wg.Go(func() {
			if err := p.parkFor(ctx, app); err != nil {
				p.fail(app.ID, Failed, p.revertAdoption(ctx, app, err), nil)
			}
		})
	}
	wg.Wait()
}

// parkFor records the containers of an app before anything is done to them, and parks them.
func (p *pass) parkFor(ctx context.Context, app units.App) error {
	if found := p.have.Foreign[app.ID].Containers; len(found) > 0 {
		if err := p.noteAdoption(func() { p.adoptions.Begin(app.ID, found) }); err != nil {
			return err
		}
	}
	for _, c := range p.containers(app.ID) {
		a := c.ParkAction(app.ID)
		if err := p.act(a, func() error { return p.host.Foreign.Park(ctx, app, c) }); err != nil {
			return err
		}
	}
	return nil
}

// unparkAborted restores the containers of apps that won't start because their unit files could
// not be written.
func (p *pass) unparkAborted(ctx context.Context, why error) {
	for _, app := range p.plan.Basis.Apps {
		isLost := why != nil || p.isBad(app.ID)
		if !isLost || len(p.have.Foreign[app.ID].Containers) == 0 || len(p.containers(app.ID)) == 0 {
			continue
		}
		err := p.revertAdoption(ctx, app, cmp.Or(why, errors.New("its unit files could not be written")))
		r := p.result(app.ID)
		r.Notes = append(r.Notes, err.Error())
	}
}

func (p *pass) noteAdoption(change func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	return p.host.Store.SaveAdoptions(p.adoptions)
}

// removeParked removes the containers that an app has replaced, now that it serves. One that can't
// be removed does no harm.
func (p *pass) removeParked(ctx context.Context, app units.App) {
	list := p.containers(app.ID)
	if len(list) == 0 || app.Request == units.Stop {
		return
	}
	err := p.noteAdoption(func() { p.adoptions.End(app.ID) })
	for _, c := range list {
		a := c.RemoveAction(app.ID)
		err = errors.Join(err, p.act(a, func() error { return p.host.Foreign.Remove(ctx, c) }))
	}
	if err != nil {
		r := p.result(app.ID)
		r.Notes = append(r.Notes, "it serves, but the container that it replaced was not removed: "+err.Error())
	}
}

// revertAdoption stops an app that does not serve after its adoption, removes its unit files and
// restores the containers. It returns why, with the outcome. It can't be canceled: either the app
// or the containers must run.
func (p *pass) revertAdoption(ctx context.Context, app units.App, why error) error {
	ctx = context.WithoutCancel(ctx)
	list := p.containers(app.ID)
	// Even if nothing can be written any more, the container must run.
	err := errors.Join(p.noteAdoption(func() { p.adoptions.Withdraw(app) }), p.stopAndUnpark(ctx, app))
	if err != nil {
		return fmt.Errorf("%w; restoring %s failed: %w", why, units.ForeignNames(list), err)
	}
	state := "restored"
	if slices.ContainsFunc(list, func(c units.ForeignContainer) bool { return c.Ran }) {
		state = "restarted"
	}
	return fmt.Errorf("%w; %s %s; archgen adopt %s tries again", why, state, units.ForeignNames(list), app.ID)
}

// stopAndUnpark stops an app, removes its unit files, which would start it at the next boot, and
// restores the containers.
func (p *pass) stopAndUnpark(ctx context.Context, app units.App) error {
	if err := p.end(ctx, app); err != nil {
		return err
	}
	return p.unpark(ctx, app.ID, p.removeUnits(ctx, app))
}

// unpark restores the containers of an app, and records that, unless something failed before: the next
// pass tries that again.
func (p *pass) unpark(ctx context.Context, app string, before error) error {
	errs := []error{before}
	for _, c := range slices.Backward(p.containers(app)) { // the main container is last, as in a start
		errs = append(errs, p.act(c.UnparkAction(app), func() error { return p.host.Foreign.Unpark(ctx, c) }))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return p.noteAdoption(func() { p.adoptions.End(app) })
}

func (p *pass) removeUnits(ctx context.Context, app units.App) error {
	_, files, err := p.host.Files.Look(nil)
	if err == nil {
		err = p.changeFiles([]units.App{app}, func() error {
			return p.host.Files.Sync(nil, func(m units.Ownership) bool { return m.App == app.ID })
		})
	}
	if err != nil {
		return fmt.Errorf("removing the units of %s: %w", app.ID, err)
	}
	own := files.Of(app.ID)
	for _, f := range own {
		p.noteDone(units.Action{App: app.ID, Kind: units.Remove, Target: f.Name, Reason: units.ReasonRolledBack})
	}
	if len(own) == 0 {
		return nil
	}
	return p.serviceAct(ctx, units.Action{Kind: units.Reload, Reason: units.ReasonRolledBack})
}

// end stops every service of an app, and resets those that failed.
func (p *pass) end(ctx context.Context, app units.App) error {
	found, err := p.host.Services.Observe(ctx, app.Services(), false)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range units.StopAll(app, found) {
		errs = append(errs, p.serviceAct(ctx, a))
	}
	return errors.Join(errs...)
}
