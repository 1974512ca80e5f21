package reconcile

import (
	"context"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/units"
)

// Loss is a unit file that may be missing, with its app as it should be.
type Loss struct {
	App  units.App
	File string
}

// guard is the files that a pass restores at any moment. A pass may wait for long: systemd answers
// nothing during a reload, which takes up to a second.
type guard struct {
	// busy is taken while the pass changes files, and while a file is restored.
	busy token
	// files is what is restored of each app of the pass. An app whose files the pass may change
	// has none.
	files map[string]units.Set
	// restored is the files of the pass that restore and the guard wrote, late the apps with one
	// that the guard wrote: systemd may have read its units without it.
	restored units.Set
	late     map[string]bool
}

// token is held by one goroutine at a time. Unlike with a mutex, the virtual clock of tests continues
// while others wait for it.
type token chan struct{}

func (t token) take() { t <- struct{}{} }

func (t token) free() { <-t }

// guardFiles restores lost files until stop is called.
func (p *pass) guardFiles(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			list := p.host.Losses(ctx)
			if len(list) == 0 {
				return
			}
			p.restoreLosses(list)
		}
	})
	return func() {
		cancel()
		ended.Wait()
	}
}

// restoreLosses restores the files that are missing, if their apps have run with them or this pass
// has written them.
func (p *pass) restoreLosses(list []Loss) {
	p.guard.busy.take()
	defer p.guard.busy.free()
	var set units.Set
	for _, l := range list {
		files, isOfPass := p.guard.files[l.App.ID]
		if !isOfPass && p.host.Ran(l.App) {
			files = l.App.Files
		}
		if f, ok := files.Find(l.File); ok {
			set = append(set, f)
		}
	}
	for _, f := range p.writeLost(set) {
		if _, isOfPass := p.guard.files[f.App]; isOfPass {
			p.guard.restored = append(p.guard.restored, f)
			p.guard.late[f.App] = true
		}
	}
}

// writeLost writes the files that are missing, and returns them sorted. The next pass reports what could
// not be written.
func (p *pass) writeLost(set units.Set) units.Set {
	lost := p.host.Files.Lost(set)
	lost.Sort()
	if len(lost) == 0 || p.host.Files.Restore(lost) != nil {
		return nil
	}
	for _, f := range lost {
		p.noteDone(units.Action{App: f.App, Kind: units.Write, Target: f.Name, Reason: units.ReasonFileMissing})
	}
	return lost
}

// cover sets what the guard restores of the apps of the pass.
func (p *pass) cover(apps []units.App, files func(units.App) units.Set) {
	for _, app := range apps {
		p.guard.files[app.ID] = files(app)
	}
}

// changeFiles lets the pass change files of some apps, which the guard does not restore from then
// on.
func (p *pass) changeFiles(apps []units.App, change func() error) error {
	p.guard.busy.take()
	defer p.guard.busy.free()
	p.cover(apps, func(units.App) units.Set { return nil })
	return change()
}

// restored is the lost files of the pass that were restored so far.
func (p *pass) restored() units.Set {
	p.guard.busy.take()
	defer p.guard.busy.free()
	return slices.Clone(p.guard.restored)
}

// isLate reports whether a file of an app was restored while the pass ran. Its unit may be missing
// until the next reload.
func (p *pass) isLate(app string) bool {
	p.guard.busy.take()
	defer p.guard.busy.free()
	return p.guard.late[app]
}
