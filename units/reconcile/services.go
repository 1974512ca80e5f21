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

// services carries out the steps of every app, and verifies apps without steps that an unfinished
// pass changed. Apps run concurrently. An app that needs another one waits until that one serves,
// or the pass is finished with it: the times for which started apps are watched overlap.
func (p *pass) services(ctx context.Context) {
	for _, app := range p.plan.Basis.Apps {
		if p.plan.HasSteps(app.ID) || p.plan.Rollback(app.ID) != nil || slices.Contains(p.plan.Verifies, app.ID) {
			p.courses[app.ID] = newCourse()
		}
	}
	var wg sync.WaitGroup
	for _, app := range p.plan.Basis.Apps {
		own := p.courses[app.ID]
		if own == nil {
			continue
		}
		wg.Go(func() {
			defer own.end()
			for _, need := range p.needs(app) {
				_ = await(ctx, need.serving) // a canceled pass carries out no steps
			}
			if !p.isBad(app.ID) {
				p.app(ctx, app)
			}
		})
	}
	wg.Wait()
}

// forgetRestarts makes systemd forget the automatic restarts of services that keep running.
func (p *pass) forgetRestarts(ctx context.Context) {
	for _, a := range p.plan.Resets {
		if err := p.serviceAct(ctx, a); err != nil {
			p.fail(a.App, Failed, err, nil)
		}
	}
}

// app carries out the steps of one app and verifies it. If the app does not serve after its files
// changed, it returns to its previous files.
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
		err := p.carryOut(patient, waiting, app, steps)
		if app.Request == units.Stop {
			if err == nil {
				err = p.untilStopped(patient, app)
			}
			return err
		}
		if err == nil {
			err = p.renew(waiting, app, steps)
		}
		if err == nil {
			err = p.servesAtLast(patient, waiting, app)
		}
		return p.withNeeds(patient, waiting, app, err)
	})
	switch {
	case errors.Is(err, errDetached):
		p.met(ctx, app, steps)
		p.detached(app)
		return // a later pass finishes it
	case err == nil && len(steps) == 0: // it was only verified
	case err == nil:
		p.removeParked(ctx, app)
		p.met(ctx, app, steps)
		p.succeed(app.ID)
	case len(p.containers(app.ID)) > 0 && (ctx.Err() != nil || patient.Err() == nil && !isUnseen(err)):
		log := p.log(ctx, app)
		p.fail(app.ID, NotServing, p.revertAdoption(ctx, app, err), log)
	case ctx.Err() != nil:
		p.fail(app.ID, Failed, fmt.Errorf("the pass was interrupted: %w", err), nil)
	case isCalled:
		p.fail(app.ID, Starting, fmt.Errorf("not verified yet: %w", units.ErrPreempted), nil)
	case patient.Err() != nil:
		// No reason for a rollback: a database may take an hour to convert its files.
		p.fail(app.ID, Starting, fmt.Errorf("it is not up after %v; it continues to start", p.host.WaitTimeout), nil)
	case isUnseen(err):
		p.fail(app.ID, Failed, err, nil)
	case p.plan.IsRollbackable(app):
		log := p.log(ctx, app)
		p.fail(app.ID, RolledBack, p.rollBack(ctx, app, err), log)
	default:
		p.fail(app.ID, NotServing, err, p.log(ctx, app))
		if unreadable := p.plan.Unreadable(app); unreadable != nil {
			p.result(app.ID).NotRestored = unreadable.Error()
		}
	}
	if p.result(app.ID).Outcome != Starting { // a later pass finishes it
		p.endWork(app)
	}
}

// rollbackFailed rolls back an app that failed, or reverts its adoption. It does neither while an
// app that it needs is down: that may be the only cause.
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

// firstDownDependency is the first app that an app needs and that is not up.
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

// begin records what is about to be done, so that the next pass can resume after a kill.
func (p *pass) begin(app units.App, steps []units.Action, found map[string]units.Unit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range steps {
		switch u := found[a.Target]; {
		case a.Kind == units.Stop: // a stop lasts, even if it is half done
		case a.Kind == units.ResetFailed && u.Active == units.Active: // only its start limit is reset
		case a.Kind == units.Start && u.Active == units.Active: // this is no start
		case a.Reason == units.ReasonChangedWhileRestarting:
			// One job restarts a service that systemd restarts repeatedly: if it is stopped
			// afterwards, an operator stopped it.
		case u.Active == units.Active && a.Kind == units.Restart:
			p.history.MarkJobPending(app, a.Target, u.Invocation)
		case u.Active == units.Active && a.Kind == units.ReloadService:
			p.history.MarkJobPending(app, a.Target, "") // the running service has the new files
		default:
			p.history.MarkPending(app, a.Target, u.Invocation)
		}
	}
	isTry := func(a units.Action) bool { return a.Repair && a.Kind != units.ReloadService } // a reload counts only if it fails
	if i := slices.IndexFunc(steps, isTry); i >= 0 {
		p.history.Repaired(app, steps[i].Reason, p.started)
	}
	return p.keepHistory()
}

