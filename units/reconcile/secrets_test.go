package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// TestSecretsComeFirst: they are acquired before an app changes or starts, and not if nothing is
// done. If one is missing, a running app keeps running.
func TestSecretsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		var asked []string
		var missing error
		run := func(version string) reconcile.Report {
			host := m.Host()
			host.Supply = func(_ context.Context, a units.App, lack units.Prerequisites) error {
				if !lack.Secrets {
					return nil
				}
				asked = append(asked, a.ID+" "+version)
				return missing
			}
			ui := app("ui", version)
			ui.Secrets = []units.Secret{{Name: "ui.token"}}
			r, err := reconcile.Run(t.Context(), all(ui, app("node", version)), host)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		run("1")
		run("1")
		if want := []string{"ui 1"}; !slices.Equal(asked, want) {
			t.Errorf("acquired for %v, want %v", asked, want)
		}
		missing = errors.New("archgen secret set ui.token")
		r := run("2")
		i := slices.IndexFunc(r.Results, func(a reconcile.Result) bool { return a.App == "ui" })
		if got := r.Results[i]; got.Outcome != reconcile.Failed || !strings.Contains(got.Error, "archgen secret set ui.token") {
			t.Errorf("%+v", got)
		}
		if ui, node := m.mainOf("ui"), m.mainOf("node"); ui.Digest != "1" || node.Digest != "2" {
			t.Errorf("%+v, %+v", ui, node)
		}
	})
}

// TestSecretsOfWhatSystemdRestarts: an app that was started by hand and fails without a secret has
// it at systemd's next restart.
func TestSecretsOfWhatSystemdRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		var asked []string
		host := m.Host()
		host.Supply = func(_ context.Context, a units.App, lack units.Prerequisites) error {
			if !lack.Secrets {
				return nil
			}
			asked = append(asked, a.ID)
			return nil
		}
		ui := app("ui", "1")
		ui.Secrets = []units.Secret{{Name: "ui.token"}}
		desired := all(ui)
		for range 2 {
			if _, err := reconcile.Run(t.Context(), desired, host); err != nil {
				t.Fatal(err)
			}
			m.Crash("app@ui.service")
		}
		if want := []string{"ui", "ui"}; !slices.Equal(asked, want) {
			t.Errorf("acquired for %v, want %v", asked, want)
		}
	})
}

// TestRotatingIsNotDelayed: a rotation does not wait for the backoff of the app, and verifies the
// app even if it has no steps.
func TestRotatingIsNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfigs()
		ui := withRecipe(app("ui", "1"), "x")
		c.run(t, ui)
		for range 6 {
			c.machine.Records.Repaired(ui, units.ReasonConfigDiffers, c.machine.Host().Now())
		}
		c.now.Config = "b"
		if r := c.run(t, ui); r.Changed() {
			t.Fatalf("without a rotation: %v", r.Actions)
		}
		ui.Rotating = true
		if r := c.run(t, ui); len(r.Actions) != 2 || r.Actions[0].Kind != units.ResetFailed || r.Actions[1].Reason != units.ReasonConfigDiffers {
			t.Fatalf("with one: %v", r.Actions)
		}
		silent := app("ui", "1-silent")
		silent.Rotating = true
		m := newMachine()
		m.Install(silent)
		if r := m.run(t, silent); r.Results[0].Outcome != reconcile.NotServing {
			t.Errorf("%+v", r.Results)
		}
	})
}

// TestCompanionRestartsOnce: a companion that restarts with its app has its configuration
// then.
func TestCompanionRestartsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.PartOf[uiService] = []string{"app@node.service"}
		var mu sync.Mutex
		now, started := "a", map[string]string{}
		host := m.Host()
		host.Config = func(service string, _ []byte) (want, have units.ConfigDigests, err error) {
			mu.Lock()
			defer mu.Unlock()
			invocation := service + m.Unit(service).Invocation
			if started[invocation] == "" {
				started[invocation] = now
			}
			return units.ConfigDigests{Config: now}, units.ConfigDigests{Config: started[invocation]}, nil
		}
		node, ui := withRecipe(app("node", "1"), "x"), withRecipe(app("ui", "1", "node"), "x")
		node.Companions = []string{"ui"}
		run := func() reconcile.Report {
			r, err := reconcile.Run(t.Context(), all(ui, node), host)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		run()
		run()
		now = "b"
		if r := run(); len(r.Actions) != 1 || r.Actions[0].App != "node" || m.Starts(uiService) != 2 {
			t.Errorf("%v, ui started %d times", r.Actions, m.Starts(uiService))
		}
		if r := run(); r.Changed() {
			t.Errorf("again: %v", r.Actions)
		}
	})
}

// TestRotatingAndRestarting: an app that exits repeatedly with a new value is verified, and does
// not serve, although the pass leaves it to systemd.
func TestRotatingAndRestarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		m.Put("app@x.service", units.Unit{Active: units.Activating, Restarting: true, Invocation: "2"})
		rotating := app("x", "1")
		rotating.Rotating = true
		equal(t, "results", []string{
			"x not-serving: app@x.service was started and is restarting: it exited right after its start",
		}, results(m.run(t, rotating)))
	})
}
