package healthd_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/probe"
	"github.com/archipelago-os/archipelago/units"
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
	// foreign is the files in whose place somebody else's lie.
	foreign map[string]bool
	history units.History
	// answers is what an app's probe says, by address.
	answers map[string]func(context.Context) probe.Outcome
	probes  map[string]int
	// did is what was done to the machine, with the time since the start.
	did     []string
	entries []healthd.Entry
	status  healthd.Status
	// published is how often the status was told.
	published int
	passes    int
	failing   error
	// reloaded is called by each reload.
	reloaded func()
	slow     time.Duration
	// busy is how long systemd takes to tell of units.
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
	file := units.File{Name: "app@" + id + ".container", App: id, Digest: "d", Content: fmt.Appendf(nil,
		"[X-Archipelago]\nApp=%s\nServing={\"kind\":\"tcp\",\"address\":%q,\"interval\":\"30s\",\"timeout\":\"5s\",\"retries\":3}\n", id, address)}
	w.apps = append(w.apps, units.App{
		ID: id, Enabled: true, ManifestDigest: "m", Files: units.Set{file},
		Parts: []units.Part{{Service: service, File: file.Name, Digest: "d"}},
	})
	w.units[service] = units.Unit{Loaded: true, Active: units.Active, WasActive: true, Clean: true, Digest: "d", Invocation: "1"}
	w.answers[address] = serves
}

func serves(context.Context) probe.Outcome {
	return probe.Outcome{State: probe.Serving, Reason: probe.OK, Progress: -1}
}

func refuses(context.Context) probe.Outcome {
	return probe.Outcome{State: probe.Unreachable, Reason: probe.Refused, Detail: "nobody listens", Progress: -1}
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
	synctest.Wait() // a question may be under way, of which nobody hears the answer
}

func (w *world) machine() healthd.Machine {
	return healthd.Machine{
		Desired: func() (units.Desired, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.passes++
			return units.Desired{Apps: w.apps, Kept: w.kept, Whole: true}, w.failing
		},
		Host: reconcile.Host{
			Files: w, Services: w, Store: w, Now: time.Now, Settle: 5 * time.Second, Patience: time.Minute,
			Supply: func(_ context.Context, app units.App, _ reconcile.Lack) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.supplies++
				return w.lacks[app.ID]
			},
		},
		Hints: w.hints, Resync: 5 * time.Minute, Follow: w.follow, Rest: func() {}, Alive: func() {}, AliveEvery: 15 * time.Second,
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
		Log: func(e healthd.Entry) {
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

// kinds is the kinds of the entries that were logged, less those of actions.
func (w *world) kinds() (list []healthd.Kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.entries {
		if e.Kind != healthd.Acting {
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

func (w *world) Sync(want units.Set, _ func(units.Mark) bool) error {
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
	u.Active, u.WasActive, u.Paused, u.Digest, u.Invocation = units.Active, true, false, "d", u.Invocation+"1"
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

func (w *world) Start(ctx context.Context, s string) error    { return w.up(ctx, "start", s) }
func (w *world) Restart(ctx context.Context, s string) error  { return w.up(ctx, "restart", s) }
func (w *world) Recreate(ctx context.Context, s string) error { return w.up(ctx, "recreate", s) }
func (w *world) ReloadNetwork(context.Context) error          { return nil }
func (w *world) Stop(context.Context, string) error           { return nil }
func (w *world) ResetFailed(context.Context, string) error    { return nil }
func (w *world) Log(context.Context, string, int) []string    { return []string{"its last words"} }
func (w *world) GeneratorLog(context.Context, string, time.Time) []string {
	return nil
}

// The store.

func (w *world) Lock(context.Context) (func(), error) { return func() {}, nil }
func (w *world) Adoptions() (units.Adoptions, error)  { return units.Adoptions{}, nil }
func (w *world) SaveAdoptions(units.Adoptions) error  { return nil }
func (w *world) LastGood(string) (units.Set, error)   { return nil, nil }
func (w *world) Commit(units.Set, string) error       { return nil }
func (w *world) History() (units.History, error)      { return maps.Clone(w.history), nil }
func (w *world) SaveHistory(h units.History) error    { w.history = maps.Clone(h); return nil }

// TestLatenciesWait: many apps that answer, each time in another time, are told of
// a few times a minute and not with each answer.
func TestLatenciesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 30 {
			address := fmt.Sprintf("127.0.0.1:%d", 18080+i)
			w.add(fmt.Sprintf("app-%d", i), address)
			w.answers[address] = func(ctx context.Context) probe.Outcome {
				o := serves(ctx)
				o.Latency = time.Since(w.began) / 1000
				return o
			}
		}
		w.run(time.Hour, nil)
		if w.published < 4*60 || w.published > 5*60 {
			t.Errorf("told %d times in an hour, every 15 s is 240", w.published)
		}
		for _, a := range w.status.Apps {
			if a.Latency < 59*time.Minute/1000 {
				t.Errorf("the latency of %s is an old one: %v", a.ID, a.Latency)
			}
		}
	})
}

// TestQuiet: a day of an app that serves costs its probes and a look now and
// then. Nothing is done, nothing is logged.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "lnd")
		w.run(24*time.Hour, nil)
		if len(w.did)+len(w.entries) > 0 {
			t.Errorf("%v %v", w.did, w.entries)
		}
		for address, n := range w.probes {
			if n < 2800 || n > 2950 {
				t.Errorf("%s was asked %d times, every 30 s is 2,880", address, n)
			}
		}
		if w.passes < 280 || w.passes > 350 {
			t.Errorf("%d passes, every 5 min is 288", w.passes)
		}
		if a := w.status.Apps; len(a) != 2 || a[1].ID != "web" || a[1].State != units.IsRunning || a[1].Level != "serving" || a[1].Reason != "" {
			t.Errorf("%+v", a)
		}
	})
}

