package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// restore puts lost files back of apps that were seen running with them, before
// anything else: what earlier passes left takes a while to read, and systemd is busy
// where files change, and may not answer at all. To the rest of the pass they are lost
// still, as systemd has to read them; it also tells of what could not be written.
func (p *pass) restore() {
	if p.host.Ran == nil {
		return
	}
	var ran units.Set
	for _, app := range p.want.Apps {
		if p.host.Ran(app) {
			ran = append(ran, app.Files...)
		}
	}
	ran.Sort()
	lost := p.host.Files.Lost(ran)
	if len(lost) == 0 || p.host.Files.Sync(lost, nil) != nil {
		return
	}
	p.restored = lost
	for _, f := range lost {
		p.noteDone(units.Action{App: f.App, Kind: units.Write, Target: f.Name, Reason: units.ReasonFileMissing})
	}
}

// announce keeps, before anything is done, which services are stopped and of
// which apps files are changed: a pass that is killed in between leaves word. An
// app that gets back what it runs with is not changed, and has it sooner.
func (p *pass) announce() error {
	for _, a := range p.plan.Files {
		p.history.DropStarted(a.App, p.have.Units)
	}
	for id := range p.plan.Adopts {
		// Between parking the containers and the start nothing runs, and an app that has
		// the place back for another try was stopped when it gave it up.
		app, _ := p.plan.Basis.Find(id)
		main := app.Parts[0].Service
		if u := p.have.Units[main]; u.Active != units.Active && u.Active != units.Activating {
			p.history.MarkPending(app, main, u.Invocation)
		}
	}
	for _, a := range p.plan.Stops {
		if a.Kind == units.Stop {
			p.history.MarkPending(units.App{ID: a.App}, a.Target, p.have.Units[a.Target].Invocation)
		}
	}
	for _, a := range slices.Concat(p.plan.Steps, p.plan.Left) {
		// What failed without its unit looks stopped by somebody once it has it back, also
		// where it is left for now: disabled, or backing off.
		app, isWanted := p.plan.Basis.Find(a.App)
		u := p.have.Units[a.Target]
		isMeant := a.Kind != units.Leave || !u.Stopped
		if u.Active == units.Failed && p.plan.Reload != nil && isWanted && isMeant {
			p.history.MarkPending(app, a.Target, u.Invocation)
		}
	}
	for _, a := range p.plan.Files {
		if !p.isBad(a.App) && !p.isRestored(a) {
			p.history.MarkChanged(a.App)
		}
	}
	return p.keepHistory()
}

// isRestored reports whether an app gets a lost file back that it runs with.
func (p *pass) isRestored(a units.Action) bool {
	app, ok := p.plan.Basis.Find(a.App)
	return ok && a.Reason == units.ReasonFileMissing && app.Runs(p.have.Units)
}

// keepHistory writes down what is to outlive the pass, if it changed.
func (p *pass) keepHistory() error {
	if reflect.DeepEqual(p.kept, p.history) {
		return nil
	}
	p.kept = maps.Clone(p.history)
	return p.host.Store.SaveHistory(p.history)
}

// stop ends the services of apps that are gone, while their units still say how.
func (p *pass) stop(ctx context.Context) error {
	if err := p.revive(ctx); err != nil {
		return err
	}
	for _, a := range p.plan.Stops {
		if err := p.serviceAct(ctx, a); err != nil {
			p.fail(a.App, Failed, err, nil)
			continue
		}
		p.succeed(a.App)
		if p.plan.Basis.IsInstalled(a.App) {
			p.history.ClearPending(a.App)
		}
	}
	return p.forget(ctx)
}

// revive gives services that are to stop, and have lost their units, the last ones
// back until they have stopped.
func (p *pass) revive(ctx context.Context) error {
	if len(p.plan.Revives) == 0 {
		return nil
	}
	found, _, err := p.host.Files.Look(p.plan.Revives)
	if err != nil {
		return err
	}
	set := slices.DeleteFunc(slices.Clone(p.plan.Revives), func(f units.File) bool { return found[f.Name].State == units.FileForeign })
	if err := p.host.Files.Sync(set, nil); err != nil {
		return err
	}
	return p.serviceAct(ctx, units.Action{Kind: units.Reload, Reason: units.ReasonNotLoaded})
}

// forget makes systemd forget those that were stopped and did not end well: it
// would list them for ever, as failed units of which no file is left.
func (p *pass) forget(ctx context.Context) error {
	names := make([]string, 0, len(p.plan.Stops))
	for _, a := range p.plan.Stops {
		names = append(names, a.Target)
	}
	if len(names) == 0 {
		return nil
	}
	now, err := p.host.Services.Observe(ctx, names, false)
	if err != nil {
		return err
	}
	for _, a := range p.plan.Stops {
		if now[a.Target].Active != units.Failed {
			continue
		}
		a.Kind = units.ResetFailed
		if err := p.serviceAct(ctx, a); err != nil {
			p.fail(a.App, Failed, err, nil)
		}
	}
	return nil
}

