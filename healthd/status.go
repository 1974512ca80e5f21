package healthd

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/status"
)

// Status is the status of all apps at one time.
type Status struct {
	// Apps is sorted by id.
	Apps   []App
	Passes Passes
	Watch  Watch
}

// Watch is why healthd does not watch everything that it should.
type Watch struct {
	// Errno is the error of the kernel, 0 if healthd watches everything.
	Errno syscall.Errno
	Error string
}

// Reason is the reason for the error.
func (w Watch) Reason() units.Reason { return status.WatchReason(w.Errno) }

func watchOf(err error) Watch {
	if err == nil {
		return Watch{}
	}
	errno, isOfKernel := errors.AsType[syscall.Errno](err)
	if !isOfKernel {
		errno = syscall.EIO
	}
	return Watch{errno, err.Error()}
}

// App is the status of an app, and what only healthd knows about it.
type App struct {
	status.App
	// Latency is how long the last answer took, 0 if there was none.
	Latency time.Duration
	// Restarted is how often systemd has restarted its services since healthd started.
	Restarted uint64
	// Repairs is how many actions were done for it, by kind.
	Repairs map[units.Kind]int
	// PassError is the error of the last pass that changed something, until the app is as it
	// should be; PassLog is the last lines that the app wrote then.
	PassError string
	PassLog   []string

	// scene is the observed state of the app, without the answers of its services.
	scene status.Scene
	// unhealthy: the app was unhealthy, and has not served since.
	unhealthy bool
}

// Passes counts the passes so far.
type Passes struct {
	// Total is all passes, Idle those with nothing to do, Failed those that failed as a whole.
	Total, Idle, Failed int
	// Last is how long the last one took.
	Last time.Duration
	// Drift is how many files were missing or differed.
	Drift int
}

func (p *Passes) count(e passResult) {
	p.Total++
	p.Last = e.took
	switch {
	case e.err != nil:
		p.Failed++
	case !e.report.Changed():
		p.Idle++
	}
	for _, a := range e.report.Actions {
		if a.Kind == units.Write {
			p.Drift++
		}
	}
}

// note records what a pass found about apps.
func (d *daemon) note(ctx context.Context, e passResult) {
	d.dirty = true
	for id := range e.meant.Refused() {
		delete(d.planned, id)
	}
	for _, app := range e.apps() {
		d.planned[app.ID] = app
	}
	for _, app := range e.report.Apps {
		d.remember(app, e.report.Units)
	}
	d.countRestarts(e.report)
	results := resultsOf(e.report)
	for id, scene := range e.scenes() {
		a := d.appOf(id)
		if len(scene.Services) == 0 && !e.meant.Complete { // such a pass does not observe them
			scene.Services = a.scene.Services
		}
		a.scene = scene
		d.refresh(id)
		a.judge(results[id])
		d.readLines(ctx, a, e.work.all)
	}
	d.forget(e)
}

// countRestarts counts the automatic restarts. systemd's own count begins again with each start by
// a job and with each reset-failed, which that of a metric must not.
func (d *daemon) countRestarts(r reconcile.Report) {
	isFirst := d.restarts == nil // what was before healthd started is not counted
	if isFirst {
		d.restarts = map[string]uint32{}
	}
	for _, app := range r.Apps {
		for _, service := range app.Services() {
			now, before := r.Units[service].Restarts, d.restarts[service]
			d.restarts[service] = now
			if now < before {
				before = 0
			}
			if !isFirst {
				d.appOf(app.ID).Restarted += uint64(now - before)
			}
		}
	}
}

// forget drops removed apps, and counts the actions for the others.
func (d *daemon) forget(e passResult) {
	wanted := map[string]bool{}
	for _, app := range e.want.Apps {
		wanted[app.ID] = true
	}
	for _, a := range e.report.Actions {
		if a.App != "" && a.Changes() && wanted[a.App] {
			d.appOf(a.App).Repairs[a.Kind]++
		}
	}
	for id := range e.want.Refused() {
		wanted[id] = true
	}
	maps.DeleteFunc(d.apps, func(id string, _ *App) bool { return !wanted[id] })
	maps.DeleteFunc(d.planned, func(id string, _ units.App) bool { return !wanted[id] })
	maps.DeleteFunc(d.ran, func(id string, _ units.Set) bool { return !wanted[id] })
	maps.DeleteFunc(d.restarts, func(service string, _ uint32) bool { return !wanted[units.AppOf(service)] })
	maps.DeleteFunc(d.lines, func(unit string, _ unitLines) bool {
		return !wanted[cmp.Or(units.AppOfPull(unit), units.AppOf(unit))]
	})
}

func (d *daemon) appOf(id string) *App {
	a := d.apps[id]
	if a == nil {
		a = &App{App: status.App{ID: id}, Repairs: map[units.Kind]int{}}
		d.apps[id] = a
	}
	return a
}

// apps is the apps of a pass, and those that run although their manifests never were valid: no pass
// has compiled them, so what is known about them is in their files.
func (e passResult) apps() []units.App {
	apps := slices.Clone(e.report.Apps)
	for _, id := range e.meant.Invalid {
		isKnown := slices.ContainsFunc(apps, func(a units.App) bool { return a.ID == id })
		if app := units.AsRendered(id, e.report.Ours.Of(id)); !isKnown && len(app.Parts) > 0 {
			apps = append(apps, app)
		}
	}
	return apps
}