// TestLadder: an app that never answers again is restarted, recreated, given up,
// and then tried once an hour; the others are left alone. When it answers, that
// is said, and after ten minutes it is forgotten.
// To wake up costs more than to ask: all are asked at the same moments, however
// their starts lie apart, and within a tenth of their intervals.
func TestRestoredWhileSystemdIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(10*time.Minute, func() {
			time.Sleep(time.Minute)
			w.mu.Lock()
			w.busy, w.missing["app@web.container"] = 20*time.Second, true
			w.mu.Unlock()
			w.hints <- healthd.Hint{App: "web"}
			time.Sleep(time.Second)
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.missing["app@web.container"] {
				t.Error("the file of an app that runs was not put back at once")
			}
		})
		if d := cmp.Diff([]string{"1m0s write app@web.container", "1m20s reload"}, w.did[:2]); d != "" {
			t.Errorf("what was done (-want +got):\n%s", d)
		}
	})
}

// Control groups are followed of what runs, and of nothing else.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "db", "web", "new")
		payload := func(group string) func(*units.Unit) { return func(u *units.Unit) { u.Payload = group } }
		follows := func(groups ...string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if d := cmp.Diff(groups, slices.Sorted(maps.Keys(w.followed))); d != "" {
				t.Errorf("followed (-want +got):\n%s", d)
			}
			for _, group := range groups {
				if app := w.followed[group]; !strings.HasPrefix(group, "/"+app+"/") {
					t.Errorf("%s is followed for %s", group, app)
				}
			}
		}
		w.set("app@db.service", payload("/db/1"))
		w.set("app@web.service", payload("/web/1"))
		w.run(time.Hour, func() {
			time.Sleep(time.Second)
			follows("/db/1", "/web/1")
			w.set("app@web.service", payload("/web/2"))
			w.hints <- healthd.Hint{App: "web"}
			time.Sleep(time.Second)
			follows("/db/1", "/web/2")
			w.set("app@db.service", payload(""))
			w.hints <- healthd.Hint{App: "db"}
			time.Sleep(time.Second)
			follows("/web/2")
		})
	})
}

func TestBeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d", "e", "f", "g")
		moments, last := map[time.Duration]int{}, map[string]time.Time{}
		for address := range w.answers {
			w.answers[address] = func(ctx context.Context) probe.Outcome {
				w.mu.Lock()
				defer w.mu.Unlock()
				now := time.Now()
				if before, ok := last[address]; ok {
					moments[now.Sub(w.began)]++
					if d := now.Sub(before); w.probes[address] > 2 && (d < 26*time.Second || d > 34*time.Second) {
						t.Errorf("%s was asked after %v again, whose interval is 30s", address, d)
					}
				}
				last[address] = now
				return serves(ctx)
			}
		}
		w.run(time.Hour, nil)
		for at := range moments {
			if at != at.Round(time.Second) {
				t.Errorf("somebody was asked at %v, between two beats", at)
			}
		}
	})
}

func TestLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "lnd")
		w.run(26*time.Hour, func() {
			time.Sleep(time.Minute)
			w.answer(refuses)
			time.Sleep(24 * time.Hour)
			w.answer(serves)
		})
		kinds := map[string]int{}
		for _, line := range w.did {
			_, action, _ := strings.Cut(line, " ")
			kinds[action]++
		}
		// 5 tries within a few minutes, then 20 min, 40 min, and hourly.
		if n := kinds["recreate app@web.service"]; kinds["restart app@web.service"] != 1 || n < 20 || n > 36 || len(kinds) != 2 {
			t.Errorf("%v", kinds)
		}
		if first := w.did[0]; !strings.HasSuffix(first, " restart app@web.service") {
			t.Errorf("the first step: %s", first)
		}
		var gaveUp, recovered int
		for _, k := range w.kinds() {
			if k == healthd.GaveUp {
				gaveUp++
			}
			if k == healthd.Recovered {
				recovered++
			}
		}
		if gaveUp == 0 || recovered == 0 {
			t.Errorf("gave up %d times, recovered %d times", gaveUp, recovered)
		}
		if len(w.history) > 0 {
			t.Errorf("two hours after it is well: %v", w.history)
		}
	})
}

// TestFoundSoon: that an app does not answer any more is acted on within two
// periods of its probe, however many retries it has.
func TestFoundSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(3*time.Minute, func() {
			time.Sleep(time.Minute)
			w.answer(refuses)
		})
		at, err := time.ParseDuration(strings.Fields(w.did[0])[0])
		if err != nil || at > 2*time.Minute {
			t.Errorf("%v, %v", w.did, err)
		}
	})
}

// TestForeignFile: that somebody else's file is in the place of a unit's is told
// once, however often it is seen.
func TestForeignFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.foreign["app@web.container"] = true
		w.run(time.Hour, func() {})
		i := slices.IndexFunc(w.entries, func(e healthd.Entry) bool { return e.Kind == healthd.InTheWay })
		if i < 0 || w.entries[i].App != "web" || w.entries[i].Target != "app@web.container" || w.entries[i].Reason != units.BecauseForeign {
			t.Errorf("%+v", w.entries)
		}
		if kinds := w.kinds(); !slices.Equal(kinds, []healthd.Kind{healthd.InTheWay}) {
			t.Errorf("%v", kinds)
		}
	})
}

// TestSaidOnce: one answer that fails is nothing to tell. That an app is sick is
// told once, and once that it serves again, though it was started anew between.
func TestSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(time.Hour, func() {
			time.Sleep(time.Minute)
			var asked int
			w.answer(func(ctx context.Context) probe.Outcome {
				if asked++; asked == 1 {
					return refuses(ctx)
				}
				return serves(ctx)
			})
			time.Sleep(10 * time.Minute)
			if kinds := w.kinds(); len(kinds) > 0 {
				t.Errorf("after one answer that failed: %v", kinds)
			}
			w.answer(refuses)
			time.Sleep(10 * time.Minute)
			w.answer(serves)
		})
		kinds := slices.DeleteFunc(w.kinds(), func(k healthd.Kind) bool { return k != healthd.Sick && k != healthd.Recovered })
		if want := []healthd.Kind{healthd.Sick, healthd.Recovered}; !slices.Equal(kinds, want) {
			t.Errorf("%v; want %v", kinds, want)
		}
	})
}

