//go:build live

package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/systemd"
)

func TestLiveJobsEndAsSystemdSays(t *testing.T) {
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{
		"fails.service":   "[Service]\nType=oneshot\nExecStart=/bin/false\n",
		"needs.service":   "[Unit]\nRequires=fails.service\nAfter=fails.service\n" + sleeps,
		"never.service":   "[Service]\nType=notify\nTimeoutStartSec=300ms\nExecStart=/bin/sleep infinity\n",
		"crashes.service": "[Service]\nExecStart=/bin/sh -c 'sleep 0.3; exit 7'\n",
		"invalid.service": "[Service]\nType=simple\n",
	})
	for name, want := range map[string]systemd.JobResult{
		"fails.service": systemd.JobFailed, "needs.service": systemd.JobDependency,
		"never.service": systemd.JobFailed, "crashes.service": systemd.JobDone,
	} {
		if result, err := m.Start(within(t, long), name, systemd.Replace); result != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, result, err, want)
		}
	}
	if u := unit(t, m, "never.service"); u.Result != "timeout" {
		t.Errorf("start that took too long: %+v", u)
	}
	if _, err := m.Start(within(t, long), "invalid.service", systemd.Replace); err == nil {
		t.Error("an invalid unit started")
	}
	if u := unit(t, m, "invalid.service"); u.LoadState != "bad-setting" {
		t.Errorf("invalid unit: %+v", u)
	}
	// The job is done, but the unit has failed.
	eventually(t, "the crash shows", func() bool { return unit(t, m, "crashes.service").ActiveState == "failed" })
	if u := unit(t, m, "crashes.service"); u.Result != "exit-code" || u.ExecMainCode != 1 || u.ExecMainStatus != 7 {
		t.Errorf("crashed: %+v", u)
	}
	if err := m.ResetFailed(within(t, long), "crashes.service"); err != nil {
		t.Error(err)
	}
	if u := unit(t, m, "crashes.service"); u.ActiveState != "inactive" {
		t.Errorf("reset: %+v", u)
	}
}

// TestLiveDirectStart: with RestartMode=direct, the job of a failed start waits for the automatic
// one.
func TestLiveDirectStart(t *testing.T) {
	const name = "fails.service"
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{
		name: "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartMode=direct\nRestartSec=1h\nExecStartPre=/bin/false\nExecStart=/bin/sleep infinity\n",
	})
	for _, start := range []func(*systemd.Manager, context.Context, string, string) (systemd.JobResult, error){(*systemd.Manager).Start, (*systemd.Manager).Restart} {
		if result, err := start(m, within(t, long), name, systemd.Replace); result != systemd.JobFailed || err != nil {
			t.Errorf("start: %q, %v", result, err)
		}
		if u := unit(t, m, name); u.SubState != "auto-restart" || u.JobID == 0 {
			t.Errorf("it has failed: %+v", u)
		}
	}
	if result, err := m.Stop(within(t, long), name, systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("stop: %q, %v", result, err)
	}
}

// TestLiveRestartDelays: the delay before a restart grows by the same factor in each of
// RestartSteps= steps, which generator.restartSteps relies on. Here all are a tenth of those that
// are rendered by default. A stop and a reset-failed end the series.
func TestLiveRestartDelays(t *testing.T) {
	const name = "delays.service"
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{
		name: "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=10ms\nRestartSteps=5\nRestartMaxDelaySec=30s\nExecStart=/bin/sh -c 'sleep 0.2; exit 3'\n",
	})
	if _, err := m.Start(within(t, long), name, systemd.Replace); err != nil {
		t.Fatal(err)
	}
	for restarts, want := range []string{"10ms", "49.593ms", "245.950ms", "1.219755s", "6.049186s"} {
		eventually(t, fmt.Sprintf("it waits for restart %d", restarts+1), func() bool {
			u := unit(t, m, name)
			return u.SubState == "auto-restart" && u.NRestarts == uint32(restarts) || u.NRestarts > uint32(restarts)
		})
		if got := shown(t, name); got["NRestarts"] == fmt.Sprint(restarts) && got["RestartUSecNext"] != want {
			t.Errorf("after %d restarts the next delay is %s, want %s", restarts, got["RestartUSecNext"], want)
		}
	}
	if err := m.ResetFailed(within(t, long), name); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, name); got["NRestarts"] != "0" || got["RestartUSecNext"] != "10ms" || got["SubState"] != "auto-restart" {
		t.Errorf("reset while it waits: %s restarts, next delay %s, %s", got["NRestarts"], got["RestartUSecNext"], got["SubState"])
	}
}

