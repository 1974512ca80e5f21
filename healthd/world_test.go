package healthd_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// world is a fake machine whose apps are up and whose files are right, until a test says
// otherwise. Time is virtual.
type world struct {
	*reconciletest.Machine
	t  *testing.T
	mu sync.Mutex
	// answers is what an app's probe says, by address.
	answers map[string]func(context.Context) probe.Outcome
	probes  map[string]int
	entries []journal.Event
	status  healthd.Status
	// published is how often the status was told.
	published int
	passes    int
	failing   error
	// config compares configurations where there are any.
	config reconcile.Config
	began  time.Time
	hints  chan healthd.Hint
	apps   []units.App
	// followed is the control groups that are followed, with the apps of each.
	followed map[string]string
	// unfollowed is why they can't be, and fileWatch is why files are not watched.
	unfollowed error
	fileWatch  chan error
	kept       []string
	// diagnostics is the errors of manifests, lines what units wrote last.
	diagnostics map[string]string
	lines       map[string][]string
	// room is how many more containers fit each limit.
	room map[units.Limit]int
	// ends is when trials end, by app.
	ends map[string]time.Time
	// trials is called after each pass, if a test sets it.
	trials func(context.Context, reconcile.Report, units.History) map[string]time.Time
	// rests is when it rested.
	rests []time.Duration
}

func newWorld(t *testing.T, ids ...string) *world {
	t.Helper()
	w := &world{
		Machine: reconciletest.New(), t: t, began: time.Now(),
		answers: map[string]func(context.Context) probe.Outcome{}, probes: map[string]int{}, hints: make(chan healthd.Hint), fileWatch: make(chan error),
	}
	for i, id := range ids {
		w.add(id, fmt.Sprintf("127.0.0.1:%d", 18080+i))
	}
	return w
}

func (w *world) add(id, address string) {
	file := rendered(id, address)
	app := units.App{
		ID: id, Enabled: true, ManifestDigest: "m", Files: units.Set{file},
		Parts: []units.Part{{Service: units.ServiceName(id), File: file.Name, Digest: "d"}},
	}
	w.apps = append(w.apps, app)
	w.Install(app)
	w.answers[address] = serves
}

// rewrite changes the file of the first app, in its manifest and on the machine.
func (w *world) rewrite(content []byte) {
	w.apps[0].Files[0].Content = content
	w.Write(w.apps[0].Files...)
	w.Load()
}

// has reports whether a file exists.
func (w *world) has(file string) bool {
	_, exists := w.File(file)
	return exists
}

// did is what was done to the machine, with the time since the start.
func (w *world) did() (list []string) {
	for _, e := range w.Effects {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%v %s %s", e.At.Round(time.Second), e.Verb, e.Target)))
	}
	return list
}

// rendered is the file of an app that is asked at an address.
func rendered(id, address string) units.File {
	return units.File{Name: "app@" + id + ".container", App: id, Digest: "d", Content: fmt.Appendf(nil,
		"[X-Archipelago]\nApp=%s\nServing={\"kind\":\"tcp\",\"address\":%q,\"interval\":\"30s\",\"timeout\":\"5s\",\"retries\":3}\n", id, address)}
}

func serves(context.Context) probe.Outcome {
	return probe.Outcome{State: probe.Serving, Reason: probe.OK, Progress: -1}
}

func refuses(context.Context) probe.Outcome {
	return probe.Outcome{State: probe.Unreachable, Reason: probe.Refused, Detail: "nothing listens", Progress: -1}
}

// run lets the daemon run for a while of virtual time, with what happens meanwhile.
func (w *world) run(d time.Duration, meanwhile func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error)
	go func() { ended <- healthd.Run(ctx, w.machine()) }()
	if meanwhile != nil {
		meanwhile()
	}
	time.Sleep(d - time.Since(w.began))
	cancel()
	stopping := time.Now()
	if err := <-ended; err != nil {
		w.t.Error(err)
	}
	if took := time.Since(stopping); took > 2*time.Second {
		w.t.Errorf("it ended after %v", took)
	}
	synctest.Wait() // a probe may still run, whose result is dropped
}

func (w *world) machine() healthd.Machine {
	host := w.Host()
	host.WaitTimeout, host.Config = time.Minute, w.config
	host.Room = func() map[units.Limit]int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return maps.Clone(w.room)
	}
	return healthd.Machine{
		Desired: func() (units.Desired, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.passes++
			return units.Desired{Apps: w.apps, Invalid: w.kept, Complete: true}, w.failing
		},
		Diagnostics: func() map[string]string { return w.diagnostics },
		LastLines:   w.LastLines, Trials: w.after,
		Host:  host,
		Hints: w.hints, FileWatch: w.fileWatch, Resync: 5 * time.Minute, Follow: w.follow, ReleaseMemory: w.releaseMemory, Watchdog: time.Tick(15 * time.Second), Alive: func() {},
		Probe: func(ctx context.Context, t probe.Target) probe.Outcome {
			w.mu.Lock()
			w.probes[t.Address]++
			answer := w.answers[t.Address]
			w.mu.Unlock()
			ctx, cancel := context.WithTimeout(ctx, t.Timeout)
			defer cancel()
			return answer(ctx)
		},
		Publish: func(s healthd.Status) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.published++
			w.status = s
		},
		Log: func(e journal.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.entries = append(w.entries, e)
		},
	}
}

func (w *world) follow(payloads map[string]string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.followed = payloads
	return w.unfollowed
}

func (w *world) releaseMemory() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rests = append(w.rests, time.Since(w.began))
}

// kinds is the kinds of the entries that were logged, less those of actions.
func (w *world) kinds() (list []journal.Kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.entries {
		if e.Kind != journal.Acting {
			list = append(list, e.Kind)
		}
	}
	return list
}

// answer sets what the first app says from now on.
func (w *world) answer(f func(context.Context) probe.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers["127.0.0.1:18080"] = f
}

// LastLines is what a unit wrote last.
func (w *world) LastLines(_ context.Context, unit string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines[unit]
}

func (w *world) after(ctx context.Context, r reconcile.Report, history units.History) map[string]time.Time {
	if w.trials != nil {
		return w.trials(ctx, r, history)
	}
	return w.ends
}
