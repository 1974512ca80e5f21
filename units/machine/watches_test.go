package machine

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestWatches: a unit that runs and has no error watches, and one that does not run is not
// asked. The error of a healthd that has ended does not count.
func TestWatches(t *testing.T) {
	t.Parallel()
	healthd := func(state string, errno int32) systemd.Unit {
		return systemd.Unit{Name: units.HealthdService, LoadState: "loaded", ActiveState: state, StatusErrno: errno, StatusText: "no"}
	}
	path := func(state, result string) systemd.Unit {
		return systemd.Unit{Name: units.ReconcilePath, LoadState: "loaded", ActiveState: state, Result: result}
	}
	for name, c := range map[string]struct {
		units []systemd.Unit
		want  []units.Reason
	}{
		"not installed":                    {nil, nil},
		"well":                             {[]systemd.Unit{healthd("active", 0), path("active", "success")}, nil},
		"stopped":                          {[]systemd.Unit{healthd("inactive", 24), path("inactive", "success")}, nil},
		"no instance":                      {[]systemd.Unit{healthd("active", 24), path("active", "success")}, []units.Reason{units.ReasonNoWatchInstance}},
		"no watch":                         {[]systemd.Unit{healthd("active", 28)}, []units.Reason{units.ReasonNoWatch}},
		"a path unit that could watch now": {[]systemd.Unit{path("failed", "resources")}, []units.Reason{units.ReasonNotWatched}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := systemdtest.New(t)
			fake.Set(c.units...)
			list, err := Services{Manager: fake.Connect(), Scope: units.User}.Watches(t.Context(), t.TempDir())
			reasons := slices.Collect(func(yield func(units.Reason) bool) {
				for _, w := range list {
					if !yield(w.Reason) {
						return
					}
				}
			})
			if d := cmp.Diff(c.want, reasons); d != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
		})
	}
}

// TestKernelLimit: the limits of this machine can be read.
func TestKernelLimit(t *testing.T) {
	t.Parallel()
	here := Limits{Root: "/"}
	for _, l := range status.WatchLimits {
		if here.setting(l.Name) == 0 {
			t.Errorf("%s is unknown", l.Name)
		}
	}
	if n := here.setting("fs.inotify.none"); n != 0 {
		t.Error(n)
	}
}
