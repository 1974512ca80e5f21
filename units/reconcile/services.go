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

// services does the steps of every app, and verifies those with none that an
// earlier pass changed without coming to its end. Apps go ahead at the same time; one that
// needs another waits until that one was dealt with, whatever came of it.
func (p *pass) services(ctx context.Context) {
	ended := map[string]chan struct{}{}
	for _, app := range p.plan.Basis.Apps {
		if p.plan.HasSteps(app.ID) || p.plan.Rollback(app.ID) != nil || slices.Contains(p.plan.Verifies, app.ID) {
			ended[app.ID] = make(chan struct{})
		}
	}
	var wg sync.WaitGroup
	for _, app := range p.plan.Basis.Apps {
		end := ended[app.ID]
		if end == nil {
			continue
		}
		wg.Go(func() {
			defer close(end)
			for _, need := range app.Needs {
				if other := ended[need]; other != nil {
					select {
					case <-other:
					case <-ctx.Done():
					}
				}
			}
			if !p.isBad(app.ID) {
				p.app(ctx, app)
			}
		})
	}
	wg.Wait()
}

// app does the steps of one app and verifies that it serves. Where it does not
// after its files were changed, it gets the earlier ones back.
func (p *pass) app(ctx context.Context, app units.App) {
	if r := p.plan.Rollback(app.ID); r != nil {
		p.rollbackFailed(ctx, app, r.Service)
		return
	}
	steps := slices.DeleteFunc(p.plan.StepsOf(app.ID), func(a units.Action) bool { return p.isMet(ctx, app, a) })
	if err := p.begin(app, steps, p.have.Units); err != nil {
		if len(p.containers(app.ID)) > 0 {
			err = p.revertAdoption(ctx, app, err)
		}
		p.fail(app.ID, Failed, err, nil)
		return
	}
	patient, cancel := context.WithTimeout(ctx, p.host.WaitTimeout)
	defer cancel()
	changed := ""
	if len(steps) > 0 {
		changed = app.ID
	}
	isCalled, err := p.waitOrPreempt(patient, changed, func(waiting context.Context) error {
		if err := p.carryOut(patient, waiting, app, steps); err != nil || app.Request == units.Stop {
			return err
		}
		return p.servesAtLast(patient, waiting, app)
	})
	switch {
	case err == nil && len(steps) == 0: // it was only looked at
	case err == nil:
		p.removeParked(ctx, app)
		p.met(ctx, app, steps)
		p.succeed(app.ID)
	case len(p.containers(app.ID)) > 0 && (ctx.Err() != nil || patient.Err() == nil && !isUnseen(err)):
		log := p.log(ctx, app)
		p.fail(app.ID, NotServing, p.revertAdoption(ctx, app, err), log)
	case ctx.Err() != nil:
		p.fail(app.ID, Failed, fmt.Errorf("the run was called off: %w", err), nil)
	case isCalled:
		p.fail(app.ID, Starting, fmt.Errorf("whether it serves is still to be seen: %w", units.ErrPreempted), nil)
	case patient.Err() != nil:
		// Not a reason to go back: a database may take an hour to convert its files.
		p.fail(app.ID, Starting, fmt.Errorf("it is not up after %v, and goes on by itself", p.host.WaitTimeout), nil)
	case isUnseen(err):
		p.fail(app.ID, Failed, err, nil)
	case p.plan.IsRollbackable(app):
		log := p.log(ctx, app)
		p.fail(app.ID, RolledBack, p.rollBack(ctx, app, err), log)
	default:
		p.fail(app.ID, NotServing, err, p.log(ctx, app))
	}
	if p.result(app.ID).Outcome != Starting { // which is for a later pass to end
		p.endWork(app)
	}
}

// rollbackFailed gives an app that has fallen its earlier files back, or the containers their
// place in which it is. While what it needs is down as well, that may be all that is
// wrong with it.
func (p *pass) rollbackFailed(ctx context.Context, app units.App, service string) {
	log := p.log(ctx, app)
	why := fmt.Errorf("%s was started and has failed", service)
	if p.plan.Basis.IsInPlace(app.ID) {
		p.fail(app.ID, NotServing, p.revertAdoption(ctx, app, why), log)
		p.endWork(app)
		return
	}
	switch need, err := p.firstDownDependency(ctx, app); {
	case err != nil:
		p.fail(app.ID, Failed, err, nil)
	case need != "":
		p.fail(app.ID, NotServing, fmt.Errorf("%w, and %s, which it needs, is not up", why, need), log)
	default:
		p.fail(app.ID, RolledBack, p.rollBack(ctx, app, why), log)
		p.endWork(app)
	}
}