// carryOut carries out the steps of an app, each once the service of the step before serves. It
// waits for starts until waiting ends, and for everything else until ctx ends.
func (p *pass) carryOut(ctx, waiting context.Context, app units.App, steps []units.Action) error {
	for _, a := range steps {
		if p.isMet(ctx, app, a) { // systemd did it while earlier parts restarted
			continue
		}
		patience := ctx
		if a.Kind == units.Start || a.Kind == units.Restart || a.Kind == units.ReloadService {
			patience = waiting
		}
		if a.Kind == app.Request && a.Kind != units.Stop {
			if err := p.untilStopped(patience, app); err != nil {
				return err
			}
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

// renew restarts the parts of an app that run with an earlier unit file although the steps have started
// the app: another unit had systemd start it before systemd read the new file, and to start what runs does
// nothing.
func (p *pass) renew(ctx context.Context, app units.App, steps []units.Action) error {
	isStart := func(a units.Action) bool { return a.Kind == units.Start }
	if !p.plan.Writes(app.ID) || !slices.ContainsFunc(steps, isStart) {
		return nil
	}
	for _, part := range app.PartsInOrder() {
		found, err := p.look(ctx, []string{part.Service})
		if err != nil {
			return unseenError{err}
		}
		if digest := found[part.Service].Digest; digest == "" || digest == part.Digest {
			continue
		}
		a := units.Action{App: app.ID, Kind: units.Restart, Target: part.Service, Reason: units.ReasonDigestDiffers}
		if err := p.serviceAct(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// serviceAct carries out an action of systemd.
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
		return fmt.Errorf("systemd has no action %s", a.Kind)
	})
}

// waitOrPreempt calls do, and cancels its wait when an app other than changed has to be checked.
func (p *pass) waitOrPreempt(ctx context.Context, changed string, do func(context.Context) error) (isCalled bool, err error) {
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

// verify checks twice that every part of the app is active and answers: the second check, after
// StabilizationTime, must find the same invocation. A part that was up for that long needs no
// second check, unless this pass reloaded it: a program may exit because of what it read.
func (p *pass) verify(ctx context.Context, app units.App, watch func(context.Context, units.App, map[string]units.Unit, time.Duration) error) error {
	first, err := p.up(ctx, app)
	if err != nil {
		return err
	}
	second := first
	if wait := p.remaining(app, first); wait > 0 {
		if err := watch(ctx, app, first, wait); err != nil {
			return err
		}
		if second, err = p.up(ctx, app); err != nil {
			return err
		}
	}
	for _, part := range app.Parts {
		if first[part.Service].Invocation != second[part.Service].Invocation {
			why := fmt.Sprintf("was started, exited, and was restarted within %v", p.host.StabilizationTime)
			return &partError{part.Service, why, first}
		}
		if err := p.probeUntilServing(ctx, app, part, second); err != nil {
			return err
		}
	}
	return nil
}

// remaining is how much longer an app has to stay up before it counts as started.
func (p *pass) remaining(app units.App, found map[string]units.Unit) time.Duration {
	if slices.ContainsFunc(p.plan.StepsOf(app.ID), func(a units.Action) bool { return a.Kind == units.ReloadService }) {
		return p.host.StabilizationTime
	}
	return p.host.StabilizationTime - app.Age(found)
}

// servesAtLast is verify, and has units.Decide decide about a part that stopped serving when a
// part before it restarted. systemd may restart it by itself meanwhile.
func (p *pass) servesAtLast(ctx, waiting context.Context, app units.App) error {
	for {
		err := p.verify(waiting, app, p.watch)
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

// stale is the steps of units.Decide for a part that does not serve, once it is neither starting
// nor stopping. isComing: it was started meanwhile, or the steps start it.
func (p *pass) stale(ctx context.Context, app units.App, service string) (steps []units.Action, isComing bool, err error) {
	for {
		found, err := p.look(ctx, app.Services())
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
		if err := pause(ctx); err != nil {
			return nil, false, err
		}
	}
}

// decideStale decides about a part that stopped serving when a part before it restarted. It does
// not consider a rollback, which follows if this does not help.
func (p *pass) decideStale(part units.App, found map[string]units.Unit) units.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	basis := units.Basis{Desired: units.Desired{Apps: []units.App{part}, Scope: p.want.Scope}, Past: units.Past{History: p.history}}
	return units.Decide(basis, units.Observed{Units: found}, p.started)
}

// up requires that every part that this pass changed is active.
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

// look observes services of an app, and fails if the state of a container can't be read.
func (p *pass) look(ctx context.Context, services []string) (map[string]units.Unit, error) {
	found, err := p.host.Services.Observe(ctx, services, false)
	if err != nil {
		return nil, err
	}
	return found, units.Unreadable(found, services)
}

// unseenError is why a service could not be observed. It says nothing about the app.
type unseenError struct{ error }

func (e unseenError) Unwrap() error { return e.error }

func isUnseen(err error) bool {
	_, ok := errors.AsType[unseenError](err)
	return ok
}

// waitActive waits for the parts that are still starting, and not for those whose start has failed:
// the job of the main service does not wait for parts that it only wants.
func (p *pass) waitActive(ctx context.Context, app units.App) (map[string]units.Unit, error) {
	names := app.Services()
	for {
		found, err := p.look(ctx, names)
		if err != nil {
			return nil, unseenError{err}
		}
		if !slices.ContainsFunc(names, func(n string) bool { return found[n].IsComing() && !found[n].IsRetried() }) {
			return found, nil
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// untilStopped waits until no part of an app is stopping. The job that stops the main service does not wait for the
// other parts. systemd counts each try to start one of them before it has stopped as a start, which can
// exceed its start limit.
func (p *pass) untilStopped(ctx context.Context, app units.App) error {
	names := app.Services()
	for {
		found, err := p.host.Services.Observe(ctx, names, false)
		if err != nil {
			return unseenError{err}
		}
		isStopping := func(n string) bool { return found[n].Active == units.Deactivating || found[n].Job == "stop" }
		if !slices.ContainsFunc(names, isStopping) {
			return nil
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits for pauseTime, or until ctx ends, and then returns its cause.
func pause(ctx context.Context) error {
	timer := time.NewTimer(pauseTime)
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
	case u.IsRetried():
		return "restarting: it exited right after its start"
	case u.Active == units.Inactive:
		return "down again: it exited right after its start"
	case u.Active == units.Failed:
		return "down again: it failed"
	case u.Active == "":
		return "unknown to systemd"
	}
	return string(u.Active)
}

// probeUntilServing probes a service as often as its manifest allows. A service that is loading or
// waits for a person counts as started.
func (p *pass) probeUntilServing(ctx context.Context, app units.App, part units.Part, found map[string]units.Unit) error {
	file, ok := app.Files.Find(part.File)
	u := found[part.Service]
	if !ok || u.Active != units.Active {
		return nil
	}
	var said string
	for try := range answerTries {
		if try > 0 {
			if err := pause(ctx); err != nil {
				return err
			}
		}
		u.Health, said = p.host.Ask(ctx, file, part, u)
		if ctx.Err() != nil { // its answer is incomplete
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

// partError says that a service does not serve, and holds the observed services of its app.
type partError struct {
	service, why string
	found        map[string]units.Unit
}

func (e *partError) Error() string { return e.service + " " + e.why }

const (
	// answerTries is how often a started service is probed before it counts as not serving.
	answerTries = 5
	// pauseTime is the time between two probes or observations of services that are starting.
	pauseTime = 500 * time.Millisecond
)

// rollBack restores the previous files of an app that does not serve, and restarts it. It returns
// why, with the outcome. If it is killed, the next pass finishes the rollback and does not try the
// files again.
func (p *pass) rollBack(ctx context.Context, app units.App, why error) error {
	p.mu.Lock()
	p.history.RollBack(app)
	err := p.keepHistory()
	p.mu.Unlock()
	err = errors.Join(err, p.giveBack(app))
	earlier := app.With(p.plan.PreviousFiles(app.ID))
	before, restart := units.RollbackSteps(earlier)
	if err == nil {
		err = p.beginRollBack(ctx, app, restart.Target)
	}
	if err == nil {
		err = p.carryOut(ctx, ctx, earlier, before)
	}
	patient, cancel := context.WithTimeout(ctx, p.host.WaitTimeout)
	defer cancel()
	if err == nil {
		_, err = p.waitOrPreempt(patient, app.ID, func(waiting context.Context) error {
			if err := p.serviceAct(waiting, restart); err != nil {
				return err
			}
			return p.verify(waiting, earlier, p.watchReturned)
		})
	}
	switch {
	case err == nil:
		return fmt.Errorf("%w; it runs with its previous files again", why)
	case errors.Is(err, units.ErrPreempted), ctx.Err() == nil && patient.Err() != nil:
		return fmt.Errorf("%w; its previous files are restored, and it is starting with them", why)
	}
	return fmt.Errorf("%w; its previous files are restored, and it does not serve with them either: %w", why, err)
}

// beginRollBack records that a failed service is about to restart. Between reset-failed and the
// start it looks as if an operator had stopped it.
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

// logLines is the number of log lines in a report.
const logLines = 10

// log is the log of the first part that is not up, otherwise of the first part.
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
