package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// course is how far a pass is with an app that it starts, changes or verifies.
type course struct {
	// serving is closed once the app serves, and ended once the pass is finished with it,
	// whatever its outcome. An app that ends without serving closes both.
	serving, ended chan struct{}
	serves         sync.Once
	// hasServed: the app served before the pass was finished with it.
	hasServed bool
}

func newCourse() *course { return &course{serving: make(chan struct{}), ended: make(chan struct{})} }

// serve lets the apps that need this one begin.
func (c *course) serve() {
	c.serves.Do(func() {
		c.hasServed = true
		close(c.serving)
	})
}

func (c *course) end() {
	c.serves.Do(func() { close(c.serving) })
	close(c.ended)
}

// await waits until a course has reached a point.
func await(ctx context.Context, reached <-chan struct{}) error {
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// needs is the courses of the apps that an app needs.
func (p *pass) needs(app units.App) (list []*course) {
	for _, id := range app.Needs {
		if c := p.courses[id]; c != nil {
			list = append(list, c)
		}
	}
	return list
}

// errDetached: the app serves, and a later pass watches it.
var errDetached = errors.New("it serves, and is not watched any longer")

// watch waits for the time in which a started app may still exit. Apps that need it begin as soon as
// it serves.
func (p *pass) watch(ctx context.Context, app units.App, found map[string]units.Unit, remaining time.Duration) error {
	if p.isServing(ctx, app, found) {
		isDetached := p.host.Detach && len(p.containers(app.ID)) == 0 // only this pass can revert an adoption
		if !isDetached {
			p.tell(Event{Action: units.Action{App: app.ID, Kind: units.Leave}, Watched: remaining})
		}
		if own := p.courses[app.ID]; own != nil {
			own.serve()
		}
		if isDetached {
			return errDetached
		}
	}
	return p.untilExit(ctx, app, found, remaining)
}

// watchReturned is watch for an app that was rolled back. Apps that need it wait until the end.
func (p *pass) watchReturned(ctx context.Context, app units.App, found map[string]units.Unit, remaining time.Duration) error {
	p.tell(Event{Action: units.Action{App: app.ID, Kind: units.Leave}, Watched: remaining})
	return p.untilExit(ctx, app, found, remaining)
}

// untilExit waits until a hint tells that a part of an app has exited, at most for a time.
func (p *pass) untilExit(ctx context.Context, app units.App, found map[string]units.Unit, remaining time.Duration) error {
	timer := time.NewTimer(remaining)
	defer timer.Stop()
	hints := p.host.Hinted(app.ID)
	for {
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-hints:
		}
		now, err := p.look(ctx, app.Services())
		if err != nil {
			return unseenError{err}
		}
		if slices.ContainsFunc(app.Services(), func(service string) bool { return now[service].HasExitedSince(found[service]) }) {
			return nil
		}
	}
}

// isServing probes every running part once.
func (p *pass) isServing(ctx context.Context, app units.App, found map[string]units.Unit) bool {
	return !slices.ContainsFunc(app.Parts, func(part units.Part) bool {
		file, ok := app.Files.Find(part.File)
		u := found[part.Service]
		if !ok || u.Active != units.Active {
			return false
		}
		u.Health, _ = p.host.Ask(ctx, file, part, u)
		return u.Health.IsDown()
	})
}

// detached records that an app serves and that a later pass watches it.
func (p *pass) detached(app units.App) {
	r := p.result(app.ID)
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Outcome = Watched
	r.Notes = append(r.Notes, fmt.Sprintf("it serves; healthd watches it until it is up for %v", p.host.StabilizationTime))
}

// withNeeds finishes the verification of an app, with its outcome so far: once the pass is finished
// with the apps that it needs. If one of those was rolled back after it had served, that may be the
// cause of a failure, and the app may have its old address.
func (p *pass) withNeeds(ctx, waiting context.Context, app units.App, outcome error) error {
	if isUnseen(outcome) || waiting.Err() != nil || errors.Is(outcome, errDetached) {
		return outcome
	}
	var returned []string
	for _, need := range app.Needs {
		c := p.courses[need]
		if c == nil {
			continue
		}
		if err := await(waiting, c.ended); err != nil {
			return err
		}
		if c.hasServed && p.hasReturned(need) {
			returned = append(returned, need)
		}
	}
	if len(returned) == 0 {
		return outcome
	}
	found, err := p.look(waiting, app.Services())
	if err != nil {
		return unseenError{err}
	}
	steps := units.AfterRollbackOf(returned, app, found, outcome != nil)
	if len(steps) == 0 {
		return outcome
	}
	if err := p.begin(app, steps, found); err != nil {
		return err
	}
	if err := p.carryOut(ctx, waiting, app, steps); err != nil {
		return err
	}
	return p.servesAtLast(ctx, waiting, app)
}

// hasReturned reports whether the pass returned an app to what it was before, or failed to.
func (p *pass) hasReturned(id string) bool {
	switch p.result(id).Outcome {
	case RolledBack, NotServing, Failed:
		return true
	case Unchanged, Done, Starting, Watched:
	}
	return false
}
