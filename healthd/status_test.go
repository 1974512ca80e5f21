package healthd

import (
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// TestErrorEnds: what went wrong is told as long as something is amiss.
func TestErrorEnds(t *testing.T) {
	t.Parallel()
	app := units.App{ID: "web", Parts: []units.Part{{Service: "app@web.service"}}}
	found := map[string]units.Unit{"app@web.service": {Loaded: true, Active: units.Active}}
	a := App{ID: "web", starts: map[string]string{}}
	for _, step := range []struct {
		reason units.Reason
		result reconcile.Result
		want   string
	}{
		{"", reconcile.Result{Outcome: reconcile.Failed, Error: "its file is immutable"}, "its file is immutable"},
		{units.ReasonRolledBack, reconcile.Result{Outcome: reconcile.Unchanged}, "its file is immutable"},
		{"", reconcile.Result{Outcome: reconcile.Unchanged}, ""},
	} {
		a.note(app, found, map[string]units.Reason{"web": step.reason}, step.result)
		if a.Error != step.want {
			t.Errorf("%+v: %q", step, a.Error)
		}
	}
}
