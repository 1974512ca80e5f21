package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// skipReverted takes apps out of what is wanted that did not serve in the place of
// containers which have it back since. With their units they would take it again
// at the next boot, without asking anybody.
//
// One that is asked for takes it again, and so does one whose manifest changed:
// whoever changed it wants to know whether it serves now.
func (p *pass) skipReverted() {
	var apps []units.App
	p.reverted = nil
	for _, app := range p.want.Apps {
		stands, changed := p.adoptions.StandsBack(app)
		isAsked := app.Request == units.Start || app.Request == units.Restart
		switch {
		case !stands:
			apps = append(apps, app)
		case p.host.Foreign != nil && (isAsked || changed && app.Request == "" && app.Enabled):
			app.Request = cmp.Or(app.Request, units.Start)
			p.adoptions.Retry(app.ID)
			apps = append(apps, app)
		default:
			p.reverted = append(p.reverted, app)
		}
	}
	p.want.Apps = apps
}

// forgetRemoved drops the reverted adoptions of apps whose manifest was removed.
func (p *pass) forgetRemoved() error {
	var gone []string
	for id, a := range p.adoptions {
		if len(a.Containers) == 0 && !p.isInstalled(id) {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return p.noteAdoption(func() {
		for _, id := range gone {
			delete(p.adoptions, id)
		}
	})
}

// isInstalled reports whether an app has a manifest, as far as this pass can tell.
func (p *pass) isInstalled(id string) bool {
	isReverted := slices.ContainsFunc(p.reverted, func(a units.App) bool { return a.ID == id })
	return isReverted || p.isWanted(id) || p.outOfScope(id)
}

// skippedActions says that reverted apps are left alone.
func (p *pass) skippedActions() []units.Action {
	list := make([]units.Action, 0, len(p.reverted))
	for _, app := range p.reverted {
		list = append(list, units.Action{App: app.ID, Kind: units.Leave, Reason: units.ReasonAdoptionReverted})
	}
	return list
}

// findForeign finds what stands in the place of apps that are about to be started,
// and resumes what a pass that was killed began.
func (p *pass) findForeign(ctx context.Context) error {
	if p.host.Foreign == nil {
		p.skipIfForeign()
		return nil
	}
	if apps := p.starting(); len(apps) > 0 {
		if err := p.find(ctx, apps); err != nil {
			return err
		}
	}
	p.resumeAdoption()
	return nil
}

// skipIfForeign leaves apps alone in whose place there is somebody else's container:
// this host can't take it over, and the start of the app would end it.
func (p *pass) skipIfForeign() {
	apps := p.starting()
	if len(apps) == 0 || p.host.ForeignNames == nil {
		return
	}
	foreign, err := p.host.ForeignNames()
	for _, app := range apps {
		if err != nil {
			p.fail(app.ID, Failed, err, nil)
		}
		for _, part := range app.Parts {
			if name := units.ContainerOf(part.Service); slices.Contains(foreign, name) {
				p.fail(app.ID, Failed, fmt.Errorf("the container %s was not made by archgen: archgen adopt %s takes it over", name, app.ID), nil)
			}
		}
	}
}

// starting is the apps of which a service is about to be started that is down:
// only then can somebody else's container have its name.
func (p *pass) starting() []units.App {
	var list []units.App
	for _, app := range p.want.Apps {
		isDown := func(part units.Part) bool { return p.have.Units[part.Service].Active != units.Active }
		if slices.ContainsFunc(p.steps(app), isStart) && slices.ContainsFunc(app.Parts, isDown) {
			list = append(list, app)
		}
	}
	return list
}

func isStart(a units.Action) bool {
	return a.Kind == units.Start || a.Kind == units.Restart || a.Kind == units.Recreate
}

func (p *pass) find(ctx context.Context, apps []units.App) error {
	found, changed, err := p.host.Foreign.Find(ctx, apps)
	if err != nil {
		for _, app := range apps {
			p.fail(app.ID, Failed, err, nil)
		}
		return nil
	}
	if changed {
		if p.want, err = p.desired(); err != nil {
			return err
		}
		p.done = nil
		if err := p.observe(ctx); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		p.acceptForeign(id, found[id])
	}
	return nil
}

func (p *pass) acceptForeign(id string, f units.Foreign) {
	app, isWanted := p.want.Find(id)
	switch {
	case f.Err != nil:
		p.fail(id, Failed, f.Err, nil)
	case !isWanted:
		p.fail(id, Failed, errors.New("its manifest has errors with what the container mounts; see archgen check"), nil)
	case slices.ContainsFunc(app.Parts, func(part units.Part) bool { return p.have.Units[part.Service].Active == units.Active }):
		p.fail(id, Failed, fmt.Errorf("%s was not made by archgen, and other parts of %s run: archgen stop %s, then archgen adopt %s",
			names(f.Containers), id, id, id), nil)
	default:
		p.foreign[id] = f.Containers
		r := p.result(id)
		r.Notes = append(r.Notes, f.Notes...)
	}
}

// resumeAdoption plans the end of what a pass that was killed began: the app serves,
// and the containers go, or it does not, and they have their place back.
func (p *pass) resumeAdoption() {
	for _, app := range p.want.Apps {
		if !p.isInPlace(app.ID) || app.Request == units.Stop || len(p.steps(app)) > 0 || p.failedPart(app) != "" {
			continue
		}
		main := app.Parts[0].Service
		switch p.have.Units[main].Active {
		case units.Failed:
			p.plan.Steps = append(p.plan.Steps, units.Action{App: app.ID, Kind: units.ResetFailed, Target: main, Reason: units.ReasonLegacy})
		case units.Active, units.Activating:
		case units.Inactive, units.Deactivating:
			continue // a person stopped it, and will start it
		}
		p.plan.Steps = append(p.plan.Steps, units.Action{App: app.ID, Kind: units.Start, Target: main, Reason: units.ReasonLegacy})
	}
}

// pendingReverts is the reverted apps whose containers still have to get their place
// back: a pass was killed when it was about that.
func (p *pass) pendingReverts() []units.App {
	return slices.DeleteFunc(slices.Clone(p.reverted), func(app units.App) bool { return len(p.containers(app.ID)) == 0 })
}

func (p *pass) finishReverts(ctx context.Context) {
	for _, app := range p.pendingReverts() {
		if err := p.stopAndUnpark(ctx, app); err != nil {
			p.fail(app.ID, Failed, err, nil)
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

// isInPlace reports whether an app has the place of containers, and nobody has verified
// that it serves there.
func (p *pass) isInPlace(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.adoptions[id].Containers) > 0
}

// park parks the containers whose place apps take, before there are units in it.
// Later would be too late: the start of what an app needs pulls the app in as well,
// and Podman ends whatever then has its name.
func (p *pass) park(ctx context.Context) {
	var wg sync.WaitGroup
	for _, app := range p.want.Apps {
		if p.isBad(app.ID) || app.Request == units.Stop || len(p.steps(app)) == 0 {
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
	if found := p.foreign[app.ID]; len(found) > 0 {
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
	for _, app := range p.want.Apps {
		isLost := why != nil || p.isBad(app.ID)
		if !isLost || len(p.foreign[app.ID]) == 0 || len(p.containers(app.ID)) == 0 {
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
		return fmt.Errorf("%w; giving %s, whose place it was to take, the place back: %w", why, names(list), err)
	}
	state := "is as it was"
	if slices.ContainsFunc(list, func(c units.ForeignContainer) bool { return c.Ran }) {
		state = "runs again"
	}
	return fmt.Errorf("%w; %s, whose place it was to take, %s; archgen adopt %s tries again", why, names(list), state, app.ID)
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

func names(list []units.ForeignContainer) string {
	all := make([]string, 0, len(list))
	for _, c := range list {
		all = append(all, c.Name)
	}
	if len(all) == 1 {
		return "the container " + all[0]
	}
	return "the containers " + strings.Join(all, ", ")
}
