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

// ForeignContainers is the owner of containers that were there before us. What it
// does to one may have been done before: a pass that was killed leaves the rest to
// the next.
type ForeignContainers interface {
	// Find looks for containers that have the names of the apps' own and are not
	// ours, and lets the manifests keep what they mount. changed says that it wrote
	// for that, so that what is wanted has to be asked for again.
	Find(ctx context.Context, apps []units.App) (found map[string]units.Foreign, changed bool, err error)
	// Park stops a container in the time that the app has for that, and renames it to
	// its ParkedName.
	Park(ctx context.Context, app units.App, c units.ForeignContainer) error
	// Unpark gives a container its place back, and starts it if it ran.
	Unpark(ctx context.Context, c units.ForeignContainer) error
	// Remove removes a container, and none of its volumes.
	Remove(ctx context.Context, c units.ForeignContainer) error
}

// findForeign looks for what stands in the place of apps that are about to be started.
// changed says that manifests are others because of it.
func (p *pass) findForeign(ctx context.Context, apps []units.App) (found map[string]units.Foreign, changed bool) {
	if p.host.Foreign == nil {
		return p.foreignNamed(apps), false
	}
	found, changed, err := p.host.Foreign.Find(ctx, apps)
	if err != nil {
		return refuseAll(apps, err), false
	}
	return found, changed
}

// foreignNamed finds apps in whose place there is a foreign container by its name: this host
// can't take it over, and the start of the app would end it.
func (p *pass) foreignNamed(apps []units.App) map[string]units.Foreign {
	if p.host.ForeignNames == nil {
		return nil
	}
	foreign, err := p.host.ForeignNames()
	if err != nil {
		return refuseAll(apps, err)
	}
	found := map[string]units.Foreign{}
	for _, app := range apps {
		for _, part := range app.Parts {
			if name := units.ContainerOf(part.Service); slices.Contains(foreign, name) {
				found[app.ID] = units.Foreign{Err: fmt.Errorf("the container %s was not made by archgen: archgen adopt %s takes it over", name, app.ID)}
				break
			}
		}
	}
	return found
}

// refuseAll is that nobody knows what stands in the place of apps.
func refuseAll(apps []units.App, err error) map[string]units.Foreign {
	all := map[string]units.Foreign{}
	for _, app := range apps {
		all[app.ID] = units.Foreign{Err: err}
	}
	return all
}

// keepAdoptions drops the reverted adoptions of apps whose manifest was removed, and of those
// that are tried again.
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

// finishReverts gives containers their place back of which an earlier pass was killed when it
// was about that.
func (p *pass) finishReverts(ctx context.Context) {
	for _, r := range p.plan.Reverts {
		for _, app := range p.plan.Basis.Reverted {
			if app.ID != r.App {
				continue
			}
			if err := p.stopAndUnpark(ctx, app); err != nil {
				p.fail(app.ID, Failed, err, nil)
			}
		}
	}
}

// containers is those whose place an app is about to take, or has taken without
// anybody having verified that it serves.
func (p *pass) containers(id string) []units.ForeignContainer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.host.Foreign == nil {
		return nil
	}
	return p.adoptions[id].Containers
}

// park parks the containers whose place apps take, before there are units in it.
// Later would be too late: the start of what an app needs pulls the app in as well,
// and Podman ends whatever then has its name.
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

// parkFor keeps how the containers of an app are before anything is done to them.
func (p *pass) parkFor(ctx context.Context, app units.App) error {
	if found := p.have.Foreign[app.ID].Containers; len(found) > 0 {
		if err := p.noteAdoption(func() { p.adoptions.Begin(app.ID, found) }); err != nil {
			return err
		}
	}
	for _, c := range p.containers(app.ID) {
		a := units.Action{App: app.ID, Kind: units.Adopt, Target: c.Name, Reason: units.ReasonLegacy}
		if err := p.act(a, func() error { return p.host.Foreign.Park(ctx, app, c) }); err != nil {
			return err
		}
	}
	return nil
}

