// Package healthd owns the daemon that watches the apps of a machine: it receives hints that
// something may have changed, probes running apps, and runs a pass of units/reconcile over
// the apps that need one.
//
// It never decides what a pass does (units.Decide does), never runs Podman, and never relies
// on the content of an event: an event only names what to check, and a slow check of all apps
// finds changes without an event.
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
	// App is the app whose state may have changed. Empty means any app.
	App string
	// Asked is what an operator requests for that app.
	Asked units.Kind
	// File is the unit file whose content may have changed, if that is the reason.
	File string
	// Urgent: the hint preempts a pass that waits for an app to serve.
	Urgent bool
}

// GCPercent is GOGC of the daemon. Probes leave little garbage, and a heap of twice the live size would be
// most of the memory that it uses. With three hundred apps, 40 takes 2 MB more than 25.
const GCPercent = 30

// Machine is the environment of the daemon.
type Machine struct {
	// Desired returns the desired state. It is called for each pass, so it must be cheap if
	// nothing changed.
	Desired func() (units.Desired, error)
	// Diagnostics returns the first error of each invalid manifest, by app, from the last call
	// of Desired.
	Diagnostics func() map[string]string
	// Trials is called after each pass with what it saw, and the history after it. It has the trials of
	// releases ended that are over or in which something failed, and returns when the others end, by app.
	Trials func(ctx context.Context, r reconcile.Report, history units.History) map[string]time.Time
	// LastLines returns the last lines that a unit wrote. It may take a while.
	LastLines func(ctx context.Context, unit string) []string
	// Host is the machine for a pass. The daemon fills in Health, Ask, Ran, Preempt, Hinted,
	// Losses and Progress.
	Host reconcile.Host
	// Hints receives what may have changed.
	Hints <-chan Hint
	// FileWatch receives the error for which not all files of apps are watched, nil when they
	// are again.
	FileWatch <-chan error
	// Follow receives the control groups of running containers, each with its app. A hint
	// follows when one has ended or is paused. A call replaces the previous one. The error is
	// that not all are watched.
	Follow func(payloads map[string]string) error
	// Probe asks a target once, within the target's timeout.
	Probe func(context.Context, probe.Target) probe.Outcome
	// Resync is how often all apps are checked, even without hints. A tenth of it is random, so
	// that many machines don't check at the same time.
	Resync time.Duration
	// Publish is called with the status of all apps when it changed. If only latencies
	// changed, it is called at the next beat.
	Publish func(Status)
	// Log receives the events for the journal, also while a pass runs.
	Log func(journal.Event)
	// ReleaseMemory is called when the daemon is idle after a check of all apps. The check may
	// have compiled manifests, and needs more memory than the daemon does until the next one.
	ReleaseMemory func()
	// Watchdog ticks as often as systemd must be told that the loop runs. Alive is called for
	// each tick.
	Watchdog <-chan time.Time
	Alive    func()
}

const (
	// minPassInterval is the least time between the starts of two passes: the second pass
	// handles all that happens in between.
	minPassInterval = 50 * time.Millisecond
	// quietTime is how long no pass may have begun before ReleaseMemory is called: the next
	// pass needs some milliseconds to get the released memory again.
	quietTime = 10 * time.Second
	// shutdownGrace is how long a running pass may continue after the daemon was asked to
	// stop, before it is cancelled.
	shutdownGrace = 1500 * time.Millisecond
	// If a pass fails as a whole, or fails for an app because of the machine, the next try
	// waits this long, doubled each time.
	firstRetry, lastRetry = time.Second, 5 * time.Minute
)

