package machine

import (
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// TestStartThatWaits: a service whose start waits in systemd's queue is starting,
// or a pass would start it over, and systemd would go on without it.
func TestStartThatWaits(t *testing.T) {
	for _, c := range []struct {
		state, job string
		want       units.ActiveState
	}{
		{"inactive", "", units.Inactive},
		{"inactive", "start", units.Activating},
		{"failed", "restart", units.Activating},
		{"inactive", "stop", units.Inactive},
		{"deactivating", "restart", units.Deactivating},
	} {
		found, err := service(systemd.Unit{LoadState: "loaded", ActiveState: c.state}, c.job)
		if err != nil || found.State.Active != c.want {
			t.Errorf("%s with the job %q: %s, %v; want %s", c.state, c.job, found.State.Active, err, c.want)
		}
	}
}

// TestAppOfPull: the end of a unit that gets what an app lacks is about that app.
func TestAppOfPull(t *testing.T) {
	for unit, want := range map[string]string{"archipelago-pull@web.service": "web", "app@web.service": "", "archipelago-recreate@web.service": ""} {
		if got := AppOfPull(unit); got != want {
			t.Errorf("%s: %q, want %q", unit, got, want)
		}
	}
}