// TestPatience: what loads, waits for a person, or could not be asked is let be.
func TestPatience(t *testing.T) {
	for name, outcome := range map[string]probe.Outcome{
		"loading":        {State: probe.Loading, Reason: probe.StartingUp, Detail: "verifying blocks", Progress: 0.43},
		"needs a person": {State: probe.NeedsUser, Reason: probe.WalletLocked},
		"not asked":      {State: probe.Unreachable, Reason: probe.NotAsked},
		"no credentials": {State: probe.Wrong, Reason: probe.NoCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "web")
				w.answer(func(context.Context) probe.Outcome { return outcome })
				w.run(24*time.Hour, nil)
				if len(w.did) > 0 {
					t.Errorf("%v", w.did)
				}
			})
		})
	}
}

// TestHanging: an app that takes questions and never answers holds up only its
// own turn.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "lnd")
		w.answer(func(ctx context.Context) probe.Outcome {
			<-ctx.Done()
			return probe.Outcome{State: probe.Unreachable, Reason: probe.NoAnswer}
		})
		w.run(time.Hour, nil)
		if n := w.probes["127.0.0.1:18081"]; n < 115 || n > 125 {
			t.Errorf("the other was asked %d times in an hour, every 30 s is 120", n)
		}
	})
}

// TestBurst: a thousand hints at once are one pass, or two.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(time.Minute, func() {
			time.Sleep(time.Second)
			w.mu.Lock()
			w.missing["app@web.container"] = true
			w.mu.Unlock()
			for range 1000 {
				w.hints <- healthd.Hint{App: "web"}
			}
		})
		if d := cmp.Diff([]string{"1s write app@web.container", "1s reload"}, w.did); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if w.passes > 4 {
			t.Errorf("%d passes", w.passes)
		}
	})
}

// TestEvents: a hint is acted on at once; without one, what happened is found by
// the next look at everything.
func TestEvents(t *testing.T) {
	fail := func(w *world) {
		w.set("app@web.service", func(u *units.Unit) { u.Active, u.Clean = units.Failed, false })
	}
	for name, tt := range map[string]struct {
		meanwhile func(*world)
		most      time.Duration
	}{
		"told":     {func(w *world) { fail(w); w.hints <- healthd.Hint{App: "web"} }, time.Second},
		"not told": {fail, 6 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "web", "lnd")
				w.run(10*time.Minute, func() {
					time.Sleep(time.Second)
					tt.meanwhile(w)
				})
				if len(w.did) != 1 || !strings.HasSuffix(w.did[0], "start app@web.service") {
					t.Fatalf("%v", w.did)
				}
				if at, err := time.ParseDuration(strings.Fields(w.did[0])[0]); err != nil || at > time.Second+tt.most {
					t.Errorf("%v, %v", w.did, err)
				}
			})
		})
	}
}

// TestAsked: what a person asks for is done whatever the budget, once.
func TestAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "lnd")
		w.run(time.Hour, func() {
			time.Sleep(time.Second)
			w.hints <- healthd.Hint{App: "web", Asked: units.Restart}
			w.hints <- healthd.Hint{App: "web"}
		})
		if d := cmp.Diff([]string{"1s restart app@web.service"}, w.did); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// TestPassFails: what keeps a pass from being made is said once, and tried again
// later and later.
func TestPassFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.failing = errors.New("no space left on device")
		w.missing["app@web.container"] = true
		w.run(2*time.Hour, func() {
			time.Sleep(time.Hour)
			w.mu.Lock()
			if w.passes > 35 {
				t.Errorf("%d passes in an hour that can't do anything", w.passes)
			}
			w.failing = nil
			w.mu.Unlock()
		})
		if d := cmp.Diff([]healthd.Kind{healthd.PassFailed}, w.kinds()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if len(w.did) != 2 {
			t.Errorf("%v", w.did)
		}
	})
}

