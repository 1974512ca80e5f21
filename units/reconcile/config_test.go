package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// configs is the configuration of the one app with a recipe.
type configs struct {
	machine *machine
	mu      sync.Mutex
	now     units.ConfigDigests
	started map[int]units.ConfigDigests // by the number of the start
	err     error
	// restless: each start of the app changes its desired configuration.
	restless bool
	// called is Host.Preempt.
	called func(app string) <-chan struct{}
}

// reload lets the app read its reloadable files again.
func (c *configs) reload(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.machine.Starts(uiService)
	has := c.started[n]
	has.Reloadable = c.now.Reloadable
	c.started[n] = has
	return nil
}

const uiService = "app@ui.service"

func withRecipe(a units.App, text string) units.App {
	name := units.PrestartName(a.Parts[0].Service)
	a.Files = append(a.Files, units.File{Name: name, App: a.ID, Digest: text, Content: []byte("[Recipe]\nSecret=\"" + text + "\"\n")})
	a.Files.Sort()
	return a
}

// reloads is how often systemd read the files.
func (c *configs) reloads() (n int) {
	for _, e := range c.machine.Effects {
		if e.Verb == "reload" {
			n++
		}
	}
	return n
}

func (c *configs) compare(string, []byte) (want, have units.ConfigDigests, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.machine.Starts(uiService)
	if _, seen := c.started[n]; !seen {
		c.started[n] = c.now
		if c.restless {
			c.now.Watched += "+"
		}
	}
	return c.now, c.started[n], c.err
}

func (c *configs) run(t *testing.T, apps ...units.App) reconcile.Report {
	t.Helper()
	host := c.machine.Host()
	host.Config, host.Preempt = c.compare, c.called
	r, err := reconcile.Run(t.Context(), all(apps...), host)
	if err != nil {
		t.Fatal(err)
	}
	_, _, _ = c.compare("", nil) // what it was started with
	return r
}

func newConfigs() *configs {
	c := &configs{machine: newMachine(), now: units.ConfigDigests{Config: "a", Watched: "w", Reloadable: "r"}, started: map[int]units.ConfigDigests{}}
	c.machine.Reloading = c.reload
	return c
}

// TestConfigRestartsOnce: a change restarts its app once, and no other; a second change is applied
// at once, too.
func TestConfigRestartsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		apps := []units.App{app("node", "1"), withRecipe(app("ui", "1"), "x")}
		c.run(t, apps...)
		for i, change := range []string{"b", "c"} {
			c.now.Config = change
			r := c.run(t, apps...)
			if len(r.Actions) != 1 || r.Actions[0].Reason != units.ReasonConfigDiffers || r.Actions[0].Kind != units.Restart || r.Actions[0].App != "ui" {
				t.Fatalf("change %d: %v", i, r.Actions)
			}
			if r := c.run(t, apps...); r.Changed() {
				t.Fatalf("after change %d: %v", i, r.Actions)
			}
		}
		if c.machine.Starts("app@node.service") != 1 || c.machine.Starts(uiService) != 3 {
			t.Errorf("starts: %v", c.machine.Starts(uiService))
		}
	})
}

// TestWatchedRestartsAtOnce: each change of what an app watches restarts it at once, however often
// that happened before: each restart helped, and until the next one the app uses an address that
// does not answer.
func TestWatchedRestartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		for i := range 8 {
			c.now.Watched += "+"
			r := c.run(t, ui)
			if len(r.Actions) != 1 || r.Actions[0].Reason != units.ReasonWatchedFileDiffers || r.Actions[0].Kind != units.Restart {
				t.Fatalf("change %d: %v", i, r.Actions)
			}
		}
	})
}

// TestWatchedRestartsAtOnceUnseen: the same if each pass that restarts the app is preempted, and the
// app then waits for its operator: a wallet is locked again by each restart.
func TestWatchedRestartsAtOnceUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		host := c.machine.Host()
		host.Config = c.compare
		host.Health = func(context.Context, units.File, units.Part, units.Unit) (units.Health, string) {
			return units.NeedsUser, ""
		}
		run := func() reconcile.Report {
			t.Helper()
			r, err := reconcile.Run(t.Context(), all(ui), host)
			if err != nil {
				t.Fatal(err)
			}
			_, _, _ = c.compare("", nil)
			return r
		}
		for i := range 8 {
			c.now.Watched += "+"
			called := make(chan struct{})
			close(called)
			host.Preempt = func(string) <-chan struct{} { return called }
			if r := run(); len(r.Actions) != 1 || r.Actions[0].Reason != units.ReasonWatchedFileDiffers || r.Actions[0].Kind != units.Restart {
				t.Fatalf("change %d: %v", i, r.Actions)
			}
			host.Preempt = nil
			c.machine.Set(uiService, func(u *units.Unit) { u.Up = 10 * time.Second })
			if r := run(); r.Changed() {
				t.Fatalf("after change %d: %v", i, r.Actions)
			}
		}
	})
}

