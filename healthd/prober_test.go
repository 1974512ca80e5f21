package healthd_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// TestLatenciesWait: changing latencies of many apps are published a few times a minute, not
// with each answer.
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
		w.Set("app@db.service", payload("/db/1"))
		w.Set("app@web.service", payload("/web/1"))
		w.run(time.Hour, func() {
			time.Sleep(time.Second)
			follows("/db/1", "/web/1")
			w.Set("app@web.service", payload("/web/2"))
			w.hints <- healthd.Hint{App: "web"}
			time.Sleep(time.Second)
			follows("/db/1", "/web/2")
			w.Set("app@db.service", payload(""))
			w.hints <- healthd.Hint{App: "db"}
			time.Sleep(time.Second)
			follows("/web/2")
		})
	})
}

// TestUnwatched: what is not watched is published with the reason, logged once, and logged
// again when it is watched. Containers that are not watched count like files.
func TestUnwatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		full := fmt.Errorf("opening an inotify instance: %w", syscall.EMFILE)
		w.run(time.Hour, func() {
			for _, step := range []struct {
				files, groups error
				want          units.Reason
			}{
				{nil, nil, ""},
				{full, nil, units.ReasonNoWatchInstance},
				{full, nil, units.ReasonNoWatchInstance},
				{nil, fmt.Errorf("watching the containers of web: %w", syscall.ENOSPC), units.ReasonNoWatch},
				{errors.New("what is that?"), nil, units.ReasonNotWatched},
				{nil, nil, ""},
			} {
				w.fileWatch <- step.files
				w.mu.Lock()
				w.unfollowed = step.groups
				w.mu.Unlock()
				w.hints <- healthd.Hint{}
				time.Sleep(time.Minute)
				w.mu.Lock()
				have := w.status.Watch
				w.mu.Unlock()
				if have.Reason() != step.want {
					t.Errorf("%+v: %+v", step, have)
				}
			}
		})
		var said []units.Reason
		for _, e := range w.entries {
			if e.Kind == journal.WatchDegraded || e.Kind == journal.WatchRestored {
				said = append(said, e.Reason)
			}
		}
		if d := cmp.Diff([]units.Reason{units.ReasonNoWatchInstance, "", units.ReasonNoWatch, units.ReasonNotWatched, ""}, said); d != "" {
			t.Errorf("logged (-want +got):\n%s", d)
		}
	})
}

// To wake up costs more than to ask: all are asked at the same moments, however
// their starts lie apart, and within a tenth of their intervals.
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
				t.Errorf("a service was probed at %v, between two beats", at)
			}
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
		at, err := time.ParseDuration(strings.Fields(w.did()[0])[0])
		if err != nil || at > 2*time.Minute {
			t.Errorf("%v, %v", w.did(), err)
		}
	})
}

// TestSaidOnce: one failed probe is not reported. That an app is unhealthy is reported once,
// and that it serves again once, even if it was restarted in between.
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
		kinds := slices.DeleteFunc(w.kinds(), func(k journal.Kind) bool { return k != journal.Unhealthy && k != journal.Recovered })
		if want := []journal.Kind{journal.Unhealthy, journal.Recovered}; !slices.Equal(kinds, want) {
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
				if len(w.did()) > 0 {
					t.Errorf("%v", w.did())
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

// TestRestartedApp: a restarted app is probed again, and the results of the previous start
// do not count.
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
		w.run(59*time.Minute, func() { // a minute later its restarts are forgotten
			for i := range 50 {
				time.Sleep(time.Minute)
				w.Set("app@web.service", func(u *units.Unit) { u.Invocation, u.Restarts, u.Up = fmt.Sprint(i), uint32(i+1), 0 })
				w.hints <- healthd.Hint{App: "web"}
			}
		})
		if len(w.did()) > 0 {
			t.Errorf("%v", w.did())
		}
		if got := w.status.Apps[0].Restarts; got != 50 {
			t.Errorf("%d restarts, systemd says 50", got)
		}
		if slices.Contains(w.kinds(), journal.GaveUp) {
			t.Errorf("%v", w.entries)
		}
	})
}