// TestFailsMeanwhile: what fails is tried again later and later, also where passes in
// between, such as of its own events, fail just the same.
func TestFailsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		m := w.machine()
		var tries []time.Duration
		m.Host.Supply = func(context.Context, units.App, reconcile.Lack) error {
			if n := len(tries); n == 0 || time.Since(w.began) >= tries[n-1]+time.Second<<(n-1) {
				tries = append(tries, time.Since(w.began))
				go func() { time.Sleep(100 * time.Millisecond); w.hints <- healthd.Hint{App: "web"} }()
			}
			return errors.New("connection refused")
		}
		w.missing["app@web.container"] = true
		w.set("app@web.service", func(u *units.Unit) { u.Digest = "of another image" })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := healthd.Run(ctx, m); err != nil {
			t.Error(err)
		}
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second}
		if d := cmp.Diff(want, tries); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// TestReadOnly: a directory that can't be written any more may be another one than
// the sandbox was made for. Only a new start tells.
func TestReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.failing = fmt.Errorf("writing: %w", syscall.EROFS)
		if err := healthd.Run(t.Context(), w.machine()); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%v", err)
		}
	})
}

// TestEnd: a pass in flight is called off soon after the daemon is asked to end,
// and what it did until then is not lost.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.slow = time.Hour
		w.set("app@web.service", func(u *units.Unit) { u.Active = units.Failed })
		w.missing["app@web.container"] = true
		w.run(5*time.Second, nil) // checks how long the end takes
		if d := cmp.Diff([]string{"0s write app@web.container", "0s reload", "0s start app@web.service"}, w.did); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// TestRestartedApp: an app that was started anew is asked anew, and what was
// found of the start before does not count.
func TestRestartedApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		var failures atomic.Int32
		w.answer(func(ctx context.Context) probe.Outcome {
			if failures.Add(1)%3 == 0 { // twice in a row, never thrice
				return serves(ctx)
			}
			return refuses(ctx)
		})
		w.run(time.Hour, func() {
			for i := range 50 {
				time.Sleep(time.Minute)
				w.set("app@web.service", func(u *units.Unit) { u.Invocation = fmt.Sprint(i) })
				w.hints <- healthd.Hint{App: "web"}
			}
		})
		if len(w.did) > 0 {
			t.Errorf("%v", w.did)
		}
		if got := w.status.Apps[0].Restarts; got != 50 {
			t.Errorf("%d restarts counted, want 50", got)
		}
		if slices.Contains(w.kinds(), healthd.GaveUp) {
			t.Errorf("%v", w.entries)
		}
	})
}

// An app whose manifest is invalid is left alone, and how it is, is seen all the same.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "other")
		look := func(want healthd.App) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			i := slices.IndexFunc(w.status.Apps, func(a healthd.App) bool { return a.ID == "other" })
			have := w.status.Apps[i]
			if have.State != want.State || have.Reason != want.Reason || have.Level != want.Level {
				t.Errorf("%v %v %v; want %v %v %v", have.State, have.Reason, have.Level, want.State, want.Reason, want.Level)
			}
		}
		w.run(time.Hour, func() {
			look(healthd.App{State: units.IsRunning, Level: "serving"})
			w.mu.Lock()
			w.apps, w.kept = w.apps[:1], []string{"other"}
			w.mu.Unlock()
			w.hints <- healthd.Hint{}
			look(healthd.App{State: units.IsRunning, Reason: units.BecauseInvalid})
			w.set("app@other.service", func(u *units.Unit) { u.Active = units.Failed })
			w.hints <- healthd.Hint{App: "other"}
			look(healthd.App{State: units.IsFailed, Reason: units.BecauseInvalid})
		})
		if len(w.did) > 0 {
			t.Errorf("%v", w.did)
		}
	})
}
