package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// restore restores lost files of apps that were seen running with them, before anything else:
// reading the state of earlier passes takes a while, and systemd is busy where files change and
// may not answer at all. The rest of the pass still treats the files as lost, because systemd has
// to read them. It also reports what could not be written.
func (p *pass) restore() {
	p.guard.busy.take()
	defer p.guard.busy.free()
	ran := make(units.Set, 0, p.want.FileCount())
	p.cover(p.want.Apps, func(app units.App) units.Set {
		if !p.host.Ran(app) {
			return nil
		}
		ran = append(ran, app.Files...)
		return app.Files
	})
	p.guard.restored = p.writeLost(ran)
}

// announce records, before anything is done, which services stop and of which apps files change,
// so that the next pass can resume after a kill. A lost file that is restored is no change, and
// does not wait for this.
func (p *pass) announce() error {
	for _, a := range p.plan.Files {
		p.history.DropStarted(a.App, p.have.Units)
	}
	for id := range p.plan.Adopts {
		// Nothing runs between parking the containers and the start. An app that adopts again was
		// stopped when its adoption was reverted.
		app, _ := p.plan.Basis.Find(id)
		main := app.Parts[0].Service
		if u := p.have.Units[main]; u.Active != units.Active && u.Active != units.Activating {
			p.history.MarkPending(app, main, u.Invocation)
		}
	}
	for _, a := range p.plan.Stops {
		// A failed one that is reset looks stopped by an operator from then on.
		if u := p.have.Units[a.Target]; units.AppOf(a.Target) != "" && (a.Kind == units.Stop || !u.Stopped) {
			p.history.MarkPending(units.App{ID: a.App}, a.Target, u.Invocation)
		}
	}
	for _, a := range slices.Concat(p.plan.Steps, p.plan.Left) {
		// A service that failed without its unit looks stopped by an operator once the unit exists
		// again. This matters also for one that is disabled or backing off for now.
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

// isRestored reports whether an action restores a lost file that the app runs with.
func (p *pass) isRestored(a units.Action) bool {
	app, ok := p.plan.Basis.Find(a.App)
	return ok && a.Reason == units.ReasonFileMissing && app.Runs(p.have.Units)
}

// keepHistory saves the history if it changed.
func (p *pass) keepHistory() error {
	if p.kept.Equal(p.history) {
		return nil
	}
	p.kept = maps.Clone(p.history)
	return p.host.Store.SaveHistory(p.history)
}

// stop stops the services of apps that are not wanted, while systemd has their units.
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

// revive restores the last units of services that must stop and have lost them, until they have
// stopped.
func (p *pass) revive(ctx context.Context) error {
	if len(p.plan.Revives) == 0 {
		return nil
	}
	found, _, err := p.host.Files.Look(p.plan.Revives)
	if err != nil {
		return err
	}
	set := slices.DeleteFunc(slices.Clone(p.plan.Revives), func(f units.File) bool { return found[f.Name].State == units.FileForeign })
	if err := p.host.Files.Restore(set); err != nil {
		return err
	}
	return p.serviceAct(ctx, units.Action{Kind: units.Reload, Reason: units.ReasonNotLoaded})
}

// forget stops the services again that run once more, and resets those that failed when they were
// stopped. An app in a crash loop that is stopped later pulls in what it wants with each of its
// restarts. systemd would list a failed unit without a file forever.
func (p *pass) forget(ctx context.Context) error {
	now, err := p.observeStopped(ctx)
	if err != nil {
		return err
	}
	isAgain := false
	for _, a := range p.plan.Stops {
		if u := now[a.Target]; u.Active == units.Active || u.Active == units.Activating {
			isAgain = true
			a.Kind = units.Stop
			if err := p.serviceAct(ctx, a); err != nil {
				p.fail(a.App, Failed, err, nil)
			}
		}
	}
	if isAgain {
		if now, err = p.observeStopped(ctx); err != nil {
			return err
		}
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

// observeStopped observes the services that the plan stops.
func (p *pass) observeStopped(ctx context.Context) (map[string]units.Unit, error) {
	names := make([]string, 0, len(p.plan.Stops))
	for _, a := range p.plan.Stops {
		names = append(names, a.Target)
	}
	if len(names) == 0 {
		return nil, nil
	}
	return p.host.Services.Observe(ctx, names, false)
}

// files writes and removes files, reloads systemd, and verifies that it loaded them: a successful
// reload proves nothing.
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

// nothingWritten reports whether the reload is for files only and none of them changed.
func (p *pass) nothingWritten() bool {
	ofFiles := p.plan.Reload.Reason != units.ReasonNotLoaded && p.plan.Reload.Reason != units.ReasonNeedsReload
	return ofFiles && !slices.ContainsFunc(p.plan.Files, func(a units.Action) bool { return !p.isBad(a.App) })
}

// sync writes the desired files. The files of an app that failed stay as they are.
func (p *pass) sync() error {
	want := slices.Clone(p.plan.Basis.Shared)
	for _, app := range p.plan.Basis.Apps {
		if p.isBad(app.ID) {
			want = append(want, p.plan.Ours.Of(app.ID)...)
			continue
		}
		want = append(want, app.Files...)
	}
	want.Sort()
	err := p.changeFiles(p.plan.Basis.Apps, func() error {
		err := p.host.Files.Sync(want, p.removes())
		if err == nil {
			p.cover(p.plan.Basis.Apps, p.written)
		}
		return err
	})
	if stuck, ok := errors.AsType[*units.ImmutableFileError](err); ok {
		if app := p.have.Files[stuck.File].App; app != "" && !p.isBad(app) {
			p.fail(app, Failed, err, nil)
			return p.sync()
		}
	}
	told := p.restored()
	isTold := func(name string) bool {
		return slices.ContainsFunc(told, func(f units.File) bool { return f.Name == name })
	}
	for _, a := range p.plan.Files {
		if err == nil && !isTold(a.Target) && !p.isBad(a.App) {
			p.noteDone(a)
		}
	}
	return err
}

// written is the files that an app has after sync, as far as they are the desired ones.
func (p *pass) written(app units.App) units.Set {
	if p.isBad(app.ID) {
		return nil
	}
	return app.Files
}

// removes selects the files to remove. If it is nil, the owner of the files need not read those of
// other apps.
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

// noteDone reports an action that was carried out together with others.
func (p *pass) noteDone(a units.Action) {
	p.mu.Lock()
	p.done = append(p.done, a)
	p.mu.Unlock()
	p.tell(Event{Action: a, Ended: true})
}

// verifyLoaded requires that systemd has every unit. An app without one gets its previous files
// back, and its result has the log of Podman's generator.
func (p *pass) verifyLoaded(ctx context.Context) error {
	has, err := p.host.Services.HasUnits(ctx, p.plan.Basis.Services())
	if err != nil {
		return err
	}
	var givenBack bool
	for _, app := range p.plan.Basis.Apps {
		i := slices.IndexFunc(app.Parts, func(part units.Part) bool { return !has[part.Service] })
		if i < 0 || p.isBad(app.ID) || p.isLate(app.ID) {
			continue
		}
		part, advice := app.Parts[i], "run archgen doctor to find the cause"
		if p.plan.Writes(app.ID) && !p.plan.PreviousFiles(app.ID).SameContainers(app.Files) {
			if err := p.giveBack(app); err != nil {
				return err
			}
			givenBack, advice = true, "its previous files are restored"
		}
		p.fail(app.ID, Failed, fmt.Errorf("systemd has no unit %s after the reload: Podman's generator did not make it from %s; %s", part.Service, part.File, advice),
			p.host.Services.GeneratorLog(ctx, part.File, p.started))
	}
	if !givenBack {
		return nil
	}
	return p.serviceAct(ctx, units.Action{Kind: units.Reload, Reason: units.ReasonRolledBack})
}

// giveBack restores the files that an app had before they were changed.
func (p *pass) giveBack(app units.App) error {
	before := p.plan.PreviousFiles(app.ID)
	err := p.changeFiles([]units.App{app}, func() error {
		return p.host.Files.Sync(before, func(m units.Ownership) bool { return m.App == app.ID })
	})
	if err != nil {
		return fmt.Errorf("restoring the previous files of %s: %w", app.ID, err)
	}
	for _, a := range units.RollbackWrites(app.ID, before) {
		p.noteDone(a)
	}
	return nil
}