// TestLiveForgetRestarts: for a service that runs, reset-failed sets the number of restarts to 0,
// lets it use its start limit again, and changes nothing else.
func TestLiveForgetRestarts(t *testing.T) {
	for _, mode := range []string{"normal", "direct"} {
		t.Run(mode, func(t *testing.T) {
			name := "forgotten-" + mode + ".service"
			m := connect(t, systemd.Options{})
			install(t, m, map[string]string{
				name: "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n" +
					"[Service]\nRestart=always\nRestartSec=10ms\nRestartSteps=5\nRestartMaxDelaySec=30s\nRestartMode=" + mode + "\nExecStart=/bin/sleep infinity\n",
			})
			if _, err := m.Start(within(t, long), name, systemd.Replace); err != nil {
				t.Fatal(err)
			}
			crash := func(restarts uint32) {
				kill(t, name)
				eventually(t, fmt.Sprintf("restart %d", restarts), func() bool {
					u := unit(t, m, name)
					return u.NRestarts == restarts && u.ActiveState == "active"
				})
			}
			crash(1)
			crash(2)
			before := shown(t, name)
			if err := m.ResetFailed(within(t, long), name); err != nil {
				t.Fatal(err)
			}
			after := shown(t, name)
			maps.DeleteFunc(before, func(key, value string) bool { return after[key] == value })
			if diff := cmp.Diff(map[string]string{"NRestarts": "2", "RestartUSecNext": "245.950ms"}, before); diff != "" {
				t.Errorf("what reset-failed changed (-want +got):\n%s", diff)
			}
			if after["NRestarts"] != "0" || after["RestartUSecNext"] != "10ms" {
				t.Errorf("%s restarts, next delay %s", after["NRestarts"], after["RestartUSecNext"])
			}
			for restarts := range uint32(3) { // it had used up its limit, and has all of it again
				crash(restarts + 1)
			}
			kill(t, name)
			eventually(t, "it is at its limit", func() bool { return unit(t, m, name).ActiveState == "failed" })
		})
	}
}

// TestLiveRestartAlone: a restart without dependencies leaves the units that are PartOf= the unit
// alone, and does not wait for units that it is ordered after.
func TestLiveRestartAlone(t *testing.T) {
	const page, base = "page.service", "base.service"
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{
		page: "[Unit]\nWants=base.service\nAfter=base.service\n[Service]\nExecStart=/bin/sleep 1000\n",
		base: "[Unit]\nPartOf=page.service\n[Service]\nExecStart=/bin/sleep 1000\n",
	})
	if _, err := m.Start(within(t, long), page, systemd.Replace); err != nil {
		t.Fatal(err)
	}
	for mode, takesAlong := range map[string]bool{systemd.IgnoreDependencies: false, systemd.Replace: true} {
		before := map[string]string{page: unit(t, m, page).InvocationID, base: unit(t, m, base).InvocationID}
		if result, err := m.Restart(within(t, long), page, mode); result != systemd.JobDone || err != nil {
			t.Errorf("%s: %q, %v", mode, result, err)
		}
		if unit(t, m, page).InvocationID == before[page] || (unit(t, m, base).InvocationID != before[base]) != takesAlong {
			t.Errorf("%s: base was restarted: %v", mode, !takesAlong)
		}
	}
}

// TestLiveJobBehindAnother: a service stays active, with its invocation, while its restart waits
// for another service to stop.
func TestLiveJobBehindAnother(t *testing.T) {
	const first, second = "first.service", "second.service"
	m := connect(t, systemd.Options{})
	// What the second makes once it can catch a signal, and what it waits for before it stops.
	dir := t.TempDir()
	ready, released := filepath.Join(dir, "ready"), filepath.Join(dir, "released")
	install(t, m, map[string]string{
		first: "[Service]\nExecStart=/bin/sleep infinity\n",
		second: "[Unit]\nAfter=first.service\n[Service]\nExecStart=/bin/sh -c 'trap \"while [ ! -e " + released +
			" ]; do sleep 0.1; done; exit\" TERM; touch " + ready + "; while :; do sleep 0.1; done'\n",
	})
	for _, name := range []string{first, second} {
		if _, err := m.Start(within(t, long), name, systemd.Replace); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the second is ready", func() bool { _, err := os.Stat(ready); return err == nil })
	before := unit(t, m, first)
	ended := make(chan ending, 2)
	restart := func(name string) {
		result, err := m.Restart(within(t, long), name, systemd.Replace)
		ended <- ending{result, err}
	}
	go restart(second)
	eventually(t, "the second stops", func() bool { return unit(t, m, second).ActiveState == "deactivating" })
	go restart(first)
	eventually(t, "the first has a job, and is up", func() bool {
		list, err := m.List(within(t, long), first)
		return err == nil && len(list) == 1 && list[0].JobType == "restart" && list[0].ActiveState == "active" &&
			unit(t, m, first).InvocationID == before.InvocationID
	})
	if err := os.WriteFile(released, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if e := <-ended; e.result != systemd.JobDone || e.err != nil {
			t.Errorf("restart: %q, %v", e.result, e.err)
		}
	}
	list, err := m.List(within(t, long), first)
	if err != nil || list[0].JobType != "" || unit(t, m, first).InvocationID == before.InvocationID {
		t.Errorf("after the restart: %+v, %v", list, err)
	}
}

func TestLiveStopCancelsASlowStart(t *testing.T) {
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{
		"slow.service": "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=60\nExecStart=/bin/sh -c 'systemd-notify \"--status=loading 45 %%\"; sleep 60'\n",
	})
	ended := make(chan ending, 1)
	go func() {
		result, err := m.Start(within(t, long), "slow.service", systemd.Replace)
		ended <- ending{result, err}
	}()
	eventually(t, "it reports its progress", func() bool { return unit(t, m, "slow.service").StatusText == "loading 45 %" })
	if u := unit(t, m, "slow.service"); u.ActiveState != "activating" || u.JobID == 0 {
		t.Errorf("starting: %+v", u)
	}
	if _, err := m.Start(within(t, soon), "slow.service", systemd.Replace); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second waiter: %v", err)
	}
	if result, err := m.Stop(within(t, long), "slow.service", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("stop: %q, %v", result, err)
	}
	if e := <-ended; e.result != systemd.JobCanceled || e.err != nil {
		t.Errorf("start: %q, %v", e.result, e.err)
	}
}

