package updater

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// TestInvalid: a release is blamed for errors of its manifest, and not for a disk that can't be read.
func TestInvalid(t *testing.T) {
	t.Parallel()
	of := func(file string, code diag.Code) *compile.Compiled {
		return &compile.Compiled{Diags: diag.List{{Severity: diag.Error, Code: code, File: file, Line: 1, Column: 1, Message: "why"}}}
	}
	for what, c := range map[string]struct {
		k       *compile.Compiled
		want    update.Verdict
		isError bool
	}{
		"an error":               {of("/apps/web.yaml", diag.Conflict), update.Verdict{Kind: update.Fails, Why: "its manifest has errors: /apps/web.yaml:1:1: error: why"}, false},
		"it can't be read":       {of("/apps/web.yaml", diag.Unreadable), update.Verdict{Kind: update.Unavailable, Why: "its manifest has errors: /apps/web.yaml:1:1: error: why"}, false},
		"no manifest can be":     {of("/apps", diag.Unreadable), update.Verdict{}, true},
		"another app has errors": {of("/apps/tor.yaml", diag.Conflict), update.Verdict{}, true},
	} {
		got, err := invalid(c.k, "web")
		if d := cmp.Diff(c.want, got); d != "" || (err != nil) != c.isError {
			t.Errorf("%s: %v, -want +got:\n%s", what, err, d)
		}
	}
}

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
