package updater

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// TestVerdictOfAnUpdate: what a pass says of the app and of those whose files the release changes.
func TestVerdictOfAnUpdate(t *testing.T) {
	t.Parallel()
	result := func(app string, outcome reconcile.Outcome) reconcile.Result {
		return reconcile.Result{App: app, Outcome: outcome, Error: "why", Log: []string{"last words"}}
	}
	leave := func(reason units.Reason) []units.Action {
		return []units.Action{{App: "web", Kind: units.Leave, Target: "app@web.service", Reason: reason}}
	}
	fails := update.Verdict{Kind: update.Fails, Why: "why", Log: []string{"last words"}}
	for what, c := range map[string]struct {
		results []reconcile.Result
		actions []units.Action
		want    update.Verdict
	}{
		"restarted":                 {results: []reconcile.Result{result("web", reconcile.Done)}},
		"already restarted":         {results: []reconcile.Result{result("web", reconcile.Unchanged)}},
		"it waits for a user":       {results: []reconcile.Result{result("web", reconcile.Unchanged)}, actions: leave(units.ReasonNeedsUser)},
		"rolled back":               {results: []reconcile.Result{result("web", reconcile.RolledBack)}, want: fails},
		"not serving":               {results: []reconcile.Result{result("web", reconcile.NotServing)}, want: fails},
		"no image":                  {results: []reconcile.Result{result("web", reconcile.Failed)}, want: update.Verdict{Kind: update.Unavailable, Why: "why", Log: []string{"last words"}}},
		"still starting":            {results: []reconcile.Result{result("web", reconcile.Starting)}, want: update.Verdict{Kind: update.Undecided, Why: "why", Log: []string{"last words"}}},
		"stopped":                   {results: []reconcile.Result{result("web", reconcile.Unchanged)}, actions: leave(units.ReasonStoppedByOperator), want: update.Verdict{Kind: update.Halted}},
		"healthd restarts it":       {results: []reconcile.Result{result("web", reconcile.Done)}, actions: leave(units.ReasonStopping)},
		"another one that was down": {results: []reconcile.Result{result("tor", reconcile.NotServing), result("web", reconcile.Done)}},
		"another one that was up": {
			results: []reconcile.Result{result("up", reconcile.RolledBack), result("web", reconcile.Done)},
			want:    update.Verdict{Kind: update.Fails, Why: "up: why", Log: []string{"last words"}},
		},
		"another one that still starts": {results: []reconcile.Result{result("up", reconcile.Starting), result("web", reconcile.Done)}},
	} {
		got := verdictOf(reconcile.Report{Results: c.results, Actions: c.actions}, &update.Journal{App: "web", Others: []string{"tor", "up"}, Up: []string{"up"}})
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
}
