package machine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestStartThatWaits: a service whose start job is queued is starting. Otherwise a pass
// would request another start, and systemd would drop the first.
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
		found := service(systemd.Unit{LoadState: "loaded", ActiveState: c.state}, c.job)
		if found.State.Active != c.want {
			t.Errorf("%s with the job %q: %s; want %s", c.state, c.job, found.State.Active, c.want)
		}
	}
}

// TestJobUnderWay: a service that is up reports its job until the job is done.
func TestJobUnderWay(t *testing.T) {
	fake := systemdtest.New(t)
	const name = "app@node.service"
	fake.Set(systemd.Unit{Name: name, LoadState: "loaded", ActiveState: "active", InvocationID: "01"})
	stopped := make(chan struct{})
	fake.OnJob(func(systemdtest.Job) systemdtest.Outcome { return systemdtest.Outcome{Hold: stopped} })
	s := Services{Manager: fake.Connect(), Scope: units.User}
	job := func() string {
		found, err := s.Observe(t.Context(), []string{name}, true)
		if err != nil || found[name].Active != units.Active {
			t.Errorf("%+v, %v", found, err)
		}
		return found[name].Job
	}
	if got := job(); got != "" {
		t.Errorf("without a job: %q", got)
	}
	ended := make(chan error)
	go func() { ended <- s.Restart(t.Context(), name) }()
	for fake.Jobs() == 0 {
		runtime.Gosched()
	}
	if got := job(); got != "restart" {
		t.Errorf("with a job to restart it: %q", got)
	}
	close(stopped)
	if err := <-ended; err != nil || job() != "" {
		t.Errorf("after it: %v, %q", err, job())
	}
}

// TestStranded: a service in auto-restart without a job has failed, whatever its state
// says. With a job it has not.
func TestStranded(t *testing.T) {
	for job, want := range map[uint32]units.Unit{
		0: {Loaded: true, Active: units.Failed},
		7: {Loaded: true, Active: units.Activating, Restarting: true},
	} {
		u := systemd.Unit{LoadState: "loaded", ActiveState: "activating", SubState: "auto-restart-queued", JobID: job, InactiveExitTimestamp: 1, Restart: "always"}
		if got := service(u, ""); got.State != want {
			t.Errorf("job %d: %+v; want %+v", job, got.State, want)
		}
	}
}

// TestForgotten: the list has all there is to know about a unit that systemd has not
// loaded, so a thousand of them cost one query.
func TestForgotten(t *testing.T) {
	fake := systemdtest.New(t)
	fake.Set(
		systemd.Unit{Name: "app@failed.service", LoadState: "loaded", ActiveState: "failed", Result: "exit-code", InvocationID: "01"},
		systemd.Unit{Name: "app@masked.service", LoadState: "masked", ActiveState: "active"},
		systemd.Unit{Name: "app@kept.service", LoadState: "loaded", ActiveState: "inactive", Result: "success", InactiveExitTimestamp: 1},
	)
	s := Services{Manager: fake.Connect(), Scope: units.User}
	got, err := s.Observe(t.Context(), []string{"app@failed.service", "app@gone.service", "app@kept.service", "app@masked.service"}, true)
	want := map[string]units.Unit{
		"app@failed.service": {Loaded: true, Active: units.Failed, Invocation: "01", Run: units.Run{Result: "exit-code"}},
		"app@gone.service":   {Active: units.Inactive},
		"app@masked.service": {Loaded: true, Masked: true, Active: units.Active},
		"app@kept.service":   {Loaded: true, Active: units.Inactive, Stopped: true},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	loaded, err := s.HasUnits(t.Context(), []string{"app@failed.service", "app@gone.service", "app@masked.service"})
	if d := cmp.Diff(map[string]bool{"app@failed.service": true, "app@gone.service": false, "app@masked.service": true}, loaded); d != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	if n := len(fake.Calls("GetAll")); n != 3 {
		t.Errorf("%d services were read in full, want 3", n)
	}
}

// TestPulls: Observe of one app sees the failed pull unit of that app only, and loads no
// unit.
func TestPulls(t *testing.T) {
	fake := systemdtest.New(t)
	fake.Set(
		systemd.Unit{Name: "app@web.service", LoadState: "loaded", ActiveState: "inactive"},
		systemd.Unit{Name: units.PullOf("web"), LoadState: "loaded", ActiveState: "failed", Result: "exit-code"},
		systemd.Unit{Name: units.PullOf("other"), LoadState: "loaded", ActiveState: "failed", Result: "exit-code"},
	)
	s := Services{Manager: fake.Connect(), Scope: units.User}
	for names, want := range map[string]map[string]units.Unit{
		"app@web.service archipelago-pull@web.service": {
			"app@web.service": {Loaded: true, Active: units.Inactive}, units.PullOf("web"): {Loaded: true, Active: units.Failed, Run: units.Run{Result: "exit-code"}},
		},
		"app@web.service archipelago-pull@idle.service": {"app@web.service": {Loaded: true, Active: units.Inactive}},
		"app@web.service": {"app@web.service": {Loaded: true, Active: units.Inactive}},
	} {
		got, err := s.Observe(t.Context(), strings.Fields(names), false)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", names, err, d)
		}
	}
}

