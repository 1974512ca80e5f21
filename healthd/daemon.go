// Package healthd owns the standing watch over a machine's apps: it is told that
// something may have changed, asks running apps again and again whether they
// serve, and runs a pass of units/reconcile over what needs one.
//
// It never decides what a pass does (units.Decide does), never runs Podman, and
// never takes an event for the truth: an event only says where to look, and a
// slow look at everything finds what no event told.
package healthd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// Hint says that something may have changed.
type Hint struct {
	// App is whose state may have changed. Empty means anybody's.
	App string
	// Asked is what a person asks for that app.
	Asked units.Kind
	// Urgent: it doesn't wait until a pass has seen whether what it started serves.
	Urgent bool
}

// Machine is what the daemon needs of the world.
type Machine struct {
	// Desired returns what the machine should look like. It is called again for
	// each pass, so it has to be cheap where nothing changed.
	Desired func() (units.Desired, error)
	// Diagnostics returns the first error of each manifest that has one, by app, as Desired
	// found it last.
	Diagnostics func() map[string]string
	// LastLines returns the last lines that a unit wrote. It may take a while.
	LastLines func(ctx context.Context, unit string) []string
	// Host is the machine for a pass. The daemon fills in Health, Ask, Ran, Preempt and Progress.
	Host reconcile.Host
	// Hints is told what may have changed.
	Hints <-chan Hint
	// Follow hands over the control groups of running containers, with the apps that
	// they are of: hints tell when one has ended or is paused. A call replaces the last.
	Follow func(payloads map[string]string)
	// Probe asks a target once, within the target's timeout.
	Probe func(context.Context, probe.Target) probe.Outcome
	// Resync is how often everything is looked at, whatever was told. A tenth of
	// it is left to chance, so that many machines don't keep step.
	Resync time.Duration
	// Publish is called with the state of all apps whenever it changed, or at a beat
	// where only latencies did.
	Publish func(Status)
	// Log is told what a person may look for later, also while a pass runs.
	Log func(journal.Event)
	// ReleaseMemory is called once nothing goes on after a look at everything, which may have
	// compiled and took more memory than the watching until the next one does.
	ReleaseMemory func()
	// Watchdog comes as often as somebody has to hear that the loop goes round, for
	// which Alive is called then.
	Watchdog <-chan time.Time
	Alive    func()
}

const (
	// minPassInterval is the least time between the begins of two passes: what happens in
	// between is one pass's work.
	minPassInterval = 50 * time.Millisecond
	// quietTime is how long no pass may have begun before ReleaseMemory is called: what ReleaseMemory gives
	// back takes the next pass some milliseconds to get again.
	quietTime = 10 * time.Second
	// shutdownGrace is how long a pass in flight may go on after the daemon was asked
	// to end, before it is called off.
	shutdownGrace = 1500 * time.Millisecond
	// After a pass that failed as a whole, or for an app for reasons that are not
	// the app's, the next try waits this long, doubled each time.
	firstRetry, lastRetry = time.Second, 5 * time.Minute
)

// daemon is the state of the loop. Only the loop touches it.
type daemon struct {
	Machine
	// health is what the probes found, for passes that run beside the loop.
	health *healthCache

	// todo is what has to be looked at; running is what a pass looks at now.
	pending work
	running bool
	begun   time.Time
	ended   chan passResult
	// restless: everything was looked at since the last rest.
	mayRelease bool
	// preempt is the running pass's.
	preempt *preemption
	// start begins a pass once it may, again one that has to be done over.
	start, again, resync *time.Timer
	againAt              time.Time
	retry                time.Duration

	// epoch is from when the beats count at which services are asked.
	epoch   time.Time
	probers map[string]*prober
	results chan result
	apps    map[string]*App
	// made is the apps as the last pass over each took them: not each with the files of
	// its manifest.
	planned map[string]units.App
	// ran is the files with which apps ran at the end of the last pass over them. Only
	// the end of a pass changes it, and only passes read it.
	ran map[string]units.Set
	// payloads is the control groups of running containers, by service.
	payloads map[string]string
	// lines is what units wrote last that went wrong, by unit; read is told of what was read,
	// and reading held by who reads.
	lines   map[string]unitLines
	read    chan unitLines
	reading chan struct{}
	passes  Passes
	// dirty: the status differs from the published one. stale: it does in nothing
	// but how fast apps answered. Every healthy probe brings that, so it waits.
	dirty, stale bool
	published    Status
	// failed is what was logged of passes that failed, so as not to say it again
	// and again.
	failed string
}

// Run watches until the context ends. A pass in flight is then given a moment to
// end well. Whatever happens is reported and tried again, but for one thing: where
// a directory that its sandbox lets it write was replaced by another, only a new
// start can write there.
func Run(ctx context.Context, m Machine) error {
	d := &daemon{
		Machine: m, health: newHealthCache(), ended: make(chan passResult), results: make(chan result),
		epoch: time.Now(), probers: map[string]*prober{}, apps: map[string]*App{}, planned: map[string]units.App{}, ran: map[string]units.Set{}, payloads: map[string]string{},
		lines: map[string]unitLines{}, read: make(chan unitLines), reading: make(chan struct{}, readers),
		start: stopped(), again: stopped(), resync: time.NewTimer(m.Resync),
	}
	d.Host.Health, d.Host.Ask, d.Host.Ran = d.health.of, d.ask, d.hasRun
	passes, callOff := context.WithCancel(context.WithoutCancel(ctx))
	defer callOff()
	d.pending.all = true
	d.arm()
	for {
		select {
		case h, ok := <-d.Hints:
			if !ok {
				d.Hints = nil // the end of the context comes next
				continue
			}
			d.pending.add(h)
			if d.running && h.Urgent {
				d.preempt.request(h.App)
			}
			d.arm()
		case <-d.start.C:
			d.begin(passes)
		case e := <-d.ended:
			d.end(ctx, e)
			if errors.Is(e.err, syscall.EROFS) {
				return fmt.Errorf("%w: it sees directories as they were when it started, and has to be started again", e.err)
			}
		case a := <-d.results:
			d.handleResult(a)
		case l := <-d.read:
			d.noteLines(l)
		case <-d.again.C:
			d.againAt = time.Time{}
			d.pending.all = true
			d.arm()
		case <-d.resync.C:
			d.resync.Reset(jitter(d.Resync))
			d.pending.all = true
			d.arm()
		case <-d.Watchdog:
			d.Alive()
			d.dirty = d.dirty || d.stale
			d.releaseMemory()
		case <-ctx.Done():
			return d.finish(ctx, callOff)
		}
		d.publish()
	}
}

// releaseMemory rests where there is something to rest from, and nothing goes on.
func (d *daemon) releaseMemory() {
	if d.mayRelease && !d.running && time.Since(d.begun) >= quietTime {
		d.mayRelease = false
		d.ReleaseMemory()
	}
}

// finish waits for a pass in flight, at first patiently.
func (d *daemon) finish(ctx context.Context, callOff func()) error {
	if !d.running {
		return nil
	}
	patience := time.AfterFunc(shutdownGrace, callOff)
	defer patience.Stop()
	d.end(ctx, <-d.ended)
	d.publish()
	return nil
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
