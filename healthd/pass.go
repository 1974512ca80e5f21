package healthd

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// work is what must be checked.
type work struct {
	all  bool
	apps map[string]units.Kind
	// urgent: some of it can't wait. lost: a unit file is missing.
	urgent, lost bool
}

func (w *work) add(h Hint) {
	w.urgent = w.urgent || h.Urgent
	if h.App == "" {
		w.all = true
		return
	}
	if w.apps == nil {
		w.apps = map[string]units.Kind{}
	}
	if h.Asked != "" || w.apps[h.App] == "" {
		w.apps[h.App] = h.Asked
	}
}

func (w *work) isEmpty() bool { return !w.all && len(w.apps) == 0 }

// of restricts the desired state to the work. Only a check of all apps covers an app whose
// manifest is invalid.
func (w *work) of(want units.Desired) units.Desired {
	isMeant := func(id string) bool { _, meant := w.apps[id]; return meant }
	all := w.all || slices.ContainsFunc(slices.Collect(maps.Keys(want.Refused())), isMeant)
	asked := func(app units.App) units.App {
		app.Request = w.apps[app.ID]
		return app
	}
	narrowed := want
	narrowed.Apps = nil
	narrowed.Complete = want.Complete && all
	for _, app := range want.Apps {
		if all || isMeant(app.ID) || slices.ContainsFunc(app.RestartAfter, isMeant) {
			narrowed.Apps = append(narrowed.Apps, asked(app))
		}
	}
	if !all {
		narrowed.Invalid, narrowed.Ungranted = nil, nil
	}
	return narrowed
}

// passResult is the result of a pass.
type passResult struct {
	work work
	// want is the desired state of all apps, meant the part that the pass was about.
	want, meant units.Desired
	report      reconcile.Report
	err         error
	took        time.Duration
	// diagnostics is the first error of each manifest, by app, and history that of repairs
	// after the pass.
	diagnostics map[string]string
	history     units.History
	// trials is when the trials of releases end, by app.
	trials map[string]time.Time
}

// isOther reports whether the pass is not about an app, and only restores its files.
func (e *passResult) isOther(app string) bool {
	_, isWanted := e.want.Find(app)
	_, isMeant := e.meant.Find(app)
	return isWanted && !isMeant
}

// arm starts the timer for the next pass.
func (d *daemon) arm() {
	if d.running || d.pending.isEmpty() {
		return
	}
	wait := minPassInterval - time.Since(d.begun)
	if d.pending.lost {
		wait = 0
	}
	d.start.Reset(max(0, wait))
}

// isLost reports whether a file is missing with which an app ran.
func (d *daemon) isLost(file string) bool {
	for _, ran := range d.ran {
		if f, ok := ran.Find(file); ok {
			return len(d.Host.Files.Lost(units.Set{f})) > 0
		}
	}
	return false
}

// begin runs a pass over the pending work, beside the loop.
func (d *daemon) begin(ctx context.Context) {
	e := passResult{work: d.pending}
	preempt, losses := newPreemption(), newLosses()
	d.pending, d.running, d.begun, d.preempt, d.losses = work{}, true, time.Now(), preempt, losses
	host := d.Host
	host.Preempt, host.Hinted, host.Losses = preempt.awaited, preempt.hinted, losses.wait
	host.Progress = func(a reconcile.Event) {
		if !e.isOther(a.App) {
			preempt.touch(a.App)
		}
		d.progress(a)
	}
	go func() {
		start := time.Now()
		desired := func() (units.Desired, error) {
			var err error
			e.want, err = d.Desired()
			e.diagnostics = d.Diagnostics()
			e.meant = e.work.of(e.want)
			losses.expect(e.want.Apps)
			return e.meant, err
		}
		e.report, e.err = reconcile.Run(ctx, desired, host)
		e.took = time.Since(start)
		e.history, _ = d.Host.Store.History() // the pass has read it, or reported an error
		if e.err == nil {
			e.trials = d.Trials(ctx, e.report, e.history)
		}
		d.ended <- e
	}()
}

// end handles the result of a pass.
func (d *daemon) end(ctx context.Context, e passResult) {
	d.running = false
	if d.preempt.isPreempted() {
		d.resume(e.report)
	}
	d.passes.count(e)
	d.logFailures(e)
	switch {
	// The failure is not the app's own: its repairs are limited by its budget.
	case e.err != nil, e.report.Has(reconcile.Failed):
		d.postpone()
		if !d.pending.urgent { // an event of the pass itself, such as its reload, is no reason to try again
			d.pending.all = false
		}
	default:
		if !e.report.Has(reconcile.Starting) { // the outcome is not known yet
			d.retry = 0
		}
		if !e.report.Due.IsZero() {
			d.lookAgain(max(0, time.Until(e.report.Due)))
		}
	}
	for _, end := range e.trials {
		d.lookAgain(max(0, time.Until(end)))
	}
	if e.err == nil || e.report.Units != nil { // a pass that failed may have observed the apps
		d.note(ctx, e)
		d.startProbers(ctx, e)
	}
	d.mayRelease = d.mayRelease || e.work.all
	d.arm()
}

// resume continues with the apps that the pass started and did not wait for.
func (d *daemon) resume(r reconcile.Report) {
	for _, a := range r.Results {
		if a.Outcome == reconcile.Starting && d.preempt.isTouched(a.App) {
			d.pending.add(Hint{App: a.App})
		}
	}
}

// remember records with which files an app runs.
func (d *daemon) remember(app units.App, found map[string]units.Unit) {
	delete(d.ran, app.ID)
	if app.Runs(found) {
		d.ran[app.ID] = app.Files
	}
}

// hasRun reports whether an app runs with its desired files, as far as passes have seen.
func (d *daemon) hasRun(app units.App) bool {
	ran, ok := d.ran[app.ID]
	return ok && ran.Equal(app.Files)
}

// logFailures logs a failure, once until it changes.
func (d *daemon) logFailures(e passResult) {
	list := journal.OfReport(e.report, e.err)
	text := fmt.Sprint(list)
	if text == d.failed {
		return
	}
	if e.work.all && !e.report.Has(reconcile.Starting) || len(list) > 0 {
		d.failed = text
	}
	for _, entry := range list {
		d.Log(entry)
	}
}

func (d *daemon) progress(e reconcile.Event) {
	if entry, ok := journal.OfAction(e); ok {
		d.Log(entry)
	}
}

// postpone checks all apps again after a pause that grows each time. It does not repeat
// requests, because they may have been carried out. A pass during the pause does not count as
// another try.
func (d *daemon) postpone() {
	if !d.againAt.IsZero() && time.Until(d.againAt) <= d.retry {
		return
	}
	d.retry = min(max(2*d.retry, firstRetry), lastRetry)
	d.lookAgain(d.retry)
}

// lookAgain checks all apps after a while, or at the next resync if that is earlier.
func (d *daemon) lookAgain(after time.Duration) {
	at := time.Now().Add(after)
	if d.againAt.IsZero() || at.Before(d.againAt) {
		d.againAt = at
		d.again.Reset(after)
	}
}

// jitter is a duration that is randomly up to a tenth shorter or longer.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/5*float64(d))
}