// A failed assertion keeps a unit from starting, for an operator and for a unit that wants it. systemd does not look
// at it before an automatic restart, which a stop ends. A start that is refused so cancels the job of a stop that is
// under way, and systemd stops the unit all the same. systemd 257 refuses it at once, systemd 262 once the unit has
// stopped.
func TestLiveAssertion(t *testing.T) {
	m := connect(t, systemd.Options{})
	dir := t.TempDir()
	block, ready, release := filepath.Join(dir, "blocked"), filepath.Join(dir, "ready"), filepath.Join(dir, "release")
	assert := "[Unit]\nAssertPathExists=!" + block + "\n"
	install(t, m, map[string]string{
		"asserts.service": assert + "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=1\n",
		"wants.service":   "[Unit]\nWants=asserts.service\nAfter=asserts.service\n" + sleeps,
		"slow.service":    assert + "[Service]\nExecStart=/bin/sh -c 'trap \"while [ ! -e " + release + " ]; do sleep 0.1; done; exit 0\" TERM; touch " + ready + "; while :; do sleep 0.1; done'\n",
	})
	for _, name := range []string{"asserts.service", "slow.service"} {
		if result, err := m.Start(within(t, long), name, systemd.Replace); result != systemd.JobDone || err != nil {
			t.Fatalf("start of %s: %q, %v", name, result, err)
		}
	}
	if err := os.WriteFile(block, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := unit(t, m, "asserts.service")
	if err := syscall.Kill(int(before.MainPID), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it restarts by itself", func() bool {
		u := unit(t, m, "asserts.service")
		return u.ActiveState == "active" && u.InvocationID != before.InvocationID
	})
	stop(t, m, "asserts.service")
	if result, err := m.Start(within(t, long), "asserts.service", systemd.Replace); result != systemd.JobAssert || err != nil {
		t.Errorf("start: %q, %v", result, err)
	}
	if result, err := m.Start(within(t, long), "wants.service", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("start of the unit that wants it: %q, %v", result, err)
	}
	if u := unit(t, m, "asserts.service"); u.ActiveState != "inactive" {
		t.Errorf("it is %s", u.ActiveState)
	}
	eventually(t, "it catches the signal", func() bool {
		_, err := os.Stat(ready)
		return err == nil
	})
	stopped, started := make(chan ending, 1), make(chan ending, 1)
	go func() {
		result, err := m.Stop(within(t, long), "slow.service", systemd.Replace)
		stopped <- ending{result, err}
	}()
	eventually(t, "it stops", func() bool { return unit(t, m, "slow.service").ActiveState == "deactivating" })
	go func() {
		result, err := m.Start(within(t, long), "slow.service", systemd.Replace)
		started <- ending{result, err}
	}()
	if e := <-stopped; e.result != systemd.JobCanceled || e.err != nil {
		t.Errorf("stop: %q, %v", e.result, e.err)
	}
	if u := unit(t, m, "slow.service"); u.ActiveState != "deactivating" {
		t.Errorf("after the job of its stop it is %s", u.ActiveState)
	}
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := <-started; e.result != systemd.JobAssert || e.err != nil {
		t.Errorf("start while it stops: %q, %v", e.result, e.err)
	}
	eventually(t, "it has stopped", func() bool { return unit(t, m, "slow.service").ActiveState == "inactive" })
}
