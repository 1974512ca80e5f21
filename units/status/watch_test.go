package status_test

import (
	"syscall"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

// TestWatchOf: the command raises the limit that was reached, further if it is high already,
// and starts a path unit again, which healthd does not need.
func TestWatchOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unit  string
		errno syscall.Errno
		limit int
		scope units.Scope
		why   units.Reason
		mend  string
	}{
		{units.HealthdService, syscall.EMFILE, 128, units.User, units.ReasonNoWatchInstance, "sudo sysctl fs.inotify.max_user_instances=3000"},
		{units.HealthdService, syscall.EMFILE, 4000, units.User, units.ReasonNoWatchInstance, "sudo sysctl fs.inotify.max_user_instances=8000"},
		{units.HealthdService, syscall.ENOSPC, 0, units.System, units.ReasonNoWatch, "sudo sysctl fs.inotify.max_user_watches=524288"},
		{units.HealthdService, syscall.EIO, 0, units.User, units.ReasonNotWatched, "systemctl --user restart archipelago-healthd.service"},
		{units.ReconcilePath, syscall.EMFILE, 128, units.User, units.ReasonNoWatchInstance, "sudo sysctl fs.inotify.max_user_instances=3000 && systemctl --user restart archipelago-reconcile.path"},
		{units.ReconcilePath, syscall.EIO, 0, units.System, units.ReasonNotWatched, "systemctl restart archipelago-reconcile.path"},
	} {
		w := status.WatchOf(c.unit, c.errno, "so it\nsays", c.limit, c.scope)
		if w.Reason != c.why || w.Mend != c.mend || w.Meaning != c.why.Meaning() || w.Error != "so it says" {
			t.Errorf("%+v\nwant %s, %s", w, c.why, c.mend)
		}
	}
	if why := status.WatchReason(0); why != "" {
		t.Errorf("%q without an error", why)
	}
}
