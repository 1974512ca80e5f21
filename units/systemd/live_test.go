//go:build live

package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// These tests use the real manager of the user who runs them, and leave it in disorder. test/e2e
// builds them and runs them on the test machine.

// real is the connections to the real manager.
var real = map[string]systemd.Options{
	"private": {Private: filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd/private")},
	"bus":     {Bus: os.Getenv("DBUS_SESSION_BUS_ADDRESS")},
}

func connect(t *testing.T, options systemd.Options) *systemd.Manager {
	t.Helper()
	m, err := systemd.Connect(within(t, long), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// install writes the unit files of a test, loads them, and stops the units after the test.
func install(t *testing.T, m *systemd.Manager, files map[string]string) {
	t.Helper()
	home, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "systemd/user")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if !strings.Contains(name, "@.") {
				stop(t, m, name)
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		})
	}
	if err := m.Reload(within(t, long)); err != nil {
		t.Fatal(err)
	}
}

// stop stops a unit after its test.
func stop(t *testing.T, m *systemd.Manager, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), long)
	defer cancel()
	if _, err := m.Stop(ctx, name, systemd.Replace); err != nil && !errors.Is(err, systemd.ErrNoSuchUnit) {
		t.Error(err)
	}
}

func unit(t *testing.T, m *systemd.Manager, name string) systemd.Unit {
	t.Helper()
	list, err := m.Units(within(t, long), name)
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// stale reports whether a unit needs a reload, and verifies that Current tells the same as Units.
func stale(t *testing.T, m *systemd.Manager, name string) bool {
	t.Helper()
	list, err := m.Current(within(t, long), name)
	if err != nil {
		t.Fatal(err)
	}
	u := unit(t, m, name)
	want := systemd.Current{
		Name: name, InvocationID: u.InvocationID, MainPID: u.MainPID, ControlGroup: u.ControlGroup,
		ActiveEnterMonotonic: list[0].ActiveEnterMonotonic, // which u has by another clock
	}
	if strings.HasSuffix(name, ".service") {
		want.ActiveEnterTimestamp = u.ActiveEnterTimestamp
	}
	if isUp := u.MainPID != 0; isUp != (list[0].ActiveEnterMonotonic != 0) {
		t.Errorf("%s has the process %d and came up at %d", name, u.MainPID, list[0].ActiveEnterMonotonic)
	}
	if diff := cmp.Diff(want, list[0]); diff != "" {
		t.Errorf("current (-want +got):\n%s", diff)
	}
	need, err := m.NeedReload(within(t, long), name)
	if err != nil || need[name] != u.NeedDaemonReload {
		t.Errorf("%s needs a reload: %v, %v; in full %v", name, need, err, u.NeedDaemonReload)
	}
	return u.NeedDaemonReload
}

const sleeps = "[Service]\nExecStart=/bin/sleep infinity\n"

func TestLiveUnitGoesThroughItsLife(t *testing.T) {
	for name, options := range real {
		t.Run(name, func(t *testing.T) {
			m := connect(t, options)
			if u := unit(t, m, "life.service"); u.LoadState != "not-found" || u.ActiveState != "inactive" {
				t.Errorf("before it exists: %+v", u)
			}
			install(t, m, map[string]string{"life.service": sleeps})
			u := unit(t, m, "life.service")
			if u.LoadState != "loaded" || u.ActiveState != "inactive" || u.InvocationID != "" || !strings.HasSuffix(u.FragmentPath, "/systemd/user/life.service") {
				t.Errorf("loaded: %+v", u)
			}
			for _, call := range []func(*systemd.Manager, context.Context, string, string) (systemd.JobResult, error){
				(*systemd.Manager).Start, (*systemd.Manager).Restart,
			} {
				before := unit(t, m, "life.service").InvocationID
				if result, err := call(m, within(t, long), "life.service", systemd.Replace); result != systemd.JobDone || err != nil {
					t.Fatalf("%q, %v", result, err)
				}
				u := unit(t, m, "life.service")
				if u.ActiveState != "active" || u.SubState != "running" || u.Result != "success" || u.MainPID == 0 ||
					len(u.InvocationID) != 32 || u.InvocationID == before || u.ControlGroup == "" || u.ActiveEnterTimestamp == 0 || u.JobID != 0 {
					t.Errorf("running: %+v, invoked before as %q", u, before)
				}
			}
			if err := os.WriteFile(unit(t, m, "life.service").FragmentPath, []byte(sleeps+"Restart=always\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if !stale(t, m, "life.service") || stale(t, m, "default.target") {
				t.Error("an edited unit does not need a reload, or another does")
			}
			if err := m.Reload(within(t, long)); err != nil {
				t.Fatal(err)
			}
			if stale(t, m, "life.service") {
				t.Error("a unit needs a reload right after one")
			}
			if result, err := m.Stop(within(t, long), "life.service", systemd.Replace); result != systemd.JobDone || err != nil {
				t.Errorf("stop: %q, %v", result, err)
			}
			if u := unit(t, m, "life.service"); u.ActiveState != "inactive" || u.MainPID != 0 {
				t.Errorf("stopped: %+v", u)
			}
			if _, err := m.Start(within(t, long), "absent.service", systemd.Replace); !errors.Is(err, systemd.ErrNoSuchUnit) {
				t.Errorf("start of a unit that does not exist: %v", err)
			}
		})
	}
}

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

// TestLiveStopped: it is known whether a service was stopped, however it ended. systemd forgets
// unneeded units: hence the target.
func TestLiveStopped(t *testing.T) {
	const always = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=1\nExecStart=/bin/sh -c "
	const limited = "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n[Service]\nRestart=always\nRestartSec=100ms\nExecStopPost=/bin/true\nExecStart=/bin/sh -c "
	const runs, complains, fails = "'exec sleep infinity'\n", "'trap \"exit 7\" TERM; while :; do sleep 0.1; done'\n", "'sleep 0.2; exit 3'\n"
	// patient waits for its next start longer than the test: other units start it. With
	// RestartMode=direct they can't before it was active, see TestLiveDirectStart.
	patient := strings.ReplaceAll(limited, "RestartSec=100ms", "RestartSec=1h")
	const direct = "RestartMode=direct\n"
	mark := filepath.Join(t.TempDir(), "mark")
	services := map[string]struct {
		text string
		// until is the state in which it is stopped. If that is empty, it exits by itself.
		until, state string
		want         bool
	}{
		"ends.service":      {always + "'exec sleep infinity'\n", "running", "inactive", true},
		"stubborn.service":  {always + "'trap \"\" TERM; while :; do sleep 1; done'\nTimeoutStopSec=1\n", "running", "failed", true},
		"complains.service": {always + "'trap \"exit 7\" TERM; while :; do sleep 0.1; done'\n", "running", "failed", true},
		"starting.service":  {always + "'exec sleep infinity'\nExecStartPost=/bin/sleep infinity\n", "start-post", "failed", true},
		"crashing.service":  {always + "'exit 3'\n", "auto-restart", "inactive", true},
		"limited.service": {
			"[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n[Service]\nRestart=always\nRestartSec=100ms\nExecStart=/bin/false\n", "", "failed", false,
		},
		"once.service": {"[Service]\nExecStart=/bin/false\n", "", "failed", false},

		// At the limit by its own restarts, after it was active or before.
		"limited-late.service":         {limited + fails, "", "failed", false},
		"limited-late-direct.service":  {limited + fails + direct, "", "failed", false},
		"limited-early.service":        {limited + runs + "ExecStartPre=/bin/false\n", "", "failed", false},
		"limited-early-direct.service": {limited + runs + "ExecStartPre=/bin/false\n" + direct, "", "failed", false},
		"limited-slow-direct.service":  {limited + runs + "ExecStartPost=/bin/sleep infinity\nTimeoutStartSec=200ms\n" + direct, "", "failed", false},
		// At the limit by starts of other units.
		"pulled-late.service":        {patient + fails, "", "failed", false},
		"pulled-late-direct.service": {patient + fails + direct, "", "failed", false},
		"pulled-early.service":       {patient + runs + "ExecStartPre=/bin/false\n", "", "failed", false},
		// Stopped, below its start limit.
		"limited-complains.service":        {limited + complains, "running", "failed", true},
		"limited-complains-direct.service": {limited + complains + direct, "running", "failed", true},
		"limited-starting.service":         {limited + complains + "ExecStartPost=/bin/sleep infinity\n", "start-post", "failed", true},
		"limited-starting-direct.service":  {limited + complains + "ExecStartPost=/bin/sleep infinity\n" + direct, "start-post", "failed", true},
		"limited-preparing.service":        {limited + runs + "ExecStartPre=/bin/sleep infinity\n" + direct, "start-pre", "failed", true},
		"limited-waits-direct.service":     {limited + fails + "RestartSec=1h\n" + direct, "auto-restart", "inactive", true},
		// It crashed once, and runs since.
		"limited-crashed.service": {limited + "'trap \"exit 7\" TERM; test -e " + mark + " || { touch " + mark + "; exit 3; }; while :; do sleep 0.1; done'\nExecStartPost=/bin/test -e " + mark + "\nExecStartPost=/bin/sleep 0.5\n", "running", "failed", true},
	}
	names := slices.Sorted(maps.Keys(services))
	files := map[string]string{}
	var pulled []string
	for name, s := range services {
		files[name] = s.text
		if strings.HasPrefix(name, "pulled-") {
			pulled = append(pulled, name)
		}
	}
	files["puller.service"] = "[Unit]\nStartLimitIntervalSec=0\nWants=" + strings.Join(pulled, " ") +
		"\n[Service]\nRestart=always\nRestartMode=direct\nRestartSec=500ms\nExecStart=/bin/false\n"
	files["holder.target"] = "[Unit]\nDefaultDependencies=no\nWants=" + strings.Join(names, " ") + "\n"
	m := connect(t, systemd.Options{})
	install(t, m, files)
	for _, name := range names {
		if u := unit(t, m, name); u.IsStopped() {
			t.Errorf("%s, which was never started: %+v", name, u)
		}
	}
	for _, name := range []string{"holder.target", "puller.service"} {
		if _, err := m.Start(within(t, long), name, systemd.Replace); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range services {
		if s.until != "" {
			eventually(t, name+" is "+s.until, func() bool { return unit(t, m, name).SubState == s.until })
			if u := unit(t, m, name); u.IsStopped() {
				t.Errorf("%s: %+v", name, u)
			}
			if _, err := m.Stop(within(t, long), name, systemd.Replace); err != nil {
				t.Error(err)
			}
		}
		eventually(t, name+" is "+s.state, func() bool { return unit(t, m, name).ActiveState == s.state })
		if u := unit(t, m, name); u.IsStopped() != s.want {
			t.Errorf("%s: it is stopped: %v; %+v", name, u.IsStopped(), u)
		}
	}
}

// TestLiveStranded: a unit that the service requires fails when the service is about to restart.
func TestLiveStranded(t *testing.T) {
	const crashing = "crashing.service"
	m := connect(t, systemd.Options{})
	mark := filepath.Join(t.TempDir(), "mark")
	install(t, m, map[string]string{
		crashing: "[Unit]\nRequires=first.service\nAfter=first.service\n[Service]\nRestart=always\nRestartSec=200ms\nExecStart=/bin/sh -c 'sleep 0.5; exit 3'\n",
		// It succeeds once.
		"first.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'test ! -e " + mark + " && touch " + mark + "'\n",
	})
	if _, err := m.Start(within(t, long), crashing, systemd.Replace); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stranded", func() bool { return unit(t, m, crashing).IsStranded() })
	<-time.After(time.Second)
	if u := unit(t, m, crashing); !u.IsStranded() {
		t.Errorf("it continued by itself: %+v", u)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if result, err := m.Start(within(t, long), crashing, systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("start: %q, %v", result, err)
	}
	if u := unit(t, m, crashing); u.ActiveState != "active" {
		t.Errorf("it was started: %+v", u)
	}
}

// TestLiveSkipped: a unit that its condition skips counts as started for what requires it, as
// often as that starts, and never as failed.
func TestLiveSkipped(t *testing.T) {
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{
		"skipped.service": "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=5\nConditionPathExists=!%h\n[Service]\nType=oneshot\nExecStart=/bin/false\n",
		"needs.service":   "[Unit]\nStartLimitIntervalSec=0\nRequires=skipped.service\nAfter=skipped.service\n" + sleeps,
	})
	for range 8 {
		if result, err := m.Restart(within(t, long), "needs.service", systemd.Replace); result != systemd.JobDone || err != nil {
			t.Fatalf("%q, %v", result, err)
		}
		if u := unit(t, m, "needs.service"); u.ActiveState != "active" {
			t.Errorf("what requires it: %+v", u)
		}
		if u := unit(t, m, "skipped.service"); u.ActiveState != "inactive" || u.SubState != "dead" || u.Result != "success" || u.IsStranded() {
			t.Errorf("skipped: %+v", u)
		}
	}
}

// TestLiveParts: what the units of an app's parts rely on. The main service restarts with
// RestartMode=direct, and the others are PartOf= it.
func TestLiveParts(t *testing.T) {
	const part = "[Unit]\nPartOf=main.service\n[Service]\nRestart=always\nRestartSec=100ms\nExecStart=/bin/sleep infinity\n"
	names := []string{"main.service", "api.service", "db.service"}
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{
		"main.service": "[Unit]\nWants=api.service db.service\nAfter=api.service\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n" +
			"[Service]\nRestart=always\nRestartMode=direct\nRestartSec=1\nExecStart=/bin/sleep infinity\nExecStopPost=/bin/true\n",
		"api.service": part, "db.service": part,
	})
	invocations := func() (list []string) {
		for _, name := range names {
			list = append(list, unit(t, m, name).InvocationID)
		}
		return list
	}
	do := func(what func(*systemd.Manager, context.Context, string, string) (systemd.JobResult, error)) {
		t.Helper()
		if result, err := what(m, within(t, long), "main.service", systemd.Replace); result != systemd.JobDone || err != nil {
			t.Fatalf("%q, %v", result, err)
		}
	}
	areAll := func(state string) func() bool {
		return func() bool {
			return !slices.ContainsFunc(names, func(name string) bool { return unit(t, m, name).ActiveState != state })
		}
	}
	// changed is the units that were started since.
	changed := func(before []string) (list []string) {
		for i, now := range invocations() {
			if now != before[i] {
				list = append(list, names[i])
			}
		}
		return list
	}
	do((*systemd.Manager).Start)
	eventually(t, "starting main starts all", areAll("active"))
	for _, name := range []string{"db.service", "api.service", "main.service"} {
		before := invocations()
		kill(t, name)
		eventually(t, name+" is back", func() bool { return len(changed(before)) > 0 && areAll("active")() })
		if diff := cmp.Diff([]string{name}, changed(before)); diff != "" {
			t.Errorf("%s was killed, and restarted were (-want +got):\n%s", name, diff)
		}
	}
	before := invocations()
	do((*systemd.Manager).Restart)
	eventually(t, "all are back", areAll("active"))
	if diff := cmp.Diff(names, changed(before)); diff != "" {
		t.Errorf("restarted with main were (-want +got):\n%s", diff)
	}
	before = invocations()
	kill(t, "main.service")
	eventually(t, "main has reached its limit", func() bool { return unit(t, m, "main.service").ActiveState == "failed" })
	if got := changed(before); len(got) > 0 || unit(t, m, "main.service").IsStopped() {
		t.Errorf("main has reached its limit, and started were %v: %+v", got, unit(t, m, "main.service"))
	}
	if err := m.ResetFailed(within(t, long), "main.service"); err != nil {
		t.Fatal(err)
	}
	do((*systemd.Manager).Start)
	if diff := cmp.Diff([]string{"main.service"}, changed(before)); diff != "" {
		t.Errorf("started with main were (-want +got):\n%s", diff)
	}
	kill(t, "main.service")
	eventually(t, "main waits for its restart", func() bool { return unit(t, m, "main.service").SubState == "auto-restart" })
	do((*systemd.Manager).Stop)
	eventually(t, "stopping main stops all, also while it waits", areAll("inactive"))
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

// shown is what systemctl shows of a unit, without what changes by itself.
func shown(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "show", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.HasPrefix(key, "Memory") && !strings.HasPrefix(key, "CPUUsage") && !strings.HasPrefix(key, "Effective") && !strings.HasPrefix(key, "ExecMainHandoff") {
			list[key] = value
		}
	}
	return list
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

func kill(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "kill", "--signal=KILL", name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
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

// TestLiveInvocation: an automatic restart gives a service another invocation in both restart
// modes. The link that systemd keeps of it changes in the mode normal only.
func TestLiveInvocation(t *testing.T) {
	m := connect(t, systemd.Options{})
	for mode, isLinked := range map[string]bool{"normal": true, "direct": false} {
		name := mode + ".service"
		install(t, m, map[string]string{name: "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=100ms\nRestartMode=" + mode + "\n"})
		if _, err := m.Start(within(t, long), name, systemd.Replace); err != nil {
			t.Fatal(err)
		}
		before, err := m.Invocation(within(t, long), name)
		if err != nil || before == "" {
			t.Fatalf("%s: %q, %v", mode, before, err)
		}
		kill(t, name)
		eventually(t, "it is restarted", func() bool { return unit(t, m, name).NRestarts == 1 && unit(t, m, name).ActiveState == "active" })
		after, err := m.Invocation(within(t, long), name)
		if err != nil || after == before || after != unit(t, m, name).InvocationID {
			t.Errorf("%s: %q, %v, before %q", mode, after, err, before)
		}
		link, err := os.Readlink(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd/units/invocation:"+name))
		if err != nil || (link == after) != isLinked {
			t.Errorf("%s: the link says %q, %v; the service has %q", mode, link, err, after)
		}
	}
	if id, err := m.Invocation(within(t, long), "never-started.service"); id != "" || err != nil {
		t.Errorf("of no unit: %q, %v", id, err)
	}
}

// A path unit whose file is gone stays active after a reload, until it is stopped. Packages
// that no longer have a path unit stop it for that reason.
func TestLiveLostPath(t *testing.T) {
	m := connect(t, real["private"])
	install(t, m, map[string]string{"lost@.path": "[Path]\nPathChanged=%t/lost\nUnit=lost.service\n", "lost.service": sleeps})
	if result, err := m.Start(within(t, long), "lost@web.path", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Fatalf("%q, %v", result, err)
	}
	file := unit(t, m, "lost@web.path").FragmentPath
	if err := errors.Join(os.Rename(file, file+".aside"), m.Reload(within(t, long))); err != nil {
		t.Fatal(err)
	}
	if u := unit(t, m, "lost@web.path"); u.LoadState != "not-found" || u.ActiveState != "active" {
		t.Errorf("without its file: %+v", u)
	}
	stop(t, m, "lost@web.path")
	if u := unit(t, m, "lost@web.path"); u.ActiveState != "inactive" {
		t.Errorf("stopped: %+v", u)
	}
	if err := os.Rename(file+".aside", file); err != nil {
		t.Fatal(err)
	}
}

// A service reports an error with ERRNO=, without failing.
func TestLiveStatusErrno(t *testing.T) {
	m := connect(t, real["private"])
	install(t, m, map[string]string{
		"errno.service": "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready STATUS=full ERRNO=24; exec sleep infinity'\n",
	})
	if result, err := m.Start(within(t, long), "errno.service", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Fatalf("%q, %v", result, err)
	}
	if u := unit(t, m, "errno.service"); u.StatusErrno != 24 || u.StatusText != "full" || u.ActiveState != "active" || u.Result != "success" {
		t.Errorf("%+v", u)
	}
}

// TestLiveReload: a reload keeps the invocation, a failed one leaves the service active, and one
// of a service that is not active has another result than done.
func TestLiveReload(t *testing.T) {
	const name = "reloads.service"
	m := connect(t, systemd.Options{})
	mark := filepath.Join(t.TempDir(), "mark")
	install(t, m, map[string]string{
		name:               "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c 'test ! -e " + mark + " && touch " + mark + "'\n",
		"unloaded.service": "[Service]\nExecStart=/bin/sleep infinity\n",
	})
	for _, service := range []string{name, "unloaded.service"} {
		if _, err := m.Start(within(t, long), service, systemd.Replace); err != nil {
			t.Fatal(err)
		}
	}
	before := unit(t, m, name)
	for _, want := range []systemd.JobResult{systemd.JobDone, systemd.JobFailed} {
		if result, err := m.ReloadUnit(within(t, long), name, systemd.Replace); result != want || err != nil {
			t.Errorf("reload: %q, %v; want %q", result, err, want)
		}
		if u := unit(t, m, name); u.InvocationID != before.InvocationID || u.MainPID != before.MainPID || u.ActiveState != "active" {
			t.Errorf("after it: %+v", u)
		}
	}
	if result, err := m.ReloadUnit(within(t, long), "unloaded.service", systemd.Replace); err == nil {
		t.Errorf("reload of a unit without ExecReload=: %q", result)
	}
	if _, err := m.Stop(within(t, long), name, systemd.Replace); err != nil {
		t.Fatal(err)
	}
	if result, err := m.ReloadUnit(within(t, long), name, systemd.Replace); result != systemd.JobInvalid || err != nil {
		t.Errorf("reload of one that is down: %q, %v", result, err)
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

// until reads events up to the wanted one.
func until(t *testing.T, events <-chan systemd.Event, want systemd.Event) {
	t.Helper()
	for next(t, events) != want {
		continue // others may come before
	}
}

func TestLiveEvents(t *testing.T) {
	for name, options := range real {
		t.Run(name, func(t *testing.T) {
			m := connect(t, options)
			install(t, m, map[string]string{"seen.service": "[Service]\nRestart=on-failure\nExecStart=/bin/sh -c 'sleep 0.2; exit 1'\n"})
			events := m.Events(t.Context())
			expect(t, events, resync)
			if _, err := m.Start(within(t, long), "seen.service", systemd.Replace); err != nil {
				t.Fatal(err)
			}
			until(t, events, systemd.Event{Kind: systemd.JobRemoved, Unit: "seen.service"})
			changed := systemd.Event{Kind: systemd.UnitChanged, Unit: "seen.service"}
			for unit(t, m, "seen.service").NRestarts == 0 {
				until(t, events, changed)
			}
			if _, err := m.Stop(within(t, long), "seen.service", systemd.Replace); err != nil {
				t.Fatal(err)
			}
			if err := m.Reload(within(t, long)); err != nil {
				t.Fatal(err)
			}
			until(t, events, systemd.Event{Kind: systemd.Reloading})
			expect(t, events, systemd.Event{Kind: systemd.Reloaded})
		})
	}
}

// A manager that re-executes keeps its jobs; the socket of our connection closes.
func TestLiveReexecution(t *testing.T) {
	for name, options := range real {
		t.Run(name, func(t *testing.T) {
			m := connect(t, options)
			install(t, m, map[string]string{
				"slow.service":  "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 3\n",
				"fails.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 3; exit 1'\n",
			})
			events := m.Events(t.Context())
			expect(t, events, resync)
			ended := map[string]chan ending{"slow.service": make(chan ending, 1), "fails.service": make(chan ending, 1)}
			for name, end := range ended {
				go func() {
					result, err := m.Start(within(t, long), name, systemd.Replace)
					end <- ending{result, err}
				}()
				eventually(t, name+" is starting", func() bool { return unit(t, m, name).ActiveState == "activating" })
			}
			if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "daemon-reexec").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			begun := time.Now()
			list, err := m.List(within(t, long), "slow.service")
			t.Logf("first answer %v after the re-execution", time.Since(begun))
			if err != nil || list[0].ActiveState != "activating" {
				t.Errorf("after the re-execution: %v, %v", list, err)
			}
			for name, want := range map[string]systemd.JobResult{"slow.service": systemd.JobDone, "fails.service": systemd.JobFailed} {
				if e := <-ended[name]; e.result != want || e.err != nil {
					t.Errorf("%s: %q, %v, want %q", name, e.result, e.err, want)
				}
			}
			until(t, events, resync)
			if _, err := m.Stop(within(t, long), "slow.service", systemd.Replace); err != nil {
				t.Error(err)
			}
			until(t, events, systemd.Event{Kind: systemd.JobRemoved, Unit: "slow.service"})
		})
	}
}

func TestLiveRestartOfTheBus(t *testing.T) {
	m := connect(t, real["bus"])
	install(t, m, map[string]string{"life.service": sleeps})
	events := m.Events(t.Context())
	expect(t, events, resync)
	if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "restart", "dbus.service").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if result, err := m.Start(within(t, long), "life.service", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("start after the bus restarted: %q, %v", result, err)
	}
	until(t, events, resync)
}

// used is the processor time of this program.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLiveChanges: a change that another connection knows about is marked by the answer to the next
// call. A reload ends all knowledge.
func TestLiveChanges(t *testing.T) {
	for name, options := range real {
		t.Run(name, func(t *testing.T) {
			const unit = "marked.service"
			m, other := connect(t, options), connect(t, systemd.Options{})
			install(t, other, map[string]string{unit: sleeps})
			events := m.Events(t.Context())
			<-events
			go func() {
				for range events { // nothing may wait for a reader
				}
			}()
			changes(t, m)
			for range 20 {
				for _, act := range []func(context.Context, string, string) (systemd.JobResult, error){other.Start, other.Restart, other.Stop} {
					if _, err := act(within(t, long), unit, systemd.Replace); err != nil {
						t.Fatal(err)
					}
					if list := changes(t, m); list == nil || list[unit] != systemd.Changed {
						t.Errorf("marks: %v", list)
					}
				}
			}
			if err := other.Reload(within(t, long)); err != nil {
				t.Fatal(err)
			}
			if list := changes(t, m); list != nil {
				t.Errorf("after a reload: %v", list)
			}
		})
	}
}

// TestLiveLoading: a file that was there before a reload has an earlier change time than the load
// time, one that is touched afterwards a later one. systemd then tells that the unit needs a reload.
func TestLiveLoading(t *testing.T) {
	const name = "loading.service"
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{name: sleeps})
	if _, err := m.Start(within(t, long), name, systemd.Replace); err != nil {
		t.Fatal(err)
	}
	home, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, "systemd/user", name)
	changed := func() time.Time {
		t.Helper()
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return time.Unix(st.Ctim.Unix())
	}
	l, err := m.Loading(within(t, long))
	if err != nil || l.At.IsZero() || !slices.Contains(l.Path, filepath.Dir(path)) {
		t.Fatalf("%+v, %v", l, err)
	}
	if at := changed(); !at.Before(l.At) || stale(t, m, name) {
		t.Errorf("the file changed at %v, units were loaded at %v", at, l.At)
	}
	if err := os.WriteFile(path, []byte(sleeps+"# changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if at := changed(); at.Before(l.At) || !stale(t, m, name) {
		t.Errorf("the file changed at %v, units were loaded at %v", at, l.At)
	}
}

func TestLivePrices(t *testing.T) {
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{"app@.service": sleeps})
	names := make([]string, 30)
	for i := range names {
		names[i] = fmt.Sprintf("app@%d.service", i)
	}
	var starting, stopping sync.WaitGroup
	for _, name := range names {
		starting.Go(func() {
			if result, err := m.Start(within(t, long), name, systemd.Replace); result != systemd.JobDone || err != nil {
				t.Errorf("%s: %q, %v", name, result, err)
			}
		})
	}
	starting.Wait()
	t.Cleanup(func() {
		for _, name := range names {
			stopping.Go(func() { stop(t, m, name) })
		}
		stopping.Wait()
	})
	for what, call := range map[string]func() error{
		"List":    func() error { _, err := m.List(within(t, long), names...); return err },
		"Current": func() error { _, err := m.Current(within(t, long), names...); return err },
		"Units":   func() error { _, err := m.Units(within(t, long), names...); return err },
		"Reload":  func() error { return m.Reload(within(t, long)) },
	} {
		wall, cpu := time.Hour, time.Hour
		for range 10 {
			begun, before := time.Now(), used(t)
			if err := call(); err != nil {
				t.Fatal(err)
			}
			wall, cpu = min(wall, time.Since(begun)), min(cpu, used(t)-before)
		}
		t.Logf("%s with 30 units: %v, %v of it ours, at best", what, wall, cpu)
	}
	found, err := m.ListByPatterns(within(t, long), "app@*")
	if err != nil || len(found) != len(names) {
		t.Errorf("%d units match app@*, %v", len(found), err)
	}
}

// The tests from here on run one by one, under special conditions.

// ready creates a file that says that a test waits for its conditions.
func ready(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("ready", nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSpecialRestartOfTheManager(t *testing.T) {
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{"slow.service": "[Service]\nType=oneshot\nExecStart=/bin/sleep 60\n"})
	events := m.Events(t.Context())
	expect(t, events, resync)
	ended := make(chan ending, 1)
	go func() {
		result, err := m.Start(within(t, 2*long), "slow.service", systemd.Replace)
		ended <- ending{result, err}
	}()
	eventually(t, "it is starting", func() bool { return unit(t, m, "slow.service").ActiveState == "activating" })
	ready(t)
	until(t, events, resync)
	// The manager stopped the unit before it exited.
	if e := <-ended; e.err != nil || e.result != systemd.JobLost && e.result != systemd.JobFailed && e.result != systemd.JobCanceled {
		t.Errorf("start whose manager exited: %q, %v", e.result, e.err)
	}
	if u := unit(t, m, "slow.service"); u.LoadState != "loaded" || u.InvocationID != "" {
		t.Errorf("with the new manager: %+v", u)
	}
}

func TestSpecialSystemManagerAsRoot(t *testing.T) {
	m := connect(t, systemd.Options{Scope: units.System})
	if u := unit(t, m, "user@1000.service"); u.ActiveState != "active" || u.MainPID == 0 {
		t.Errorf("user@1000.service: %+v", u)
	}
	if result, err := m.Restart(within(t, long), "systemd-tmpfiles-clean.service", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("restart: %q, %v", result, err)
	}
	if err := m.Reload(within(t, long)); err != nil {
		t.Error(err)
	}
}

func TestSpecialSystemManagerAsUser(t *testing.T) {
	m := connect(t, systemd.Options{Scope: units.System})
	if u := unit(t, m, "user@1000.service"); u.ActiveState != "active" {
		t.Errorf("user@1000.service: %+v", u)
	}
	_, err := m.Restart(within(t, long), "user@1000.service", systemd.Replace)
	if !errors.Is(err, systemd.ErrDenied) || !strings.Contains(err.Error(), "run it as root") {
		t.Errorf("restart of a system unit: %v", err)
	}
}

func TestSpecialNoManager(t *testing.T) {
	_, err := systemd.Connect(within(t, long), systemd.Options{})
	if !errors.Is(err, systemd.ErrUnreachable) || !strings.Contains(err.Error(), "loginctl enable-linger") {
		t.Errorf("connect: %v", err)
	}
	t.Log(err)
}
