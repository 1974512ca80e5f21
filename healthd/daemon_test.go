package healthd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/status"
)

// TestQuiet: a day of an app that serves costs its probes and a look now and
// then. Nothing is done, nothing is logged.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "lnd")
		w.run(24*time.Hour, nil)
		if len(w.did())+len(w.entries) > 0 {
			t.Errorf("%v %v", w.did(), w.entries)
		}
		for address, n := range w.probes {
			if n < 2800 || n > 2950 {
				t.Errorf("%s was asked %d times, every 30 s is 2,880", address, n)
			}
		}
		if w.passes < 280 || w.passes > 350 {
			t.Errorf("%d passes, every 5 min is 288", w.passes)
		}
		if a := w.status.Apps; len(a) != 2 || a[1].ID != "web" || a[1].State != units.PhaseRunning || a[1].Level != "serving" || a[1].Reason != "" {
			t.Errorf("%+v", a)
		}
	})
}

// TestTrials: trials are checked after each pass, with what the pass saw, and when one ends.
func TestTrials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		var at []time.Duration
		w.trials = func(_ context.Context, r reconcile.Report, _ units.History) map[string]time.Time {
			at = append(at, time.Since(w.began).Round(time.Second))
			if r.Units["app@web.service"].Active != units.Active {
				t.Error("the pass has not observed the service")
			}
			if len(at) > 1 {
				return nil
			}
			return map[string]time.Time{"web": w.began.Add(90 * time.Second)}
		}
		w.run(2*time.Minute, func() {
			time.Sleep(time.Minute)
			w.hints <- healthd.Hint{App: "web"}
		})
		if d := cmp.Diff([]time.Duration{0, time.Minute, 90 * time.Second}, at); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// A lost file of a running app is restored before the first call of systemd, which may take
// long to answer.
func TestRestoredWhileSystemdIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(10*time.Minute, func() {
			time.Sleep(time.Minute)
			w.Change(func() { w.Busy = 20 * time.Second })
			w.Delete("app@web.container")
			w.hints <- healthd.Hint{App: "web"}
			time.Sleep(time.Second)
			if !w.has("app@web.container") {
				t.Error("the file of a running app was not restored immediately")
			}
		})
		if d := cmp.Diff([]string{"1m0s write app@web.container", "1m20s reload"}, w.did()[:2]); d != "" {
			t.Errorf("what was done (-want +got):\n%s", d)
		}
	})
}

// TestLadder: an app that never answers again is restarted, recreated, given up,
// and then tried once an hour; the others are left alone. When it answers, that
// is said, and after ten minutes it is forgotten.
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
		for _, line := range w.did() {
			_, action, _ := strings.Cut(line, " ")
			kinds[action]++
		}
		// 5 tries within a few minutes, then 20 min, 40 min, and hourly.
		if n := kinds["recreate app@web.service"]; kinds["restart app@web.service"] != 1 || n < 20 || n > 36 || len(kinds) != 2 {
			t.Errorf("%v", kinds)
		}
		if first := w.did()[0]; !strings.HasSuffix(first, " restart app@web.service") {
			t.Errorf("the first step: %s", first)
		}
		var gaveUp, recovered int
		for _, k := range w.kinds() {
			if k == journal.GaveUp {
				gaveUp++
			}
			if k == journal.Recovered {
				recovered++
			}
		}
		if gaveUp == 0 || recovered == 0 {
			t.Errorf("gave up %d times, recovered %d times", gaveUp, recovered)
		}
		if len(w.Records) > 0 {
			t.Errorf("two hours after it is well: %v", w.Records)
		}
	})
}