// TestFollowerRestartsInTheSamePass: the pass that starts an app then restarts the apps that track
// its address, unless the start is not made.
func TestFollowerRestartsInTheSamePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		const node = "app@node.service"
		follower := withRecipe(app("ui", "1", "node"), "x")
		follower.RestartAfter, follower.Parts[0].TracksAddressOf = []string{"node"}, []string{node}
		var mu sync.Mutex
		at := map[int]string{} // the start of the node, by the start of the follower
		host := m.Host()
		host.Config = func(string, []byte) (want, have units.ConfigDigests, err error) {
			mu.Lock()
			defer mu.Unlock()
			n := m.Starts(uiService)
			if _, seen := at[n]; !seen {
				at[n] = m.Unit(node).Invocation
			}
			return units.ConfigDigests{Watched: m.Unit(node).Invocation}, units.ConfigDigests{Watched: at[n]}, nil
		}
		run := func(node units.App) {
			m.Effects = nil
			apps := units.Desired{Apps: []units.App{node, follower}, Complete: true}
			if _, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return apps, nil }, host); err != nil {
				t.Fatal(err)
			}
			_, _, _ = host.Config("", nil)
		}
		starts := func() (list []string) {
			for _, line := range m.Did() {
				if strings.HasPrefix(line, "start ") || strings.HasPrefix(line, "restart ") {
					list = append(list, line)
				}
			}
			return list
		}
		run(app("node", "1"))
		run(app("node", "2"))
		equal(t, "an edit of the node", []string{"restart " + node + " 2", "restart " + uiService + " 1"}, starts())
		run(app("node", "2"))
		equal(t, "the next pass", nil, starts())
		m.Lacks["node"] = errNoRoute
		run(app("node", "3"))
		equal(t, "an edit that waits for its image", nil, starts())
	})
}

// TestReload: a change of reloadable files reloads the app once and starts nothing. Any further
// change restarts it.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		c.machine.Effects = nil
		for _, change := range []string{"s", "t", "u"} {
			c.now.Reloadable = change
			r := c.run(t, ui)
			equal(t, "results", []string{"ui done"}, results(r))
			if r := c.run(t, ui); r.Changed() {
				t.Fatalf("after change %s: %v", change, r.Actions)
			}
		}
		reload := "reload-service " + uiService
		equal(t, "log", []string{reload, reload, reload}, c.machine.Did())
		if len(c.machine.Records["ui"].Pending) > 0 || c.machine.Records["ui"].Tries > 1 { // its first start
			t.Errorf("history: %v", c.machine.Records)
		}
		c.now.Reloadable, c.now.Config = "v", "b"
		c.machine.Effects = nil
		c.run(t, ui)
		equal(t, "log of a change of both", []string{"restart " + uiService + " 1"}, c.machine.Did())
	})
}

// TestReloadAgain: a change during the verification of a reload is reloaded, too, because the
// first reload helped.
func TestReloadAgain(t *testing.T) {
	for name, after := range map[string]struct{ changed, called time.Duration }{
		"during the reload":                   {500 * time.Millisecond, 3 * time.Second},
		"after it":                            {3 * time.Second, 3 * time.Second},
		"the pass does not wait for a reload": {1500 * time.Millisecond, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConfigs()
				ui := withRecipe(app("ui", "1"), "x")
				c.run(t, ui)
				c.machine.Effects = nil
				calls := make(chan struct{})
				c.called = func(string) <-chan struct{} { return calls }
				c.now.Reloadable = "s"
				time.AfterFunc(after.changed, func() {
					c.mu.Lock()
					c.now.Reloadable = "t"
					c.mu.Unlock()
				})
				time.AfterFunc(after.called, func() { close(calls) })
				c.run(t, ui)
				time.Sleep(2 * time.Second)
				c.called = nil
				c.run(t, ui)
				if r := c.run(t, ui); r.Changed() {
					t.Errorf("after both changes: %v", r.Actions)
				}
				if has := c.started[c.machine.Starts(uiService)].Reloadable; has != "t" {
					t.Errorf("it has read %q", has)
				}
				for _, line := range c.machine.Did() {
					if line != "reload-service "+uiService {
						t.Errorf("log: %v", c.machine.Did())
					}
				}
			})
		})
	}
}

