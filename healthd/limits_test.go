package healthd_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// An app that a limit keeps from starting is left to systemd, with a reason of its own. It is
// restarted, once, as soon as the limit has room.
func TestLimitReachedAndRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		const service = "app@web.service"
		w.Set(service, func(u *units.Unit) {
			u.Active, u.Restarting, u.Digest = units.Activating, true, ""
			u.Run = units.Run{HasExitCode: true, ExitCode: 126}
		})
		w.lines = map[string][]string{service: {"Error: OCI runtime error: crun: create keyring `4be5`: Disk quota exceeded"}}
		w.run(time.Hour, func() {
			time.Sleep(30*time.Minute - 5*time.Second)
			w.mu.Lock()
			if a := w.status.Apps[0]; a.Reason != units.ReasonLimitReached || a.State != units.PhaseRestarting {
				t.Errorf("%s (%s)", a.State, a.Reason)
			}
			w.room = map[units.Limit]int{units.LimitLocks: 9}
			w.mu.Unlock()
			time.Sleep(time.Minute)
			w.mu.Lock()
			w.room = map[units.Limit]int{units.LimitKeys: 1}
			w.mu.Unlock()
		})
		effects := w.did()
		did := make([]string, 0, len(effects))
		for _, line := range effects {
			at, effect, _ := strings.Cut(line, " ")
			did = append(did, effect)
			// At the next look at the limits, or at a check of all apps just before it.
			if d, err := time.ParseDuration(at); err != nil || d <= 30*time.Minute+55*time.Second || d > 31*time.Minute {
				t.Errorf("%s", line)
			}
		}
		if d := cmp.Diff([]string{"reset-failed app@web.service", "restart app@web.service"}, did); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if a := w.status.Apps[0]; a.State != units.PhaseRunning || a.Reason != "" {
			t.Errorf("%s (%s)", a.State, a.Reason)
		}
	})
}

// An app that ends by itself has no limit, whatever it writes.
func TestNoLimitReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.room = map[units.Limit]int{units.LimitKeys: 1}
		w.Set("app@web.service", func(u *units.Unit) {
			u.Active, u.Restarting, u.Run = units.Activating, true, units.Run{HasExitCode: true, ExitCode: 1}
		})
		w.lines = map[string][]string{"app@web.service": {"opening the keyring: Disk quota exceeded"}}
		w.run(time.Hour, nil)
		if a := w.status.Apps[0]; a.Reason != units.ReasonRestartedBySystemd || len(w.did()) > 0 {
			t.Errorf("%s, %v", a.Reason, w.did())
		}
	})
}
