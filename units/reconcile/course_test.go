package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// chain is four apps, each of which needs the one before.
func chain(versions ...string) []units.App {
	return []units.App{app("a", versions[0]), app("b", versions[1], "a"), app("c", versions[2], "b"), app("d", versions[3], "c")}
}

// TestWindowsOverlap: an app starts once the app that it needs serves, so a chain is verified in
// the time of one app. It is rolled back as if the apps had been verified one after another.
func TestWindowsOverlap(t *testing.T) {
	const crashed = " rolled-back: app@%[1]s.service was started, exited, and was restarted within 5s; it runs with its previous files again"
	for name, c := range map[string]struct {
		versions []string
		want     []string
		took     time.Duration
	}{
		"all serve": {[]string{"2", "2", "2", "2"}, []string{"a done", "b done", "c done", "d done"}, 5 * time.Second},
		"the last exits in its window": {
			[]string{"2", "2", "2", "2-crashes"},
			[]string{"a done", "b done", "c done", "d" + fmt.Sprintf(crashed, "d")},
			10 * time.Second,
		},
		"the first does": {
			[]string{"2-crashes", "2", "2", "2"},
			[]string{"a" + fmt.Sprintf(crashed, "a"), "b done", "c done", "d done"},
			10 * time.Second,
		},
		"all do": {
			[]string{"2-crashes", "2-crashes", "2-crashes", "2-crashes"},
			[]string{
				"a" + fmt.Sprintf(crashed, "a"), "b" + fmt.Sprintf(crashed, "b"), "c" + fmt.Sprintf(crashed, "c"), "d" + fmt.Sprintf(crashed, "d"),
			},
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, chain("1", "1", "1", "1")...)
				began := time.Now()
				equal(t, "results", c.want, results(m.run(t, chain(c.versions...)...)))
				if took := time.Since(began); c.took != 0 && took != c.took {
					t.Errorf("the pass took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// TestExitInAWindow: a hint about a watched app has the pass observe it, and an app that has exited
// is not watched further. Without a change, the hint changes nothing.
func TestExitInAWindow(t *testing.T) {
	for name, c := range map[string]struct {
		version, want string
		took          time.Duration
	}{
		"it has exited":   {"2-crashes", "x rolled-back: app@x.service was started, exited, and was restarted within 5s; it runs with its previous files again", 3*time.Second + 5*time.Second},
		"it has not":      {"2", "x done", 5 * time.Second},
		"nothing changes": {"1", "x unchanged", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				host := m.Host()
				host.Hinted = func(string) <-chan struct{} {
					hints := make(chan struct{}, 2)
					hints <- struct{}{} // by the start itself
					time.AfterFunc(3*time.Second+time.Millisecond, func() { hints <- struct{}{} })
					return hints
				}
				began := time.Now()
				want := units.Desired{Apps: []units.App{app("x", c.version)}, Complete: true}
				r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, host)
				if took := time.Since(began).Truncate(time.Second); err != nil || took != c.took {
					t.Errorf("the pass took %v, want %v: %v", took, c.took, err)
				}
				equal(t, "results", []string{c.want}, results(r))
			})
		})
	}
}

// TestDependentOfASilentApp: an app that does not serve holds up those that need it until the pass
// is finished with it.
func TestDependentOfASilentApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("a", "1"), app("b", "1", "a"))
		m.Effects = nil
		m.run(t, app("a", "2-silent"), app("b", "2", "a"))
		at := func(line string) int { return slices.Index(m.Did(), line) }
		if back, next := at("restart app@a.service 1"), at("restart app@b.service 2"); back < 0 || next < back {
			t.Errorf("b started before a was rolled back: %q", m.Did())
		}
	})
}

// TestRollbackOfANeed: an app that started while a later rolled-back app served starts again if it
// tracks the address of that one, or did not stay up itself. Any other stays as it is.
func TestRollbackOfANeed(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		tracks  bool
		starts  int
	}{
		"it stays up":               {"2", false, 1},
		"it tracks the address":     {"2", true, 2},
		"it exits, and would again": {"2-crashes", false, 3}, // the last one is its own rollback
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("a", "1"), app("b", "1", "a"))
				b := app("b", c.version, "a")
				if c.tracks {
					b.Parts[0].TracksAddressOf = []string{"app@a.service"}
				}
				m.Effects = nil
				r := m.run(t, app("a", "2-crashes"), b)
				if n := len(slices.DeleteFunc(m.Did(), func(line string) bool { return !strings.HasPrefix(line, "restart app@b.service") })); n != c.starts {
					t.Errorf("b was started %d times, want %d: %q", n, c.starts, results(r))
				}
				if again := slices.Contains(reasons(r), string(units.ReasonNeedRolledBack)); again != (c.starts > 1) {
					t.Errorf("reasons %q", reasons(r))
				}
			})
		})
	}
}

