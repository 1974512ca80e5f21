package systemd_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestBootIsAwaited: AwaitBoot waits while the manager starts its units, tells so once, and returns when
// it has started them, whatever became of them. It has no connection while it waits.
func TestBootIsAwaited(t *testing.T) {
	for _, c := range []struct {
		during []string
		after  string
		waits  int
	}{
		{nil, "running", 0},
		{nil, "degraded", 0},
		{[]string{"initializing", "starting"}, "running", 1},
		{[]string{"starting"}, "degraded", 1},
		{[]string{"starting"}, "stopping", 1},
	} {
		t.Run(c.after, func(t *testing.T) {
			fake := systemdtest.New(t)
			left := append(slices.Clone(c.during), c.after)
			fake.State(func() string {
				state := left[0]
				left = left[1:]
				return state
			})
			waits := 0
			systemd.AwaitBoot(within(t, long), fake.Private(), func() { waits++ })
			if waits != c.waits || len(left) != 0 {
				t.Errorf("told %d times that it waits, want %d; not asked for %q", waits, c.waits, left)
			}
			eventually(t, "no connection was left", func() bool { return fake.Connections() == 0 })
		})
	}
}

// TestBootIsAwaitedUntilTheContextEnds: a boot that does not end, as while an app comes up slowly.
func TestBootIsAwaitedUntilTheContextEnds(t *testing.T) {
	fake := systemdtest.New(t)
	fake.State(func() string { return "starting" })
	systemd.AwaitBoot(within(t, soon), fake.Private(), func() {})
}

// TestBootIsNotAwaitedWithoutManager: what can't be asked is not waited for.
func TestBootIsNotAwaitedWithoutManager(t *testing.T) {
	waiting := func() { t.Error("it waits") }
	systemd.AwaitBoot(within(t, long), systemd.Options{Private: "/nonexistent"}, waiting)
	fake := systemdtest.New(t)
	fake.Fail("Get", errors.New("no"))
	systemd.AwaitBoot(within(t, long), fake.Private(), waiting)
}
