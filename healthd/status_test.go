package healthd

import (
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/status"
)

// TestErrorEnds: what went wrong is told as long as something is amiss.
func TestErrorEnds(t *testing.T) {
	t.Parallel()
	a := App{App: status.App{ID: "web", Condition: status.Condition{State: units.PhaseRunning}}}
	for _, step := range []struct {
		reason units.Reason
		result reconcile.Result
		want   string
	}{
		{"", reconcile.Result{Outcome: reconcile.Failed, Error: "its file is immutable"}, "its file is immutable"},
		{units.ReasonRolledBack, reconcile.Result{Outcome: reconcile.Unchanged}, "its file is immutable"},
		{"", reconcile.Result{Outcome: reconcile.Unchanged}, ""},
	} {
		a.Reason = step.reason
		if a.judge(step.result); a.PassError != step.want {
			t.Errorf("%+v: %q", step, a.PassError)
		}
	}
}