// TestReloadThatFails: if a reload fails, the app restarts after a delay and reads its
// configuration then.
func TestReloadThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		c.machine.Effects = nil
		c.now.Reloadable, c.machine.Reloading = "s", func(string) error { return errors.New("no space left") }
		equal(t, "results", []string{"ui not-serving: no space left"}, results(c.run(t, ui)))
		equal(t, "reasons", []string{string(units.ReasonBackingOff)}, reasons(c.run(t, ui)))
		time.Sleep(20 * time.Second) // after two repairs, the first being its first start
		c.run(t, ui)
		equal(t, "log", []string{"reload-service " + uiService, "restart " + uiService + " 1"}, c.machine.Did())
		if r := c.run(t, ui); r.Changed() {
			t.Errorf("then %v", r.Actions)
		}
	})
}

// TestReloadThatEndsTheApp: a program that exits because of what it read returns to its previous
// files, even if the pass that reloaded it did not wait to see that.
func TestReloadThatEndsTheApp(t *testing.T) {
	for name, isCalled := range map[string]bool{"seen by the second check": false, "seen by a later pass": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConfigs()
				m := c.machine
				c.run(t, withRecipe(app("ui", "1"), "x"))
				m.Effects = nil
				m.Reloading = func(service string) error {
					_ = c.reload(service)
					go func() {
						time.Sleep(300 * time.Millisecond)
						m.Crash(service)
					}()
					return nil
				}
				if isCalled {
					c.called = func(string) <-chan struct{} { made := make(chan struct{}); close(made); return made }
				}
				changed := withRecipe(app("ui", "1"), "y")
				c.now.Reloadable = "s"
				r := c.run(t, changed)
				if isCalled {
					equal(t, "first results", []string{"ui starting: not verified yet: interrupted by a change to another app"}, results(r))
					equal(t, "reasons during the reload", []string{string(units.ReasonJobUnderWay)}, reasons(c.run(t, changed)))
					c.called = nil
					time.Sleep(2 * time.Second)
					r = c.run(t, changed)
				}
				if len(r.Results) != 1 || r.Results[0].Outcome != reconcile.RolledBack {
					t.Errorf("results: %+v", r.Results)
				}
				equal(t, "log", []string{
					"write archipelago-ui.recipe y", "reload-service " + uiService,
					"write archipelago-ui.recipe x", "reload", "reset-failed " + uiService, "restart " + uiService + " 1",
				}, m.Did())
			})
		})
	}
}

// TestConfigUnknown: an app whose configuration is unknown keeps running, and the report says so.
func TestConfigUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		c.now.Config, c.err = "b", errors.New("no such secret")
		r := c.run(t, ui)
		if r.Changed() || len(r.Actions) != 1 || r.Actions[0].Reason != units.ReasonConfigUnknown {
			t.Errorf("%v", r.Actions)
		}
	})
}

// TestConfigThatEachStartChanges: an app whose own start changes its desired configuration does not restart
// repeatedly.
func TestConfigThatEachStartChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		c.restless = true
		c.now.Watched = "v"
		for range 3600 {
			c.run(t, ui)
			time.Sleep(time.Second)
		}
		if n := c.machine.Starts(uiService); n > 10 {
			t.Errorf("%d starts in an hour", n)
		}
	})
}

// TestRecipeIsWrittenWithoutReload: systemd has no unit for a recipe.
func TestRecipeIsWrittenWithoutReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		c.run(t, withRecipe(app("ui", "1"), "x"))
		reloads := c.reloads()
		c.now.Config = "b"
		r := c.run(t, withRecipe(app("ui", "1"), "y"))
		if len(r.Actions) != 2 || r.Actions[1].Reason != units.ReasonConfigDiffers || c.reloads() != reloads {
			t.Errorf("%v, %d reloads", r.Actions, c.reloads()-reloads)
		}
	})
}