// daemon is the state of the loop. Only the loop touches it.
type daemon struct {
	Machine
	// health is the results of the probes, for passes that run beside the loop.
	health *healthCache

	// todo is what must be checked; running is what the current pass checks.
	pending work
	running bool
	begun   time.Time
	ended   chan passResult
	// restless: all apps were checked since memory was last released.
	mayRelease bool
	// preempt and losses belong to the running pass.
	preempt *preemption
	losses  *losses
	// start is the timer for the next pass, again the timer for a pass that must be repeated.
	start, again, resync *time.Timer
	againAt              time.Time
	retry                time.Duration

	// epoch is the time from which the beats for probes are counted.
	epoch   time.Time
	probers map[string]*prober
	results chan result
	apps    map[string]*App
	// made is each app as its last pass used it: not always with the files of its manifest.
	planned map[string]units.App
	// ran is the files with which apps ran at the end of their last pass. Only the end of a
	// pass changes it, and only passes read it.
	ran map[string]units.Set
	// payloads is the control groups of running containers, by service.
	payloads map[string]string
	// noFiles and noGroups is why not all files or control groups are watched.
	noFiles, noGroups error
	// restarts is how often each service was restarted automatically, as its last pass saw it. It
	// is nil before the first pass.
	restarts map[string]uint32
	// lines is the last log lines of units that failed, by unit. read receives lines that were
	// read, and a reader holds reading.
	lines   map[string]unitLines
	read    chan unitLines
	reading chan struct{}
	passes  Passes
	// limits is the limits that keep services from starting. checksLimits: limitTimer is set.
	limits       *limitCache
	limitTimer   *time.Timer
	checksLimits bool
	// dirty: the status differs from the published one. stale: it differs only in latencies.
	// Every successful probe changes those, so publishing them waits.
	dirty, stale bool
	published    Status
	// failed is what was logged about failed passes, so that it is not logged repeatedly.
	failed string
}

// Run watches the apps until the context ends. A running pass then has a moment to complete.
// Run reports errors and tries again, with one exception: if a directory that the sandbox of
// healthd makes writable was replaced, only a restarted healthd can write there.
func Run(ctx context.Context, m Machine) error {
	d := &daemon{
		Machine: m, health: newHealthCache(), ended: make(chan passResult), results: make(chan result),
		epoch: time.Now(), probers: map[string]*prober{}, apps: map[string]*App{}, planned: map[string]units.App{}, ran: map[string]units.Set{}, payloads: map[string]string{},
		lines: map[string]unitLines{}, read: make(chan unitLines), reading: make(chan struct{}, readers),
		start: stopped(), again: stopped(), resync: time.NewTimer(m.Resync),
		limits: newLimitCache(), limitTimer: stopped(),
	}
	d.Host.Health, d.Host.Ask, d.Host.Ran = d.health.of, d.ask, d.hasRun
	d.Host.Limit = d.limits.of
	passes, callOff := context.WithCancel(context.WithoutCancel(ctx))
	defer callOff()
	d.pending.all = true
	d.arm()
	for {
		select {
		case h, ok := <-d.Hints:
			if !ok {
				d.Hints = nil // the context ends next
				continue
			}
			d.take(h)
		case d.noFiles = <-d.FileWatch:
			d.dirty = true
		case <-d.start.C:
			d.begin(passes)
		case e := <-d.ended:
			d.end(ctx, e)
			if errors.Is(e.err, syscall.EROFS) {
				return fmt.Errorf("%w: the sandbox has the directories from when healthd started, so healthd must restart", e.err)
			}
		case a := <-d.results:
			d.handleResult(a)
		case l := <-d.read:
			d.noteLines(l)
		case <-d.limitTimer.C:
			d.checkLimits()
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

// take handles a hint: the next pass is about it. A pass that runs restores a lost file.
func (d *daemon) take(h Hint) {
	d.pending.add(h)
	switch {
	case d.running && h.File != "":
		d.losses.add(h.File)
	case h.File != "":
		d.pending.lost = d.pending.lost || d.isLost(h.File)
	}
	if d.running && h.Urgent {
		d.preempt.request(h.App)
	}
	d.arm()
}

// releaseMemory releases memory if a check of all apps has used some and the daemon is idle.
func (d *daemon) releaseMemory() {
	if d.mayRelease && !d.running && time.Since(d.begun) >= quietTime {
		d.mayRelease = false
		d.ReleaseMemory()
	}
}

// finish waits for a running pass, and cancels it after shutdownGrace.
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
