package healthd

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// prober asks one start of one service again and again. It ends with that start.
type prober struct {
	app, service string
	// invocation is the start that is watched, file what it was started from.
	invocation string
	file       string
	end        context.CancelFunc
	since      time.Time
	// failures is how often in a row it did not answer as it should.
	failures int
	serving  probe.Target
	// last is what it said last; before that, its monitor is nil.
	last result
}

// result is what a service said.
type result struct {
	prober  *prober
	level   string
	outcome probe.Outcome
}

// The levels that are asked for. A level above another is asked for only where
// that one is reached.
const (
	alive   = "alive"
	serving = "serving"
	synced  = "synced"
)

// startProbers begins to ask what runs since the pass, and ends asking what does not
// run any more.
func (d *daemon) startProbers(ctx context.Context, e passResult) {
	seen := map[string]bool{}
	for _, app := range d.planned {
		for _, part := range app.Parts {
			seen[part.Service] = true
			u, looked := e.report.Units[part.Service]
			if looked {
				d.payloads[part.Service] = u.Payload
			}
			file, ok := app.Files.Find(part.File)
			if !looked || !ok {
				continue
			}
			d.probePart(ctx, app.ID, part.Service, string(file.Content), u)
		}
	}
	for service, m := range d.probers {
		if !seen[service] {
			d.stopProber(m)
		}
	}
	for id := range d.planned {
		d.level(id)
	}
	d.follow(seen)
}

// follow follows the control groups of the services that there are.
func (d *daemon) follow(services map[string]bool) {
	list := map[string]string{}
	for service, payload := range d.payloads {
		if payload != "" && services[service] {
			list[payload] = units.AppOf(service)
		}
	}
	maps.DeleteFunc(d.payloads, func(service, _ string) bool { return !services[service] })
	d.Follow(list)
}

func (d *daemon) stopProber(m *prober) {
	m.end()
	delete(d.probers, m.service)
	d.health.forget(m.service)
}

func (d *daemon) probePart(ctx context.Context, app, service, file string, u units.Unit) {
	m := d.probers[service]
	isUp := u.Active == units.Active
	if m != nil && isUp && m.invocation == u.Invocation && m.file == file {
		return
	}
	if m != nil {
		d.stopProber(m)
	}
	if !isUp {
		return
	}
	targets := targetsOf(file)
	if len(targets) == 0 {
		return
	}
	m = &prober{app: app, service: service, invocation: u.Invocation, file: file, since: time.Now(), serving: targets[serving]}
	ctx, m.end = context.WithCancel(ctx)
	d.probers[service] = m
	d.startProbeLoop(ctx, m, targets)
}

// targetsOf reads the probes that a unit file carries, by level.
func targetsOf(file string) map[string]probe.Target {
	mark, _ := units.ReadOwnership([]byte(file))
	list := map[string]probe.Target{}
	for _, level := range []string{serving, synced} {
		if t, err := probe.Parse([]byte(mark.Probe(level))); err == nil {
			list[level] = t
		}
	}
	if _, ok := list[serving]; !ok {
		return nil
	}
	if t, err := probe.Parse([]byte(mark.Alive)); err == nil && mark.Alive != mark.Probe(serving) {
		list[alive] = t
	}
	return list
}

// probeLoop is what a service is asked again and again. Each has its own turn, so
// that one that hangs holds up nobody. Between two answers it takes a timer and no
// goroutine, whose stack would be most of the memory that watching takes.
type probeLoop struct {
	*daemon
	prober  *prober
	targets map[string]probe.Target
	timer   *time.Timer
	// syncedNext is when it is to be asked again whether it is synced.
	syncedNext time.Time
}

// startProbeLoop asks until the context ends.
func (d *daemon) startProbeLoop(ctx context.Context, m *prober, targets map[string]probe.Target) {
	q := &probeLoop{daemon: d, prober: m, targets: targets}
	q.timer = time.AfterFunc(time.Hour, func() { q.ask(ctx) })
	q.timer.Reset(jitter(min(targets[serving].Interval, time.Second)))
	context.AfterFunc(ctx, func() { q.timer.Stop() })
}

// ask asks once, and sees to the next time.
func (q *probeLoop) ask(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	level, o := q.answer(ctx)
	select {
	case q.results <- result{q.prober, level, o}:
		interval := q.targets[serving].Interval
		q.timer.Reset(time.Until(q.aligned(jitter(pace(interval, o)), interval)))
	case <-ctx.Done():
	}
}

// answer is what the service says, and how far it is, empty for as far as it was.
func (q *probeLoop) answer(ctx context.Context) (level string, o probe.Outcome) {
	o = q.Probe(ctx, q.targets[serving])
	t, ok := q.targets[synced]
	switch {
	case o.State != probe.Serving:
		return q.fallBack(ctx, q.targets, o), o
	case !ok:
		return serving, o
	case time.Now().Before(q.syncedNext):
		return "", o
	}
	q.syncedNext = time.Now().Add(t.Interval)
	further := q.Probe(ctx, t)
	if further.State == probe.Serving {
		return synced, o
	}
	o.Detail, o.Progress = further.Detail, further.Progress
	return serving, o
}