// TestProgressOfAWindow: the pass says when an app serves, and for how long it watches it.
func TestProgressOfAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		host := m.Host()
		var said []string
		began := time.Now()
		host.Progress = func(e reconcile.Event) {
			if e.Watched > 0 {
				said = append(said, fmt.Sprint(e.App, " ", time.Since(began), " ", e.Watched))
			}
		}
		want := units.Desired{Apps: []units.App{app("a", "1"), app("b", "1", "a")}, Complete: true}
		if _, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, host); err != nil {
			t.Fatal(err)
		}
		equal(t, "said", []string{"a 0s 5s", "b 0s 5s"}, said)
	})
}

// TestDetach: a detached pass ends when the apps serve. The next pass verifies what it changed, and
// rolls it back if it does not stay up.
func TestDetach(t *testing.T) {
	for version, want := range map[string]string{
		"2":         "unchanged",
		"2-crashes": "rolled-back: app@b.service was started, exited, and was restarted within 5s; it runs with its previous files again",
	} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("a", "1"), app("b", "1", "a"))
				host := m.Host()
				host.Detach = true
				next := units.Desired{Apps: []units.App{app("a", "2"), app("b", version, "a")}, Complete: true}
				began := time.Now()
				r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return next, nil }, host)
				if err != nil || time.Since(began) != 0 {
					t.Errorf("it took %v, %v", time.Since(began), err)
				}
				equal(t, "detached", []string{"a watched", "b watched"}, results(r))
				if good, _ := m.Good(); good[0].Digest != "1" || good[1].Digest != "1" {
					t.Errorf("last good before the apps were verified: %v", good)
				}
				equal(t, "next pass", []string{"a unchanged", "b " + want}, results(m.run(t, next.Apps...)))
				good, _ := m.Good()
				if have := m.digestOf("app@b.container"); good[1].Digest != have || (have == "2") != (version == "2") {
					t.Errorf("last good %v, and the file is of %s", good, have)
				}
			})
		})
	}
}

// killedAfter has the pass be killed after a time: it changes nothing any more.
func (m *machine) killedAfter(d time.Duration) {
	at := time.Now().Add(d)
	m.Before = func(verb, _ string) error {
		if verb == "observe" || time.Now().Before(at) {
			return nil
		}
		return reconciletest.ErrKilled
	}
}

// TestWindowsModel plays random sets of apps that need each other, whose new versions serve, exit
// in their windows, fail or never answer, and a pass that is killed or detached at any moment.
// Later passes must lead to the same end: each app runs with its new files if they serve, and with
// its previous ones otherwise, and that is what the newest generation has.
func TestWindowsModel(t *testing.T) {
	versions := []string{"2", "2", "2-crashes", "2-silent", "2-fails"}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "apps")
		before, after := make([]units.App, 0, n), make([]units.App, 0, n)
		for i := range n {
			var needs []string
			for j := range i {
				if rapid.Bool().Draw(rt, "needs") {
					needs = append(needs, before[j].ID)
				}
			}
			id := string(rune('a' + i))
			before = append(before, app(id, "1", needs...))
			after = append(after, app(id, rapid.SampledFrom(versions).Draw(rt, "version"), needs...))
			if len(needs) > 0 && rapid.Bool().Draw(rt, "tracks") {
				after[i].Parts[0].TracksAddressOf = []string{units.ServiceName(needs[0])}
			}
		}
		detach := rapid.Bool().Draw(rt, "detach")
		killAfter := time.Duration(rapid.IntRange(0, 30).Draw(rt, "killed after half seconds")) * time.Second / 2
		synctest.Test(t, func(t *testing.T) {
			m := newMachine()
			m.run(t, before...)
			run := func(host reconcile.Host) reconcile.Report {
				r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return units.Desired{Apps: after, Complete: true}, nil }, host)
				if err != nil && !errors.Is(err, reconciletest.ErrKilled) {
					t.Fatal(err)
				}
				return r
			}
			host := m.Host()
			host.Detach = detach
			if !detach {
				m.killedAfter(killAfter)
			}
			run(host)
			m.Before = nil
			var r reconcile.Report
			for range 4 {
				r = run(m.Host())
				time.Sleep(time.Minute)
			}
			good, _ := m.Good()
			for i, a := range after {
				want := "1"
				if a.Files[0].Digest == "2" {
					want = "2"
				}
				file := m.digestOf(a.Files[0].Name)
				if u := m.mainOf(a.ID); u.Active != units.Active || u.Digest != want || file != want || good[i].Digest != want {
					t.Fatalf("%s should run with %s: unit %+v, file %s, last good %s; %q; log %q", a.ID, want, u, file, good[i].Digest, results(r), m.Did())
				}
			}
		})
	})
}