// firstDownDependency is the first that is not up of what an app needs.
func (p *pass) firstDownDependency(ctx context.Context, app units.App) (need string, err error) {
	if len(app.Needs) == 0 {
		return "", nil
	}
	services := make([]string, 0, len(app.Needs))
	for _, id := range app.Needs {
		services = append(services, units.ServiceName(id))
	}
	found, err := p.host.Services.Observe(ctx, services, false)
	if err != nil {
		return "", err
	}
	for i, service := range services {
		if found[service].Active != units.Active {
			return app.Needs[i], nil
		}
	}
	return "", nil
}

func (p *pass) endWork(app units.App) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history.ClearPending(app.ID)
}

// begin keeps, before anything is done, what is about to be done: a pass that is
// killed in between leaves word.
func (p *pass) begin(app units.App, steps []units.Action, found map[string]units.Unit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range steps {
		switch u := found[a.Target]; {
		case a.Kind == units.Stop: // which is to last, even if only half of it is done
		case a.Kind == units.Start && u.Active == units.Active: // which is no start
		case a.Reason == units.ReasonChangedWhileRestarting:
			// What systemd starts again and again is restarted by one job: where it is
			// found stopped, a person did that.
		case u.Active == units.Active && a.Kind == units.Restart:
			p.history.MarkJobPending(app, a.Target, u.Invocation)
		case u.Active == units.Active && a.Kind == units.ReloadService:
			p.history.MarkJobPending(app, a.Target, "") // what runs has the new files
		default:
			p.history.MarkPending(app, a.Target, u.Invocation)
		}
	}
	isTry := func(a units.Action) bool { return a.Repair && a.Kind != units.ReloadService } // which counts if it fails
	if i := slices.IndexFunc(steps, isTry); i >= 0 {
		p.history.Repaired(app, steps[i].Reason, p.started)
	}
	return p.keepHistory()
}