// TestTelling keeps the lines of an app that precede the list of killed processes.
func TestTelling(t *testing.T) {
	const said = "step 1 before the start of app@web (run sleep 1000): not done after 2s"
	got := telling([]string{
		strings.Repeat("a1", 32), said, " ", "app@web.service: Killing process 3152 (podman) with signal SIGKILL.", "app@web.service: Failed with result 'exit-code'.",
	}, "app@web.service")
	if d := cmp.Diff([]string{said, "app@web.service: Failed with result 'exit-code'."}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestAge: a clock that differs from this machine's changes no age.
func TestAge(t *testing.T) {
	if now := age(1); now <= 0 || now > 100*365*24*time.Hour {
		t.Errorf("this machine has been up for %v", now)
	}
	for _, at := range []uint64{0, uint64(time.Now().UnixMicro())} {
		if got := age(at); got != 0 {
			t.Errorf("%d is %v ago", at, got)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ how, status, want int32 }{{0, 0, -1}, {1, 0, 0}, {1, 125, 125}, {2, 9, 137}, {3, 11, 139}} {
		got := int32(-1)
		if code, hasEnded := exitOf(tt.how, tt.status); hasEnded {
			got = int32(code)
		}
		if got != tt.want {
			t.Errorf("how %d, status %d: %d, want %d", tt.how, tt.status, got, tt.want)
		}
	}
}

// TestRun: the status of a service is the same whether systemd was queried for a few
// properties, as for one that is up, or for all.
func TestRun(t *testing.T) {
	fake := systemdtest.New(t)
	at := uint64(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).UnixMicro())
	fake.Set(
		systemd.Unit{Name: "app@up.service", LoadState: "loaded", ActiveState: "active", SubState: "running", NRestarts: 2, ActiveEnterTimestamp: at, StateChangeTimestamp: at},
		systemd.Unit{Name: "app@once.service", LoadState: "loaded", ActiveState: "active", SubState: "exited", ActiveEnterTimestamp: at, StateChangeTimestamp: at},
	)
	s := Services{Manager: fake.Connect(), Scope: units.User}
	little, err := s.Observe(t.Context(), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.All(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, phase := range map[string]units.Phase{"app@up.service": units.PhaseRunning, "app@once.service": units.PhaseDone} {
		u := little[name]
		if d := cmp.Diff(all[name].State.Run, u.Run); d != "" || all[name].State.Restarts != u.Restarts || u.Phase() != phase || !u.Run.Since.Equal(time.UnixMicro(int64(at))) {
			t.Errorf("%s is %s, -all +little:\n%s", name, u.Phase(), d)
		}
	}
	if n := little["app@up.service"].Restarts; n != 2 {
		t.Errorf("%d restarts", n)
	}
}

// TestUnreadableContainer: that the state of a container can't be read is a fact about its unit, and
// no error. It is read again at the next look.
func TestUnreadableContainer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"config.json", "healthcheck.log"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := t.TempDir()
			config, bad := filepath.Join(bundle, "config.json"), filepath.Join(bundle, name)
			fake := systemdtest.New(t)
			u := systemd.Unit{Name: "app@bad.service", ActiveState: "active", InvocationID: "01", MainPID: monitorOf(t, bundle)}
			starting := u
			starting.ActiveState = "activating"
			kept, read := withTable(t, fake)
			for which, s := range map[string]Services{"kept": kept, "read": read} {
				for _, now := range []systemd.Unit{u, starting} {
					fake.Set(now, systemd.Unit{Name: "app@other.service", ActiveState: "failed", Result: "exit-code", InvocationID: "02"})
					look := func(others bool) string {
						t.Helper()
						found, err := s.Observe(t.Context(), []string{u.Name, "app@other.service"}, others)
						if err != nil || string(found[u.Name].Active) != now.ActiveState || found["app@other.service"].Active != units.Failed {
							t.Errorf("%s, %s: %+v, %v", which, now.ActiveState, found, err)
						}
						return found[u.Name].Unreadable
					}
					put(t, config)
					if err := errors.Join(os.RemoveAll(bad), os.Mkdir(bad, 0o700)); err != nil { // no file can be read here
						t.Fatal(err)
					}
					for _, others := range []bool{true, false} {
						if why := look(others); !strings.Contains(why, name) {
							t.Errorf("%s, %s: unreadable: %q", which, now.ActiveState, why)
						}
					}
					put(t, bad)
					if why := look(true); why != "" {
						t.Errorf("%s, %s, fixed: unreadable: %q", which, now.ActiveState, why)
					}
				}
			}
		})
	}
}

// monitorOf starts what looks like the monitor of a container, and returns its process id.
func monitorOf(t *testing.T, bundle string) uint32 {
	t.Helper()
	monitor := exec.CommandContext(t.Context(), "sh", "-c", "read line", "-b", bundle, "-p", filepath.Join(bundle, "userdata/pidfile"))
	monitor.Args[0] = "conmon"
	if _, err := monitor.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := monitor.Start(); err != nil {
		t.Fatal(err)
	}
	return uint32(monitor.Process.Pid)
}

// put writes a file that can be read, whatever was there.
func put(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
}
