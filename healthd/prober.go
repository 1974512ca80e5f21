package healthd

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/status"
)

// prober probes one start of one service repeatedly. It ends with that start.
type prober struct {
	app, service string
	// invocation is the start that is probed, file the file that it was started from.
	invocation string
	file       []byte
	end        context.CancelFunc
	since      time.Time
	// failures is how many probes in a row failed.
	failures int
	serving  probe.Target
	// answer is the last answer, and latency how long it took.
	answer      status.Answer
	latency     time.Duration
	hasAnswered bool
}

// result is the result of a probe.
type result struct {
	prober  *prober
	answer  status.Answer
	outcome probe.Outcome
}

// startProbers starts probers for services that run since the pass, and stops those of
// services that no longer run.
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
			d.probePart(ctx, app.ID, part.Service, file, u)
		}
	}
	for service, m := range d.probers {
		if !seen[service] {
			d.stopProber(m)
			d.refresh(m.app)
		}
	}
	for _, app := range e.apps() {
		d.refresh(app.ID)
	}
	d.follow(seen)
}

// follow watches the control groups of the current services.
func (d *daemon) follow(services map[string]bool) {
	list := map[string]string{}
	for service, payload := range d.payloads {
		if payload != "" && services[service] {
			list[payload] = units.AppOf(service)
		}
	}
	maps.DeleteFunc(d.payloads, func(service, _ string) bool { return !services[service] })
	err := d.Follow(list)
	d.dirty = d.dirty || (err == nil) != (d.noGroups == nil)
	d.noGroups = err
}

func (d *daemon) stopProber(m *prober) {
	m.end()
	delete(d.probers, m.service)
	d.health.forget(m.service)
}

func (d *daemon) probePart(ctx context.Context, app, service string, file units.File, u units.Unit) {
	m := d.probers[service]
	isUp := u.Active == units.Active
	if m != nil && isUp && m.invocation == u.Invocation && bytes.Equal(m.file, file.Content) {
		return
	}
	if m != nil {
		d.stopProber(m)
	}
	if !isUp {
		return
	}
	targets := status.TargetsOf(file)
	if len(targets) == 0 {
		return
	}
	m = &prober{app: app, service: service, invocation: u.Invocation, file: file.Content, since: time.Now(), serving: targets[status.Serving]}
	ctx, m.end = context.WithCancel(ctx)
	d.probers[service] = m
	d.startProbeLoop(ctx, m, targets)
}

// probeLoop probes a service repeatedly. Each service has its own loop, so that a service
// that hangs does not delay others. Between two probes a loop has a timer and no goroutine:
// the stacks would be most of the memory that healthd uses.
type probeLoop struct {
	*daemon
	prober  *prober
	targets map[status.Level]probe.Target
	timer   *time.Timer
	// synced is the last answer of the probe for synced, nil after the service did not serve.
	// syncedNext is when to probe it again.
	synced     *probe.Outcome
	syncedNext time.Time
}

// startProbeLoop probes until the context ends.
func (d *daemon) startProbeLoop(ctx context.Context, m *prober, targets map[status.Level]probe.Target) {
	q := &probeLoop{daemon: d, prober: m, targets: targets}
	q.timer = time.AfterFunc(time.Hour, func() { q.ask(ctx) })
	q.timer.Reset(jitter(min(targets[status.Serving].Interval, time.Second)))
	context.AfterFunc(ctx, func() { q.timer.Stop() })
}

// ask probes once, and sets the timer for the next probe.
func (q *probeLoop) ask(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	answer, o := q.answer(ctx)
	select {
	case q.results <- result{q.prober, answer, o}:
		interval := q.targets[status.Serving].Interval
		q.timer.Reset(time.Until(q.aligned(jitter(pace(interval, o)), interval)))
	case <-ctx.Done():
	}
}