// scenes is what a pass observed of its apps, with what it could not do, and without the effects of
// its actions: the next pass observes those.
func (e passResult) scenes() map[string]status.Scene {
	look := status.Look{Want: e.want, Units: e.report.Units, History: e.history, Actions: slices.Clone(e.report.Undone), Trials: e.trials}
	for _, a := range e.report.Actions {
		if a.Kind == units.Leave {
			look.Actions = append(look.Actions, a)
		}
	}
	files, apps := map[string]units.Set{}, e.apps()
	for _, app := range apps {
		files[app.ID] = app.Files
	}
	ids := slices.AppendSeq(slices.Collect(maps.Keys(files)), maps.Keys(e.meant.Refused()))
	scenes, services := look.Scenes(ids), status.Services(apps, nil, e.report.Units)
	for id, scene := range scenes {
		for _, name := range services[id] {
			file, _ := files[id].Find(units.ContainerFile(units.ContainerOf(name)))
			scene.Services = append(scene.Services, status.Service{Name: name, Unit: e.report.Units[name], File: file})
		}
		scene.Diagnostic = e.diagnostics[id]
		scenes[id] = scene
	}
	return scenes
}

// resultsOf is the results of a pass by app.
func resultsOf(r reconcile.Report) map[string]reconcile.Result {
	list := make(map[string]reconcile.Result, len(r.Results))
	for _, a := range r.Results {
		list[a.App] = a
	}
	return list
}

// judge records the error of a pass. It counts until another action is taken for the app, or
// until nothing is left to do, for example because its file could be written.
func (a *App) judge(result reconcile.Result) {
	hasChanged := result.Outcome != "" && result.Outcome != reconcile.Unchanged
	if hasChanged || a.State == units.PhaseRunning && a.Reason == "" {
		a.PassError, a.PassLog = result.Text(), result.Log
	}
}

// refresh computes the status of an app again.
func (d *daemon) refresh(id string) {
	a := d.apps[id]
	if a == nil {
		return
	}
	scene := a.scene
	scene.Services, scene.Lines = slices.Clone(scene.Services), map[string][]string{}
	for i, v := range scene.Services {
		m := d.probers[v.Name]
		if m == nil || !m.hasAnswered || m.invocation != v.Unit.Invocation {
			continue
		}
		v.Answer = m.answer
		v.Answer.Health = d.health.health(v.Name, m.invocation)
		scene.Services[i] = v
	}
	for _, unit := range a.units() {
		scene.Lines[unit] = d.lines[unit].lines
	}
	now := status.Of(scene)
	isUnhealthy := func(p status.Part) bool { return p.Health == units.Unhealthy }
	unhealthy := now.Level != status.Serving && now.Level != status.Synced && (a.unhealthy || slices.ContainsFunc(now.Parts, isUnhealthy))
	d.dirty = d.dirty || unhealthy != a.unhealthy || !reflect.DeepEqual(&now, &a.App)
	a.App, a.unhealthy = now, unhealthy
	d.noteLimits(a)
	d.measure(a)
}

// measure records how long the last answers of an app took.
func (d *daemon) measure(a *App) {
	latency := time.Duration(0)
	for _, v := range a.scene.Services {
		if m := d.probers[v.Name]; m != nil {
			latency = max(latency, m.latency)
		}
	}
	d.stale = d.stale || latency != a.Latency
	a.Latency = latency
}

// units is the units of an app whose logs may explain a failure.
func (a *App) units() []string {
	list := make([]string, 0, len(a.scene.Services)+1)
	for _, v := range a.scene.Services {
		list = append(list, v.Name)
	}
	return append(list, units.PullOf(a.ID))
}

// unitLines is the last lines that a unit wrote in one of its starts.
type unitLines struct {
	unit, app string
	// start identifies the start that failed.
	start string
	lines []string
}

// readers is how many logs are read at the same time.
const readers = 4

// readLines reads the last log lines of an app's failed units, beside the loop. If the journal
// does not have them yet, the next check of all apps reads them.
func (d *daemon) readLines(ctx context.Context, a *App, again bool) {
	for _, unit := range a.Unexplained() {
		i := slices.IndexFunc(a.scene.Services, func(v status.Service) bool { return v.Name == unit })
		start := string(a.scene.Pull)
		if i >= 0 {
			start = a.scene.Services[i].Unit.Invocation + string(a.scene.Services[i].Unit.Phase())
		}
		known, isKnown := d.lines[unit]
		if isKnown && known.start == start && (len(known.lines) > 0 || !again) {
			continue
		}
		known.unit, known.app, known.start = unit, a.ID, start
		d.lines[unit] = known
		go d.readLinesOf(ctx, known)
	}
}

func (d *daemon) readLinesOf(ctx context.Context, l unitLines) {
	select {
	case d.reading <- struct{}{}:
	case <-ctx.Done():
		return
	}
	l.lines = d.LastLines(ctx, l.unit)
	<-d.reading
	select {
	case d.read <- l:
	case <-ctx.Done():
	}
}

// noteLines records lines, unless the unit was started again meanwhile.
func (d *daemon) noteLines(l unitLines) {
	if d.lines[l.unit].start != l.start {
		return
	}
	d.lines[l.unit] = l
	d.refresh(l.app)
}

// publish publishes a change, once there has been a pass.
func (d *daemon) publish() {
	if !d.dirty || d.passes.Total == 0 {
		return
	}
	d.dirty, d.stale = false, false
	s := Status{Passes: d.passes, Apps: make([]App, 0, len(d.apps)), Watch: watchOf(cmp.Or(d.noFiles, d.noGroups))}
	for _, id := range slices.Sorted(maps.Keys(d.apps)) {
		a := *d.apps[id]
		a.Repairs = maps.Clone(a.Repairs)
		s.Apps = append(s.Apps, a)
	}
	for _, e := range transitions(d.published, s) {
		d.Log(e)
	}
	d.published = s
	d.Publish(s)
}