// TestForgetRestarts: ten minutes after an automatic restart, and not only at the next resync, a
// service that is healthy begins a new series of restarts. The number for Prometheus never sinks.
func TestForgetRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "lnd")
		w.Set("app@lnd.service", func(u *units.Unit) { u.Restarts, u.Up = 7, 9*time.Minute+30*time.Second })
		crash := func(at time.Duration, restarts uint32) {
			time.Sleep(at - time.Since(w.began))
			w.Set("app@web.service", func(u *units.Unit) { u.Restarts, u.Invocation, u.Up = restarts, u.Invocation+"1", 0 })
			w.hints <- healthd.Hint{App: "web"}
		}
		w.run(time.Hour, func() {
			crash(time.Minute, 1)
			crash(6*time.Minute, 2)
			crash(30*time.Minute, 1)
		})
		if d := cmp.Diff([]string{
			"30s reset-failed app@lnd.service", "16m0s reset-failed app@web.service", "40m0s reset-failed app@web.service",
		}, w.did()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if w.passes > 24 {
			t.Errorf("%d passes in an hour", w.passes)
		}
		for i, want := range []uint64{0, 3} {
			if a := w.status.Apps[i]; a.Restarts != 0 || a.Restarted != want || a.Reason != "" {
				t.Errorf("%s: %d restarts, %d since healthd started, want %d; %s", a.ID, a.Restarts, a.Restarted, want, a.Reason)
			}
		}
		if len(w.Records) > 0 {
			t.Errorf("history: %v", w.Records)
		}
	})
}

// TestForeignFile: a foreign file with the name of a unit file is reported once, even if
// passes find it repeatedly.
func TestForeignFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.WriteForeign("app@web.container")
		w.run(time.Hour, func() {})
		i := slices.IndexFunc(w.entries, func(e journal.Event) bool { return e.Kind == journal.ForeignFile })
		if i < 0 || w.entries[i].App != "web" || w.entries[i].Target != "app@web.container" || w.entries[i].Reason != units.ReasonFileForeign {
			t.Errorf("%+v", w.entries)
		}
		if kinds := w.kinds(); !slices.Equal(kinds, []journal.Kind{journal.ForeignFile}) {
			t.Errorf("%v", kinds)
		}
	})
}

// TestBurst: a thousand hints at once are one pass, or two.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(time.Minute, func() {
			time.Sleep(time.Second)
			w.Delete("app@web.container")
			for range 1000 {
				w.hints <- healthd.Hint{App: "web"}
			}
		})
		if d := cmp.Diff([]string{"1s write app@web.container", "1s reload"}, w.did()); d != "" {
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
		w.Set("app@web.service", func(u *units.Unit) { u.Active = units.Failed })
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
				if len(w.did()) != 2 || !strings.HasSuffix(w.did()[0], " reset-failed app@web.service") || !strings.HasSuffix(w.did()[1], " start app@web.service") {
					t.Fatalf("%v", w.did())
				}
				if at, err := time.ParseDuration(strings.Fields(w.did()[0])[0]); err != nil || at > time.Second+tt.most {
					t.Errorf("%v, %v", w.did(), err)
				}
			})
		})
	}
}