// answer is the answer of the service, and the answer of its probe for serving.
func (q *probeLoop) answer(ctx context.Context) (status.Answer, probe.Outcome) {
	answer, serving := status.Ask(func(level status.Level) *probe.Outcome {
		t, hasProbe := q.targets[level]
		switch {
		case !hasProbe:
			return nil
		case level != status.Synced:
			o := q.Probe(ctx, t)
			return &o
		case q.synced == nil || !time.Now().Before(q.syncedNext):
			q.syncedNext = time.Now().Add(t.Interval)
			o := q.Probe(ctx, t)
			q.synced = &o
		}
		return q.synced
	})
	if serving.State != probe.Serving {
		q.synced = nil
	}
	return answer, serving
}

// pace is the time until the next probe. A service that does not answer is probed more
// often, so that its retries take a moment and not minutes.
func pace(interval time.Duration, o probe.Outcome) time.Duration {
	if o.State == probe.Unreachable || o.State == probe.Wrong {
		return max(interval/4, min(interval, time.Second))
	}
	return interval
}

// aligned is a time about wait from now at which other services are probed as well. A wakeup
// costs far more than a probe: the processor has slept, and other programs have filled its
// caches.
func (d *daemon) aligned(wait, interval time.Duration) time.Time {
	beat := min(interval/5, time.Second)
	return d.epoch.Add((time.Since(d.epoch) + wait).Round(beat))
}

// handleResult records a result. It requests a pass only if the actions may change.
func (d *daemon) handleResult(a result) {
	m := a.prober
	if d.probers[m.service] != m {
		return // of an earlier start
	}
	isSilent := a.outcome.State == probe.Unreachable || a.outcome.State == probe.Wrong
	if isSilent && d.running && d.preempt.isTouched(m.app) {
		return // of a service that a pass is changing
	}
	before := d.health.health(m.service, m.invocation)
	now := m.classify(a.outcome, time.Now())
	isNew := !m.hasAnswered || m.answer != a.answer || before != now
	m.answer, m.latency, m.hasAnswered = a.answer, a.outcome.Latency, true
	d.health.set(m.service, cachedHealth{m.invocation, now, a.outcome.Detail})
	if isNew {
		d.refresh(m.app)
	} else if app := d.apps[m.app]; app != nil {
		d.measure(app)
	}
	if before != now && needsPass[now] {
		d.pending.add(Hint{App: m.app})
		d.arm()
	}
}

// needsPass reports whether the new health of a service may need an action. A service that
// does not answer may be paused.
var needsPass = map[units.Health]bool{units.Failing: true, units.Unhealthy: true}

// classify is the health after an answer and those before it.
func (m *prober) classify(o probe.Outcome, now time.Time) units.Health {
	health := status.HealthOf(o)
	switch health {
	case units.HealthUnknown:
		return health
	case units.Failing:
		m.failures++
		if m.failures >= m.serving.Retries && now.Sub(m.since) >= m.serving.StartPeriod {
			return units.Unhealthy
		}
		return health
	case units.Serving, units.Loading, units.NeedsUser, units.Unhealthy:
	}
	m.failures = 0
	return health
}

// healthCache is the health of each service, for passes that run beside the loop.
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

// health is the health of one start of a service.
func (v *healthCache) health(service, invocation string) units.Health {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found := v.list[service]; found.invocation == invocation {
		return found.health
	}
	return units.HealthUnknown
}

// of returns the known health to a pass. The result of Podman's own health check counts if
// there is no other.
func (v *healthCache) of(_ context.Context, _ units.File, p units.Part, u units.Unit) (units.Health, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found := v.list[p.Service]; found.invocation == u.Invocation && found.health != units.HealthUnknown {
		return found.health, found.detail
	}
	return u.Health, ""
}

// ask probes a service once, now. A pass does this with a service that it has just started.
func (d *daemon) ask(ctx context.Context, file units.File, _ units.Part, u units.Unit) (units.Health, string) {
	t, ok := status.TargetsOf(file)[status.Serving]
	if !ok {
		return u.Health, "its check fails in the container"
	}
	o := d.Probe(ctx, t)
	fresh := prober{serving: probe.Target{Retries: 2}}
	return fresh.classify(o, time.Now()), o.Detail
}