// pace is the time until a service is asked again. One that does not answer is
// asked more often, so that its retries bridge a moment and not minutes.
func pace(interval time.Duration, o probe.Outcome) time.Duration {
	if o.State == probe.Unreachable || o.State == probe.Wrong {
		return max(interval/4, min(interval, time.Second))
	}
	return interval
}

// aligned is the moment about wait from now at which others are asked as well. To
// wake up costs far more than a question: for a processor that has slept, and
// for caches that others have filled since.
func (d *daemon) aligned(wait, interval time.Duration) time.Time {
	beat := min(interval/5, time.Second)
	return d.epoch.Add((time.Since(d.epoch) + wait).Round(beat))
}

// fallBack is the level of a service that does not serve.
func (d *daemon) fallBack(ctx context.Context, targets map[string]probe.Target, o probe.Outcome) string {
	t, ok := targets[alive]
	switch {
	case o.State == probe.Loading || o.State == probe.NeedsUser, ok && d.Probe(ctx, t).State == probe.Serving:
		return alive
	}
	return ""
}

// handleResult takes an answer in. Only a change of what is to be done wants a pass.
func (d *daemon) handleResult(a result) {
	m := a.prober
	if d.probers[m.service] != m {
		return // of an earlier start
	}
	isSilent := a.outcome.State == probe.Unreachable || a.outcome.State == probe.Wrong
	if isSilent && d.running && d.preempt.isTouched(m.app) {
		return // for what is being done to it
	}
	if a.level == "" && a.outcome.State == probe.Serving {
		a.level = m.last.level
		if a.level != synced {
			a.level, a.outcome.Detail, a.outcome.Progress = serving, m.last.outcome.Detail, m.last.outcome.Progress
		}
	}
	before := d.health.health(m.service, m.invocation)
	now := m.classify(a.outcome, time.Now())
	m.last = a
	d.health.set(m.service, cachedHealth{m.invocation, now, a.outcome.Detail})
	d.level(m.app)
	if before != now && needsPass[now] {
		d.pending.add(Hint{App: m.app})
		d.arm()
	}
}

// needsPass is what a service has turned to that may want something done. One
// that does not answer may be paused.
var needsPass = map[units.Health]bool{units.Failing: true, units.Unhealthy: true}

// classify says what an answer means after those before it.
func (m *prober) classify(o probe.Outcome, now time.Time) units.Health {
	switch o.State {
	case probe.Serving, probe.Loading, probe.NeedsUser:
		m.failures = 0
		return map[probe.State]units.Health{
			probe.Serving: units.Serving, probe.Loading: units.Loading, probe.NeedsUser: units.NeedsUser,
		}[o.State]
	case probe.Unreachable, probe.Wrong:
	}
	if o.Reason == probe.NotAsked || o.Reason == probe.NoCredentials {
		return units.HealthUnknown // which says nothing about the app
	}
	m.failures++
	if m.failures < m.serving.Retries || now.Sub(m.since) < m.serving.StartPeriod {
		return units.Failing
	}
	return units.Unhealthy
}

// healthCache is what was found of each service, for passes that run beside the loop.
type healthCache struct {
	mu   sync.Mutex
	list map[string]cachedHealth
}

type cachedHealth struct {
	invocation string
	health     units.Health
	detail     string
}

func newHealthCache() *healthCache { return &healthCache{list: map[string]cachedHealth{}} }

func (v *healthCache) set(service string, found cachedHealth) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list[service] = found
}

func (v *healthCache) forget(service string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.list, service)
}

// health is what was found of a start of a service.
func (v *healthCache) health(service, invocation string) units.Health {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found := v.list[service]; found.invocation == invocation {
		return found.health
	}
	return units.HealthUnknown
}

// of is how a pass asks what was found already. What Podman's own check found
// counts where nothing else did.
func (v *healthCache) of(_ context.Context, _ units.File, p units.Part, u units.Unit) (units.Health, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found := v.list[p.Service]; found.invocation == u.Invocation && found.health != units.HealthUnknown {
		return found.health, found.detail
	}
	return u.Health, ""
}

// ask asks a service now, once. A pass does so with what it has just started.
func (d *daemon) ask(ctx context.Context, file units.File, _ units.Part, u units.Unit) (units.Health, string) {
	t, ok := targetsOf(string(file.Content))[serving]
	if !ok {
		return u.Health, "its check fails in the container"
	}
	o := d.Probe(ctx, t)
	fresh := prober{serving: probe.Target{Retries: 2}}
	return fresh.classify(o, time.Now()), o.Detail
}
