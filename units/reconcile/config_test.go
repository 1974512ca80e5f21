package reconcile_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// configs is the configuration of the one app with a recipe.
type configs struct {
	machine *machine
	now     units.ConfigDigests
	started map[int]units.ConfigDigests // by the number of the start
	err     error
	// restless: each start of the app changes what it is compared with.
	restless bool
}

const uiService = "app@ui.service"

func withRecipe(a units.App, text string) units.App {
	name := units.RecipeName(a.Parts[0].Service)
	a.Files = append(a.Files, units.File{Name: name, App: a.ID, Digest: text, Content: []byte("[Recipe]\nSecret=\"" + text + "\"\n")})
	a.Files.Sort()
	return a
}

func (c *configs) compare(string, units.Recipe) (want, have units.ConfigDigests, err error) {
	c.machine.mu.Lock()
	defer c.machine.mu.Unlock()
	n := c.machine.starts[uiService]
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
	host := c.machine.host()
	host.Config = c.compare
	r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return units.Desired{Apps: apps, Whole: true}, nil }, host)
	if err != nil {
		t.Fatal(err)
	}
	_, _, _ = c.compare("", units.Recipe{}) // what it was started with
	return r
}

func newConfigs() *configs {
	return &configs{machine: newMachine(), now: units.ConfigDigests{Config: "a", Watched: "w"}, started: map[int]units.ConfigDigests{}}
}

// TestConfigRestartsOnce: what changed restarts its app, once, and nobody else;
// a second change comes at once, too.
func TestConfigRestartsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		apps := []units.App{app("node", "1"), withRecipe(app("ui", "1"), "x")}
		c.run(t, apps...)
		for i, change := range []string{"b", "c"} {
			c.now.Config = change
			r := c.run(t, apps...)
			if len(r.Actions) != 1 || r.Actions[0].Reason != units.BecauseConfig || r.Actions[0].Kind != units.Restart || r.Actions[0].App != "ui" {
				t.Fatalf("change %d: %v", i, r.Actions)
			}
			if r := c.run(t, apps...); r.Changed() {
				t.Fatalf("after change %d: %v", i, r.Actions)
			}
		}
		if c.machine.starts["app@node.service"] != 1 || c.machine.starts[uiService] != 3 {
			t.Errorf("starts: %v", c.machine.starts)
		}
	})
}

// TestConfigUnknown: an app whose configuration can't be told runs on, and it is said.
func TestConfigUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		c.now.Config, c.err = "b", errors.New("no such secret")
		r := c.run(t, ui)
		if r.Changed() || len(r.Actions) != 1 || r.Actions[0].Reason != units.BecauseNoConfig {
			t.Errorf("%v", r.Actions)
		}
	})
}

// TestRestlessConfig: an app whose own start changes what it is compared with is
// not restarted again and again.
func TestRestlessConfig(t *testing.T) {
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
		if n := c.machine.starts[uiService]; n > 10 {
			t.Errorf("%d starts in an hour", n)
		}
	})
}

// TestRecipeIsWrittenWithoutReload: systemd has no unit of a recipe.
func TestRecipeIsWrittenWithoutReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		c.run(t, withRecipe(app("ui", "1"), "x"))
		reloads := c.machine.reloads
		c.now.Config = "b"
		r := c.run(t, withRecipe(app("ui", "1"), "y"))
		if len(r.Actions) != 2 || r.Actions[1].Reason != units.BecauseConfig || c.machine.reloads != reloads {
			t.Errorf("%v, %d reloads", r.Actions, c.machine.reloads-reloads)
		}
	})
}