// TestRest: what a look at everything took is given back once nothing has gone on for
// a while, and once only.
func TestRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(9*time.Minute, func() {
			for range 30 { // one a second: none of them is the last
				time.Sleep(time.Second)
				w.hints <- healthd.Hint{}
			}
		})
		if d := cmp.Diff([]time.Duration{45 * time.Second}, w.rests[:1]); d != "" || len(w.rests) != 2 { // the second after the resync
			t.Errorf("it rested at %v (-want +got):\n%s", w.rests, d)
		}
	})
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
		if d := cmp.Diff([]string{"1s restart app@web.service"}, w.did()); d != "" {
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
		w.Delete("app@web.container")
		w.run(2*time.Hour, func() {
			time.Sleep(time.Hour)
			w.mu.Lock()
			if w.passes > 35 {
				t.Errorf("%d passes in an hour that can't do anything", w.passes)
			}
			w.failing = nil
			w.mu.Unlock()
		})
		if d := cmp.Diff([]journal.Kind{journal.PassFailed}, w.kinds()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if len(w.did()) != 2 {
			t.Errorf("%v", w.did())
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
		m.Host.Supply = func(context.Context, units.App, units.Prerequisites) error {
			if n := len(tries); n == 0 || time.Since(w.began) >= tries[n-1]+time.Second<<(n-1) {
				tries = append(tries, time.Since(w.began))
				go func() { time.Sleep(100 * time.Millisecond); w.hints <- healthd.Hint{App: "web"} }()
			}
			return errors.New("connection refused")
		}
		w.Delete("app@web.container")
		w.Set("app@web.service", func(u *units.Unit) { u.Digest = "of another image" })
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
		w.StartTakes["app@web.service"] = time.Hour
		w.Set("app@web.service", func(u *units.Unit) { u.Active = units.Failed })
		w.Delete("app@web.container")
		w.run(5*time.Second, nil) // checks how long the end takes
		if d := cmp.Diff([]string{"0s write app@web.container", "0s reload", "0s reset-failed app@web.service", "0s start app@web.service"}, w.did()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// TestRolledBackIsAskedAsItIs: after a rollback an app is probed at the address in its
// last-good files, and not restarted because nothing answers at the new one.
func TestRolledBackIsAskedAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		good := rendered("web", "127.0.0.1:1")
		w.Generations = []units.Set{{good}}
		w.Write(good)
		w.Load()
		w.answers["127.0.0.1:1"], w.answers["127.0.0.1:18080"] = serves, refuses
		w.Records["web"] = units.Record{ManifestDigest: "m", RolledBack: true}
		w.run(time.Hour, nil)
		if a := w.status.Apps[0]; a.Level != "serving" || a.Reason != units.ReasonRolledBack || len(w.did()) > 0 || w.probes["127.0.0.1:18080"] > 0 {
			t.Errorf("%+v; did %v, asked %v", a, w.did(), w.probes)
		}
	})
}

// TestKeptIsWatched: an app whose manifest has an error, and that has served, is looked
// after as it was, also by a daemon that never saw a better manifest.
func TestKeptIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "other", "web")
		w.Generations, w.kept, w.apps = []units.Set{{rendered("web", "127.0.0.1:18081")}}, []string{"web"}, w.apps[:1]
		w.Delete("app@web.container")
		w.answers["127.0.0.1:18081"] = func(ctx context.Context) probe.Outcome {
			w.mu.Lock()
			defer w.mu.Unlock()
			if time.Since(w.began) > time.Hour && w.Unit("app@web.service").Invocation == "1" { // until it is restarted
				return refuses(ctx)
			}
			return serves(ctx)
		}
		w.run(2*time.Hour, nil)
		if len(w.did()) != 3 || w.did()[0] != "0s write app@web.container" || w.did()[1] != "0s reload" || !strings.HasSuffix(w.did()[2], " restart app@web.service") {
			t.Errorf("it did %q", w.did())
		}
		if a := w.status.Apps[1]; a.Reason != units.ReasonInvalidManifest || a.Level != "serving" {
			t.Errorf("%+v", a)
		}
	})
}

// An app whose manifest is invalid, so that its desired state is unknown, is left unchanged.
// Its status is still reported.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "other")
		look := func(want status.Condition) {
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
			look(status.Condition{State: units.PhaseRunning, Level: "serving"})
			w.mu.Lock()
			w.apps, w.kept = w.apps[:1], []string{"other"}
			w.mu.Unlock()
			w.hints <- healthd.Hint{}
			look(status.Condition{State: units.PhaseRunning, Reason: units.ReasonInvalidManifest, Level: "serving"})
			w.Set("app@other.service", func(u *units.Unit) { u.Active = units.Failed })
			w.hints <- healthd.Hint{App: "other"}
			look(status.Condition{State: units.PhaseFailed, Reason: units.ReasonInvalidManifest})
		})
		if len(w.did()) > 0 {
			t.Errorf("%v", w.did())
		}
	})
}
