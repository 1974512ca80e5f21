package healthd_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// world is a simulated machine whose apps are up and whose files are right,
// until a test says otherwise. Time is virtual.
type world struct {
	t     *testing.T
	mu    sync.Mutex
	units map[string]units.Unit
	// missing is the files that are not there; writing one takes it out.
	missing map[string]bool
	// foreign is the unit files whose names foreign files have.
	foreign map[string]bool
	history units.History
	// answers is what an app's probe says, by address.
	answers map[string]func(context.Context) probe.Outcome
	probes  map[string]int
	// did is what was done to the machine, with the time since the start.
	did     []string
	entries []journal.Event
	status  healthd.Status
	// published is how often the status was told.
	published int
	passes    int
	failing   error
	// reloaded is called by each reload.
	reloaded func()
	slow     time.Duration
	// stops is how long a restart takes until the service has stopped. systemd
	// continues it when a pass does not wait, and merges a second one into it.
	stops time.Duration
	// config compares configurations where there are any.
	config reconcile.Config
	// busy is how long systemd takes to list units.
	busy  time.Duration
	began time.Time
	hints chan healthd.Hint
	apps  []units.App
	// lacks is what comes of getting what an app lacks, supplies how often that was tried.
	lacks    map[string]error
	supplies int
	// followed is the control groups that are followed, with the apps of each.
	followed map[string]string
	kept     []string
	// diagnostics is the errors of manifests, lines what units wrote last.
	diagnostics map[string]string
	lines       map[string][]string
	good        units.Set
	// rests is when it rested.
	rests []time.Duration
}

func newWorld(t *testing.T, ids ...string) *world {
	t.Helper()
	w := &world{
		t: t, units: map[string]units.Unit{}, missing: map[string]bool{}, foreign: map[string]bool{}, history: units.History{}, began: time.Now(),
		answers: map[string]func(context.Context) probe.Outcome{}, probes: map[string]int{}, hints: make(chan healthd.Hint),
	}
	for i, id := range ids {
		w.add(id, fmt.Sprintf("127.0.0.1:%d", 18080+i))
	}
	return w
}

func (w *world) add(id, address string) {
	service := "app@" + id + ".service"
	file := rendered(id, address)
	w.apps = append(w.apps, units.App{
		ID: id, Enabled: true, ManifestDigest: "m", Files: units.Set{file},
		Parts: []units.Part{{Service: service, File: file.Name, Digest: "d"}},
	})
	w.units[service] = units.Unit{Loaded: true, Active: units.Active, Digest: "d", Invocation: "1"}
	w.answers[address] = serves
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
	return healthd.Machine{
		Desired: func() (units.Desired, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.passes++
			return units.Desired{Apps: w.apps, Invalid: w.kept, Complete: true}, w.failing
		},
		Diagnostics: func() map[string]string { return w.diagnostics },
		LastLines:   w.LastLines,
		Host: reconcile.Host{
			Files: w, Services: w, Store: w, Now: time.Now, StabilizationTime: 5 * time.Second, WaitTimeout: time.Minute, Config: w.config,
			Supply: func(_ context.Context, app units.App, _ units.Prerequisites) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.supplies++
				return w.lacks[app.ID]
			},
		},
		Hints: w.hints, Resync: 5 * time.Minute, Follow: w.follow, ReleaseMemory: w.releaseMemory, Watchdog: time.Tick(15 * time.Second), Alive: func() {},
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

func (w *world) note(format string, args ...any) {
	w.did = append(w.did, fmt.Sprintf("%v ", time.Since(w.began).Round(time.Second))+fmt.Sprintf(format, args...))
}

func (w *world) follow(payloads map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.followed = payloads
}

func (w *world) releaseMemory() { w.rests = append(w.rests, time.Since(w.began)) }

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

func (w *world) set(service string, change func(*units.Unit)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.units[service]
	change(&u)
	w.units[service] = u
}

// answer sets what the first app says from now on.
func (w *world) answer(f func(context.Context) probe.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers["127.0.0.1:18080"] = f
}

// The files.

func (w *world) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[string]units.FoundFile{}
	for _, f := range want {
		if w.missing[f.Name] {
			found[f.Name] = units.FoundFile{State: units.FileMissing, App: f.App}
		}
		if w.foreign[f.Name] {
			found[f.Name] = units.FoundFile{State: units.FileForeign, App: f.App}
		}
	}
	return found, nil, nil
}

func (w *world) Lost(want units.Set) units.Set {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(want), func(f units.File) bool { return !w.missing[f.Name] })
}

func (w *world) Sync(want units.Set, _ func(units.Ownership) bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range want {
		if w.missing[f.Name] {
			w.note("write %s", f.Name)
			delete(w.missing, f.Name)
		}
	}
	return nil
}

// systemd.

func (w *world) Observe(ctx context.Context, _ []string, _ bool) (map[string]units.Unit, error) {
	w.mu.Lock()
	busy := w.busy
	w.mu.Unlock()
	select {
	case <-time.After(busy):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.units), nil
}

func (w *world) Reload(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("reload")
	if w.reloaded != nil {
		w.mu.Unlock()
		defer w.mu.Lock()
		w.reloaded()
	}
	return nil
}

func (w *world) up(ctx context.Context, verb, service string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("%s %s", verb, service)
	u := w.units[service]
	u.Active, u.Stopped, u.Paused, u.Digest, u.Invocation = units.Active, false, false, "d", u.Invocation+"1"
	w.units[service] = u
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-time.After(w.slow):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *world) Start(ctx context.Context, s string) error { return w.up(ctx, "start", s) }

func (w *world) Restart(ctx context.Context, s string) error {
	w.mu.Lock()
	stops, isQueued := w.stops, w.units[s].Job != ""
	w.mu.Unlock()
	if stops == 0 {
		return w.up(ctx, "restart", s)
	}
	w.mu.Lock()
	w.note("restart %s", s)
	w.mu.Unlock()
	if !isQueued {
		w.set(s, func(u *units.Unit) { u.Job = "restart" })
		time.AfterFunc(stops, func() {
			w.set(s, func(u *units.Unit) { u.Job, u.Digest, u.Invocation = "", "d", u.Invocation+"1" })
		})
	}
	select {
	case <-time.After(stops):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *world) RestartAlone(ctx context.Context, s string) error { return w.Restart(ctx, s) }

func (w *world) Recreate(ctx context.Context, s string) error { return w.up(ctx, "recreate", s) }
func (w *world) ReloadService(_ context.Context, s string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("reload-service %s", s)
	return nil
}
func (w *world) ReloadNetwork(context.Context) error       { return nil }
func (w *world) Stop(context.Context, string) error        { return nil }
func (w *world) ResetFailed(context.Context, string) error { return nil }
func (w *world) LastLines(_ context.Context, unit string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines[unit]
}
func (w *world) Log(context.Context, string, int) []string { return []string{"its last words"} }
func (w *world) GeneratorLog(context.Context, string, time.Time) []string {
	return nil
}

// The store.

func (w *world) Lock(context.Context) (func(), error) { return func() {}, nil }
func (w *world) Adoptions() (units.Adoptions, error)  { return units.Adoptions{}, nil }
func (w *world) SaveAdoptions(units.Adoptions) error  { return nil }
func (w *world) Good() (units.Set, error)             { return w.good, nil }
func (w *world) Commit(units.Set, string) error       { return nil }
func (w *world) History() (units.History, error)      { return maps.Clone(w.history), nil }
func (w *world) SaveHistory(h units.History) error    { w.history = maps.Clone(h); return nil }