// files writes and removes, lets systemd read the result, and makes sure that
// it did: a reload that succeeds proves nothing.
func (p *pass) files(ctx context.Context) error {
	if len(p.plan.Files)+len(p.plan.Basis.Unfinished) > 0 { // a pass that was killed may have left temporary files
		if err := p.sync(); err != nil {
			return err
		}
	}
	if p.plan.Reload == nil || p.nothingWritten() {
		return nil
	}
	if err := p.serviceAct(ctx, *p.plan.Reload); err != nil {
		return err
	}
	return p.verifyLoaded(ctx)
}

// nothingWritten reports whether a reload is for files of which none was changed.
func (p *pass) nothingWritten() bool {
	ofFiles := p.plan.Reload.Reason != units.ReasonNotLoaded && p.plan.Reload.Reason != units.ReasonNeedsReload
	return ofFiles && !slices.ContainsFunc(p.plan.Files, func(a units.Action) bool { return !p.isBad(a.App) })
}

// sync brings the directory to what is wanted, less what belongs to apps for
// which something went wrong: of those everything stays as it is.
func (p *pass) sync() error {
	want := slices.Clone(p.plan.Basis.Shared)
	for _, app := range p.plan.Basis.Apps {
		if p.isBad(app.ID) || p.hasForeignFile(app) {
			want = append(want, p.plan.Ours.Of(app.ID)...)
			continue
		}
		want = append(want, app.Files...)
	}
	want.Sort()
	err := p.host.Files.Sync(want, p.removes())
	if stuck, ok := errors.AsType[*units.ImmutableFileError](err); ok {
		if app := p.have.Files[stuck.File].App; app != "" && !p.isBad(app) {
			p.fail(app, Failed, err, nil)
			return p.sync()
		}
	}
	for _, a := range p.plan.Files {
		if _, isTold := p.restored.Find(a.Target); err == nil && !isTold && !p.isBad(a.App) {
			p.noteDone(a)
		}
	}
	return err
}

// removes selects the files that go. Where none does, nobody has to read those
// that the pass is not about.
func (p *pass) removes() func(units.Ownership) bool {
	of := map[string]bool{}
	for _, a := range p.plan.Files {
		if a.Kind == units.Remove && !p.isBad(a.App) {
			of[a.App] = true
		}
	}
	if len(of) == 0 {
		return nil
	}
	return func(m units.Ownership) bool { return of[m.App] }
}

// noteDone tells of an action that was done together with others.
func (p *pass) noteDone(a units.Action) {
	p.mu.Lock()
	p.done = append(p.done, a)
	p.mu.Unlock()
	p.tell(Event{Action: a, Ended: true})
}

func (p *pass) hasForeignFile(app units.App) bool {
	return slices.ContainsFunc(app.Files, func(f units.File) bool { return p.have.Files[f.Name].State == units.FileForeign })
}

// verifyLoaded demands that systemd has every unit that should be there. An app
// without gets its earlier files back, and what Podman's generator said about it.
func (p *pass) verifyLoaded(ctx context.Context) error {
	now, err := p.host.Services.Observe(ctx, serviceNames(p.plan.Basis), false)
	if err != nil {
		return err
	}
	var givenBack bool
	for _, app := range p.plan.Basis.Apps {
		i := slices.IndexFunc(app.Parts, func(part units.Part) bool { return !now[part.Service].Loaded })
		if i < 0 || p.isBad(app.ID) {
			continue
		}
		part, advice := app.Parts[i], "archgen doctor looks for what keeps it from doing so"
		if p.plan.Writes(app.ID) && !p.plan.PreviousFiles(app.ID).SameContainers(app.Files) {
			if err := p.giveBack(app); err != nil {
				return err
			}
			givenBack, advice = true, "its files are as they were before"
		}
		p.fail(app.ID, Failed, fmt.Errorf("systemd has no unit %s after the reload: Podman's generator made none of %s; %s", part.Service, part.File, advice),
			p.host.Services.GeneratorLog(ctx, part.File, p.started))
	}
	if !givenBack {
		return nil
	}
	return p.serviceAct(ctx, units.Action{Kind: units.Reload, Reason: units.ReasonRolledBack})
}

// giveBack puts the files of an app back that it had before they were changed.
func (p *pass) giveBack(app units.App) error {
	before := p.plan.PreviousFiles(app.ID)
	err := p.host.Files.Sync(before, func(m units.Ownership) bool { return m.App == app.ID })
	if err != nil {
		return fmt.Errorf("putting the earlier files of %s back: %w", app.ID, err)
	}
	for _, f := range before {
		p.noteDone(units.Action{App: app.ID, Kind: units.Write, Target: f.Name, Reason: units.ReasonRolledBack})
	}
	return nil
}