// unparkAborted gives containers their place back whose apps will not be started:
// their units could not be put into place.
func (p *pass) unparkAborted(ctx context.Context, why error) {
	for _, app := range p.plan.Basis.Apps {
		isLost := why != nil || p.isBad(app.ID)
		if !isLost || len(p.have.Foreign[app.ID].Containers) == 0 || len(p.containers(app.ID)) == 0 {
			continue
		}
		err := p.revertAdoption(ctx, app, cmp.Or(why, errors.New("its units could not be put into place")))
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

// removeParked removes the containers whose place an app has taken: it serves. One
// that is left over is in nobody's way.
func (p *pass) removeParked(ctx context.Context, app units.App) {
	list := p.containers(app.ID)
	if len(list) == 0 || app.Request == units.Stop {
		return
	}
	err := p.noteAdoption(func() { p.adoptions.End(app.ID) })
	for _, c := range list {
		a := units.Action{App: app.ID, Kind: units.Remove, Target: c.ParkedName(), Reason: units.ReasonAdopted}
		err = errors.Join(err, p.act(a, func() error { return p.host.Foreign.Remove(ctx, c) }))
	}
	if err != nil {
		r := p.result(app.ID)
		r.Notes = append(r.Notes, "it runs; what it took the place of is left over: "+err.Error())
	}
}

// revertAdoption ends an app that does not serve in the place of containers, removes
// its units, and gives the containers their place back. What came of it is in the
// error. It is not called off: whatever happens, one of the two has to run.
func (p *pass) revertAdoption(ctx context.Context, app units.App, why error) error {
	ctx = context.WithoutCancel(ctx)
	list := p.containers(app.ID)
	// Where nothing can be written any more, the container has to run all the same.
	err := errors.Join(p.noteAdoption(func() { p.adoptions.Withdraw(app) }), p.stopAndUnpark(ctx, app))
	if err != nil {
		return fmt.Errorf("%w; giving %s, whose place it was to take, the place back: %w", why, units.ForeignNames(list), err)
	}
	state := "is as it was"
	if slices.ContainsFunc(list, func(c units.ForeignContainer) bool { return c.Ran }) {
		state = "runs again"
	}
	return fmt.Errorf("%w; %s, whose place it was to take, %s; archgen adopt %s tries again", why, units.ForeignNames(list), state, app.ID)
}

// stopAndUnpark ends an app, removes its units, which would start it at a boot, and
// gives the containers their place back.
func (p *pass) stopAndUnpark(ctx context.Context, app units.App) error {
	if err := p.end(ctx, app); err != nil {
		return err
	}
	errs := []error{p.removeUnits(ctx, app)}
	for _, c := range slices.Backward(p.containers(app.ID)) { // the main one comes last, as at a start
		a := units.Action{App: app.ID, Kind: units.Restore, Target: c.Name, Reason: units.ReasonRolledBack}
		errs = append(errs, p.act(a, func() error { return p.host.Foreign.Unpark(ctx, c) }))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return p.noteAdoption(func() { p.adoptions.End(app.ID) })
}

func (p *pass) removeUnits(ctx context.Context, app units.App) error {
	_, files, err := p.host.Files.Look(nil)
	if err == nil {
		err = p.host.Files.Sync(nil, func(m units.Ownership) bool { return m.App == app.ID })
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

// end stops every service of an app, and leaves none that failed.
func (p *pass) end(ctx context.Context, app units.App) error {
	services := app.Services()
	found, err := p.host.Services.Observe(ctx, services, false)
	if err != nil {
		return err
	}
	var errs []error
	for _, service := range services {
		if u := found[service]; u.Active == "" || u.Active == units.Inactive {
			continue
		}
		for _, kind := range []units.Kind{units.Stop, units.ResetFailed} {
			errs = append(errs, p.serviceAct(ctx, units.Action{App: app.ID, Kind: kind, Target: service, Reason: units.ReasonRolledBack}))
		}
	}
	return errors.Join(errs...)
}