// carryOut does the steps of an app, each once what the one before it started serves.
// It waits for starts until waiting ends, for all else until ctx does.
func (p *pass) carryOut(ctx, waiting context.Context, app units.App, steps []units.Action) error {
	for _, a := range steps {
		if p.isMet(ctx, app, a) { // by systemd, while the parts before it were restarted
			continue
		}
		patience := ctx
		if a.Kind == units.Start || a.Kind == units.Restart || a.Kind == units.ReloadService {
			patience = waiting
		}
		err := p.serviceAct(patience, a)
		if a.Kind == units.ReloadService && patience.Err() == nil {
			p.reloaded(patience, app, a, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// serviceAct does an action that is systemd's to do.
func (p *pass) serviceAct(ctx context.Context, a units.Action) error {
	s := p.host.Services
	return p.act(a, func() error {
		switch a.Kind {
		case units.Start:
			return s.Start(ctx, a.Target)
		case units.Restart:
			if a.Alone {
				return s.RestartAlone(ctx, a.Target)
			}
			return s.Restart(ctx, a.Target)
		case units.Stop:
			return s.Stop(ctx, a.Target)
		case units.ReloadService:
			return s.ReloadService(ctx, a.Target)
		case units.ResetFailed:
			return s.ResetFailed(ctx, a.Target)
		case units.Recreate:
			return s.Recreate(ctx, a.Target)
		case units.ReloadNetwork:
			return s.ReloadNetwork(ctx)
		case units.Reload:
			return s.Reload(ctx)
		case units.Write, units.Remove, units.Adopt, units.Restore, units.Acquire, units.Leave:
		}
		return fmt.Errorf("%s is not for systemd to do", a.Kind)
	})
}

// waitOrPreempt does what waits, until others are to be looked at than the app that is
// changed.
func (p *pass) waitOrPreempt(ctx context.Context, changed string, do func(context.Context) error) (isCalled bool, err error) {
	if p.host.Preempt == nil {
		return false, do(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var ended sync.WaitGroup
	ended.Go(func() {
		err = do(ctx)
		cancel(nil)
	})
	select {
	case <-ctx.Done():
	case <-p.host.Preempt(changed):
		cancel(units.ErrPreempted)
	}
	ended.Wait()
	return errors.Is(err, units.ErrPreempted), err
}

// verify takes the second look: every part of the app is active, is the same
// start a settle time later, and answers. What was up for as long before needs no
// second one, unless this pass has reloaded it: a program may end because of what it read.
func (p *pass) verify(ctx context.Context, app units.App) error {
	first, err := p.up(ctx, app)
	if err != nil {
		return err
	}
	second := first
	up := app.Age(first)
	if slices.ContainsFunc(p.plan.StepsOf(app.ID), func(a units.Action) bool { return a.Kind == units.ReloadService }) {
		up = 0
	}
	if wait := p.host.StabilizationTime - up; wait > 0 {
		if err := pause(ctx, wait); err != nil {
			return err
		}
		if second, err = p.up(ctx, app); err != nil {
			return err
		}
	}
	for _, part := range app.Parts {
		if first[part.Service].Invocation != second[part.Service].Invocation {
			why := fmt.Sprintf("was started, ended, and was started again within %v", p.host.StabilizationTime)
			return &partError{part.Service, why, first}
		}
		if err := p.probeUntilServing(ctx, app, part, second); err != nil {
			return err
		}
	}
	return nil
}

// servesAtLast is verify, and has units.Decide decide about a part that does not serve since a
// part before it was restarted. systemd may start it again by itself meanwhile.
func (p *pass) servesAtLast(ctx, waiting context.Context, app units.App) error {
	for {
		err := p.verify(waiting, app)
		fault, ok := errors.AsType[*partError](err)
		if !ok {
			return err
		}
		if _, isStale := app.Stale(fault.service, fault.found); !isStale {
			return err
		}
		steps, isComing, lookErr := p.stale(waiting, app, fault.service)
		if lookErr != nil || !isComing {
			return errors.Join(err, lookErr)
		}
		if err := p.carryOut(ctx, waiting, app, steps); err != nil {
			return err
		}
	}
}

// stale is what units.Decide says of a part that does not serve, once it is not on its way.
// isComing: it was started meanwhile, or the steps start it.
func (p *pass) stale(ctx context.Context, app units.App, service string) (steps []units.Action, isComing bool, err error) {
	for {
		found, err := p.host.Services.Observe(ctx, app.Services(), false)
		if err != nil {
			return nil, false, unseenError{err}
		}
		part, isStale := app.Stale(service, found)
		if !isStale {
			return nil, true, nil
		}
		if !found[service].IsOnItsWay() {
			plan := p.decideStale(part, found)
			return plan.Steps, len(plan.Steps) > 0, p.begin(app, plan.Steps, found)
		}
		if err := pause(ctx, answerPause); err != nil {
			return nil, false, err
		}
	}
}

// decideStale decides about a part that does not serve since a part before it was restarted.
// Nothing of it is unfinished: its earlier files are for when this does not help.
func (p *pass) decideStale(part units.App, found map[string]units.Unit) units.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	basis := units.Basis{Desired: units.Desired{Apps: []units.App{part}, Scope: p.want.Scope}, Past: units.Past{History: p.history}}
	return units.Decide(basis, units.Observed{Units: found}, p.started)
}

// up demands that every part that this pass touched is active.
func (p *pass) up(ctx context.Context, app units.App) (map[string]units.Unit, error) {
	found, err := p.waitActive(ctx, app)
	if err != nil {
		return nil, err
	}
	for _, part := range app.Parts {
		u := found[part.Service]
		stopped := u.Active == units.Inactive && p.have.Units[part.Service].Active == units.Inactive
		if u.Active != units.Active && !stopped {
			return nil, &partError{part.Service, "was started and is " + describe(u), found}
		}
	}
	return found, nil
}

// unseenError is why a service could not be looked at. It says nothing of the app.
type unseenError struct{ error }

func (e unseenError) Unwrap() error { return e.error }

func isUnseen(err error) bool {
	_, ok := errors.AsType[unseenError](err)
	return ok
}

// waitActive waits for the parts that are still on their way: the job of the main
// service does not wait for those that it only pulls in.
func (p *pass) waitActive(ctx context.Context, app units.App) (map[string]units.Unit, error) {
	names := app.Services()
	for {
		found, err := p.host.Services.Observe(ctx, names, false)
		if err != nil {
			return nil, unseenError{err}
		}
		if !slices.ContainsFunc(names, func(n string) bool { return found[n].IsComing() }) {
			return found, nil
		}
		if err := pause(ctx, answerPause); err != nil {
			return nil, err
		}
	}
}

// pause waits for a time, or until ctx ends, whose cause it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func describe(u units.Unit) string {
	switch {
	case u.Restarting:
		return "restarting: it ended right after its start"
	case u.Active == units.Inactive:
		return "down again: it ended right after its start"
	case u.Active == units.Failed:
		return "down again: it failed"
	case u.Active == "":
		return "unknown to systemd"
	}
	return string(u.Active)
}

// probeUntilServing asks a service as often as its manifest allows. One that is loading,
// or waits for a person, is started.
func (p *pass) probeUntilServing(ctx context.Context, app units.App, part units.Part, found map[string]units.Unit) error {
	file, ok := app.Files.Find(part.File)
	u := found[part.Service]
	if !ok || u.Active != units.Active {
		return nil
	}
	var said string
	for try := range answerTries {
		if try > 0 {
			if err := pause(ctx, answerPause); err != nil {
				return err
			}
		}
		u.Health, said = p.host.Ask(ctx, file, part, u)
		if ctx.Err() != nil { // what it said was not heard to its end
			return context.Cause(ctx)
		}
		switch u.Health {
		case units.HealthUnknown, units.Serving, units.Loading, units.NeedsUser:
			return nil
		case units.Failing, units.Unhealthy:
		}
	}
	return &partError{part.Service, "runs and does not serve: " + said, found}
}

// partError is that a service does not serve, and how the services of its app were found.
type partError struct {
	service, why string
	found        map[string]units.Unit
}

func (e *partError) Error() string { return e.service + " " + e.why }

// A service that was started is asked this often, and given a moment in between.
const (
	answerTries = 5
	answerPause = 500 * time.Millisecond
)

// rollBack gives an app that does not serve its earlier files back and starts it
// with them. What came of it is in the error.
func (p *pass) rollBack(ctx context.Context, app units.App, why error) error {
	err := p.giveBack(app)
	p.mu.Lock()
	p.history.RollBack(app)
	p.mu.Unlock()
	earlier := app.With(p.plan.PreviousFiles(app.ID))
	main := units.Action{App: app.ID, Kind: units.Restart, Target: earlier.Parts[0].Service, Reason: units.ReasonRolledBack}
	if err == nil {
		err = p.beginRollBack(ctx, app, main.Target)
	}
	if err == nil {
		err = p.carryOut(ctx, ctx, earlier, []units.Action{
			{Kind: units.Reload, Reason: units.ReasonRolledBack},
			{App: app.ID, Kind: units.ResetFailed, Target: main.Target, Reason: units.ReasonRolledBack},
		})
	}
	patient, cancel := context.WithTimeout(ctx, p.host.WaitTimeout)
	defer cancel()
	if err == nil {
		_, err = p.waitOrPreempt(patient, app.ID, func(waiting context.Context) error {
			if err := p.serviceAct(waiting, main); err != nil {
				return err
			}
			return p.verify(waiting, earlier)
		})
	}
	switch {
	case err == nil:
		return fmt.Errorf("%w; it runs with its earlier files again", why)
	case errors.Is(err, units.ErrPreempted), ctx.Err() == nil && patient.Err() != nil:
		return fmt.Errorf("%w; its earlier files are back, and it is starting with them", why)
	}
	return fmt.Errorf("%w; its earlier files are back, and it does not serve with them either: %w", why, err)
}

// beginRollBack leaves word that a service which failed is started again: between the two, it
// looks as if a person had stopped it.
func (p *pass) beginRollBack(ctx context.Context, app units.App, service string) error {
	found, err := p.host.Services.Observe(ctx, []string{service}, false)
	if err != nil || found[service].Active != units.Failed {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history.MarkPending(app, service, found[service].Invocation)
	return p.keepHistory()
}

// logLines is how much of an app's log stands in a report.
const logLines = 10

// log is that of the first part that is not up, or else of the first.
func (p *pass) log(ctx context.Context, app units.App) []string {
	names := app.Services()
	found, err := p.host.Services.Observe(ctx, names, false)
	if i := slices.IndexFunc(names, func(n string) bool { return found[n].Active != units.Active }); err == nil && i > 0 {
		names[0], names[i] = names[i], names[0]
	}
	for _, name := range names {
		if lines := p.host.Services.Log(ctx, name, logLines); len(lines) > 0 {
			return lines
		}
	}
	return nil
}
