//go:build live

package systemd_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/systemd"
)

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
