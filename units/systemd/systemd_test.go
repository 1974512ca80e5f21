package systemd_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

const app = "app@bitcoin-knots.service"

// within is a context with a timeout: long for calls that must not end by it, short for those that must.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// A quarter of long is less than a call may take by itself.
const (
	soon = 50 * time.Millisecond
	long = 80 * time.Second
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(long)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
		<-tick.C
	}
}

// both is the ways to reach a manager: its own socket and a bus.
var both = map[string]func(*systemdtest.Manager) *systemd.Manager{
	"private": (*systemdtest.Manager).Connect, "bus": (*systemdtest.Manager).ConnectBus,
}

func TestUnitsAreReadInFull(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			service := systemd.Unit{
				Name: app, LoadState: "loaded", ActiveState: "activating", SubState: "start-post",
				NeedDaemonReload: true, FragmentPath: "/run/user/1000/systemd/generator/app@bitcoin-knots.service",
				SourcePath: "/home/a/.config/containers/systemd/app@bitcoin-knots.container", UnitFileState: "generated",
				InvocationID: "00112233445566778899aabbccddeeff", ControlGroup: "/app.slice/app@bitcoin-knots.service",
				ActiveEnterTimestamp: 1, InactiveEnterTimestamp: 2, StateChangeTimestamp: 3, ActiveExitTimestamp: 4, InactiveExitTimestamp: 5,
				InactiveExitMonotonic: 7, ActiveEnterMonotonic: 8, ActiveExitMonotonic: 9, InactiveEnterMonotonic: 10,
				ExecMainStartMonotonic: 11, ExecMainExitMonotonic: 12,
				Commands: []systemd.Command{{"ExecStartPre", 13, 1, 0}, {"ExecStartPost", 14, 2, 15}, {"ExecStopPost", 15, 1, 3}},
				Restart:  "always", RestartUSec: 16, StartLimitIntervalUSec: 6,
				Result: "exit-code", NRestarts: 4, MainPID: 5, ExecMainCode: 1, ExecMainStatus: 7, StatusText: "verifying blocks 43 %", StatusErrno: 24,
			}
			timer := systemd.Unit{Name: "backup.timer", LoadState: "loaded", ActiveState: "active", SubState: "waiting", Result: "success"}
			fake.Set(service, timer)
			got, err := m.Units(t.Context(), "backup.timer", app, "app@absent.service")
			if err != nil {
				t.Fatal(err)
			}
			absent := systemd.Unit{Name: "app@absent.service", LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}
			if diff := cmp.Diff([]systemd.Unit{timer, service, absent}, got); diff != "" {
				t.Errorf("units (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnitsAreListedInOneCall(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			fake.Set(systemd.Unit{Name: app, ActiveState: "active", SubState: "running"}, systemd.Unit{Name: "other.service"})
			want := []systemd.Listed{
				{Name: "app@absent.service", LoadState: "not-found", ActiveState: "inactive", SubState: "dead"},
				{Name: app, LoadState: "loaded", ActiveState: "active", SubState: "running"},
			}
			got, err := m.List(t.Context(), "app@absent.service", app)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			got, err = m.ListByPatterns(t.Context(), "app@*")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[1:], got); diff != "" {
				t.Errorf("list by pattern (-want +got):\n%s", diff)
			}
			if calls := fake.Calls(); len(calls) != 2 {
				t.Errorf("%d calls for two lists: %v", len(calls), calls)
			}
		})
	}
}

func TestCurrentDetectsNewStartsAndChangedFiles(t *testing.T) {
	fake := systemdtest.New(t)
	invocation := "00112233445566778899aabbccddeeff"
	fake.Set(systemd.Unit{Name: "a.service"}, systemd.Unit{Name: "b.service", NeedDaemonReload: true, InvocationID: invocation})
	want := []systemd.Current{{Name: "b.service", InvocationID: invocation}, {Name: "a.service"}, {Name: "absent.service"}}
	m := fake.Connect()
	got, err := m.Current(t.Context(), "b.service", "a.service", "absent.service")
	if err != nil {
		t.Fatal(err)
	}
	need, err := m.NeedReload(t.Context(), "b.service", "a.service", "absent.service")
	if diff := cmp.Diff(map[string]bool{"b.service": true}, need); diff != "" || err != nil {
		t.Errorf("changed files: %v, -want +got:\n%s", err, diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("current (-want +got):\n%s", diff)
	}
}

// The process and control group of a service are read once for each start.
func TestCurrentAsksOnlyForWhatMayHaveChanged(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app, InvocationID: "01", MainPID: 7, ControlGroup: "/a"})
	for _, step := range []struct {
		change systemd.Unit
		pid    uint32
		asked  int
	}{
		{systemd.Unit{Name: app, InvocationID: "01", MainPID: 7, ControlGroup: "/a"}, 7, 7},
		{systemd.Unit{Name: app, InvocationID: "01", MainPID: 7, ControlGroup: "/a"}, 7, 8},
		{systemd.Unit{Name: app, InvocationID: "02"}, 0, 15},
		{systemd.Unit{Name: app, InvocationID: "02", MainPID: 8, ControlGroup: "/a"}, 8, 22},
		{systemd.Unit{Name: app, InvocationID: "02", MainPID: 8, ControlGroup: "/a"}, 8, 23},
		// While a service starts, the time is that of an earlier start, so it is not cached.
		{systemd.Unit{Name: app, InvocationID: "03", MainPID: 9, ControlGroup: "/a", ActiveEnterMonotonic: 4, InactiveExitMonotonic: 5}, 9, 30},
		{systemd.Unit{Name: app, InvocationID: "03", MainPID: 9, ControlGroup: "/a", ActiveEnterMonotonic: 6, InactiveExitMonotonic: 5}, 9, 37},
		{systemd.Unit{Name: app, InvocationID: "03", MainPID: 9, ControlGroup: "/a", ActiveEnterMonotonic: 6, InactiveExitMonotonic: 5}, 9, 38},
	} {
		fake.Set(step.change)
		got, err := m.Current(t.Context(), app)
		if err != nil || got[0].MainPID != step.pid {
			t.Errorf("%+v: %+v, %v", step.change, got, err)
		}
		if n := len(fake.Calls("Get")); n != step.asked {
			t.Errorf("%+v: %d properties were read, want %d", step.change, n, step.asked)
		}
	}
}

// reset-failed changes the number of restarts of a service that runs, so that is read again.
func TestCurrentSeesThatRestartsWereForgotten(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app, ActiveState: "active", InvocationID: "01", MainPID: 7, ControlGroup: "/a", NRestarts: 3})
	for i, step := range []struct {
		restarts uint32
		asked    int
	}{{3, 7}, {3, 9}, {0, 11}, {0, 12}} {
		if i == 2 {
			if err := m.ResetFailed(t.Context(), app); err != nil {
				t.Fatal(err)
			}
		}
		got, err := m.Current(t.Context(), app)
		if err != nil || got[0].NRestarts != step.restarts || got[0].MainPID != 7 {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
		if n := len(fake.Calls("Get")); n != step.asked {
			t.Errorf("%d: %d properties were read, want %d", i, n, step.asked)
		}
	}
}

func TestReloadRunsTheGenerators(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			fake.OnReload(func() { fake.Set(systemd.Unit{Name: app}) })
			if err := m.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			list, err := m.List(t.Context(), app)
			if err != nil || list[0].LoadState != "loaded" {
				t.Errorf("after the reload %v, %v", list, err)
			}
		})
	}
}

func TestResetFailedLetsAUnitStartAgain(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app, ActiveState: "failed", SubState: "failed", Result: "exit-code", NRestarts: 5})
	if err := m.ResetFailed(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if u := fake.Unit(app); u.ActiveState != "inactive" || u.NRestarts != 0 {
		t.Errorf("after the reset %+v", u)
	}
	if err := m.ResetFailed(t.Context(), "absent.service"); !errors.Is(err, systemd.ErrNoSuchUnit) {
		t.Errorf("reset of a unit that does not exist: %v", err)
	}
}

// every is all calls, with a manager that answers at once.
var every = map[string]func(context.Context, *systemd.Manager) error{
	"GetAll":              func(ctx context.Context, m *systemd.Manager) error { _, err := m.Units(ctx, app); return err },
	"Get":                 func(ctx context.Context, m *systemd.Manager) error { _, err := m.Current(ctx, app); return err },
	"ListUnitsByNames":    func(ctx context.Context, m *systemd.Manager) error { _, err := m.List(ctx, app); return err },
	"ListUnitsByPatterns": func(ctx context.Context, m *systemd.Manager) error { _, err := m.ListByPatterns(ctx, app); return err },
	"Reload":              func(ctx context.Context, m *systemd.Manager) error { return m.Reload(ctx) },
	"ResetFailedUnit":     func(ctx context.Context, m *systemd.Manager) error { return m.ResetFailed(ctx, app) },
	"StartUnit": func(ctx context.Context, m *systemd.Manager) error {
		_, err := m.Start(ctx, app, systemd.Replace)
		return err
	},
	"StopUnit": func(ctx context.Context, m *systemd.Manager) error {
		_, err := m.Stop(ctx, app, systemd.Replace)
		return err
	},
	"RestartUnit": func(ctx context.Context, m *systemd.Manager) error {
		_, err := m.Restart(ctx, app, systemd.Replace)
		return err
	},
}

// aboutUnit reports whether a call concerns one unit.
func aboutUnit(method string) bool { return method != "Reload" }

func TestEveryCallSaysWhyItFailed(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	for method, call := range every {
		fake.Fail(method, errors.New("the moon is full"))
		before := len(fake.Calls(method)) // a start reads the unit, too
		err := call(t.Context(), m)
		if err == nil || !strings.Contains(err.Error(), "the moon is full") || !strings.Contains(err.Error(), "user manager") {
			t.Errorf("%s: %v", method, err)
		}
		if err != nil && aboutUnit(method) != strings.Contains(err.Error(), app) {
			t.Errorf("%s does not name the unit: %v", method, err)
		}
		if made := len(fake.Calls(method)) - before; made != 1 && (made != 2 || method != "Get") { // it reads two properties
			t.Errorf("%s was refused and made %d times", method, made)
		}
		fake.Fail(method, nil)
		if err := call(t.Context(), m); err != nil {
			t.Errorf("%s afterwards: %v", method, err)
		}
	}
}

func TestEveryCallEndsWithItsContext(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	for method, call := range every {
		fake.Hang(method, true)
		begun := time.Now()
		if err := call(within(t, soon), m); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a manager that hangs: %v", method, err)
		}
		if took := time.Since(begun); took > long/4 {
			t.Errorf("%s took %v", method, took)
		}
		fake.Hang(method, false)
		if err := call(within(t, long), m); err != nil {
			t.Errorf("%s afterwards: %v", method, err)
		}
	}
}

func TestEveryCallIsMadeAgainWhenTheConnectionIsLost(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			fake.Set(systemd.Unit{Name: app})
			for method, call := range every {
				fake.Drop()
				if err := call(within(t, long), m); err != nil {
					t.Errorf("%s after the connection was lost: %v", method, err)
				}
				before := len(fake.Calls(method))
				fake.Hang(method, true)
				ended := make(chan error, 1)
				go func() { ended <- call(within(t, long), m) }()
				eventually(t, method+" is requested", func() bool { return len(fake.Calls(method)) > before })
				fake.Hang(method, false)
				fake.Drop()
				if err := <-ended; err != nil {
					t.Errorf("%s whose connection was lost: %v", method, err)
				}
			}
		})
	}
}

func TestErrorsSayHowToFixThem(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	for _, name := range []string{"org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"} {
		fake.Fail("StartUnit", dbus.Error{Name: name, Body: []any{"Access denied"}})
		_, err := m.Start(t.Context(), app, systemd.Replace)
		if !errors.Is(err, systemd.ErrDenied) || !strings.Contains(err.Error(), "the user who owns the manager") {
			t.Errorf("%s: %v", name, err)
		}
	}
	fake.Fail("StartUnit", nil)
	_, err := m.Start(t.Context(), "app@absent.service", systemd.Replace)
	if !errors.Is(err, systemd.ErrNoSuchUnit) || !strings.Contains(err.Error(), "systemctl --user daemon-reload") {
		t.Errorf("start of a unit that does not exist: %v", err)
	}
	fake.Stop()
	_, err = m.List(within(t, 20*soon), app)
	if !errors.Is(err, systemd.ErrUnreachable) || !strings.Contains(err.Error(), "loginctl enable-linger") {
		t.Errorf("call of a manager that has exited: %v", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("an error of several lines: %v", err)
	}
}

func TestCallsWaitForAManagerThatRestarts(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	fake.Stop()
	ended := make(chan error, 1)
	go func() {
		_, err := m.List(within(t, long), app)
		ended <- err
	}()
	if _, err := m.List(within(t, soon), app); !errors.Is(err, systemd.ErrUnreachable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("list while the manager is away: %v", err)
	}
	fake.Start()
	if err := <-ended; err != nil {
		t.Errorf("list that waited: %v", err)
	}
}

func TestConnectTakesTheBusWhenThereIsNoSocket(t *testing.T) {
	fake := systemdtest.New(t)
	fake.Set(systemd.Unit{Name: app})
	m, err := systemd.Connect(t.Context(), systemd.Options{Private: filepath.Join(t.TempDir(), "none"), Bus: fake.Bus().Bus})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Start(t.Context(), app, systemd.Replace); err != nil {
		t.Error(err)
	}
}

func TestConnectFailsAtOnceWithoutAManager(t *testing.T) {
	for scope, hint := range map[units.Scope]string{units.User: "enable-linger", units.System: "process 1"} {
		_, err := systemd.Connect(within(t, long), systemd.Options{Scope: scope, Private: filepath.Join(t.TempDir(), "none")})
		if !errors.Is(err, systemd.ErrUnreachable) || !strings.Contains(err.Error(), hint) {
			t.Errorf("connect of the %s manager: %v", scope, err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it waited: %v", err)
		}
	}
}

// The socket file stays while its manager re-executes.
func TestConnectWaitsForASocketThatRefuses(t *testing.T) {
	fake := systemdtest.New(t)
	socket := fake.Private().Private + ".refuses"
	abandon(t, socket)
	_, err := systemd.Connect(within(t, 20*soon), systemd.Options{Private: socket})
	if !errors.Is(err, systemd.ErrUnreachable) {
		t.Errorf("connect to a socket without a listener: %v", err)
	}
	connected := make(chan error, 1)
	go func() {
		m, err := systemd.Connect(within(t, long), systemd.Options{Private: socket})
		if err == nil {
			m.Close()
		}
		connected <- err
	}()
	select {
	case err := <-connected:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(2 * soon):
	}
	if err := os.Rename(fake.Private().Private, socket); err != nil {
		t.Fatal(err)
	}
	if err := <-connected; err != nil {
		t.Error(err)
	}
}

// abandon leaves a socket that refuses.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestConnectEndsWithoutAnAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mute")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, options := range map[string]systemd.Options{"private": {Private: path}, "bus": {Bus: "unix:path=" + path}} {
		if _, err := systemd.Connect(within(t, soon), options); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConnectIsNotBoundToItsContext(t *testing.T) {
	fake := systemdtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	m, err := systemd.Connect(ctx, fake.Private())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cancel()
	if _, err := m.List(t.Context(), app); err != nil {
		t.Error(err)
	}
	if n := fake.Connections(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
}

// systemd does not handle a first message that it reads together with the last line of the
// authentication until more bytes arrive.
func TestConnectGetsAnAnswerToAForgottenFirstMessage(t *testing.T) {
	fake := systemdtest.New(t)
	fake.Overread()
	m, err := systemd.Connect(within(t, long), fake.Private())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.List(within(t, long), app); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	fake := systemdtest.New(t)
	fake.Set(systemd.Unit{Name: app})
	m, err := systemd.Connect(t.Context(), fake.Private())
	if err != nil {
		t.Fatal(err)
	}
	fake.OnJob(func(systemdtest.Job) systemdtest.Outcome { return systemdtest.Outcome{Hold: t.Context().Done()} })
	events := m.Events(t.Context())
	<-events
	ended := make(chan error, 2)
	go func() { _, err := m.Start(t.Context(), app, systemd.Replace); ended <- err }()
	fake.Hang("ListUnitsByNames", true)
	go func() { _, err := m.List(t.Context(), app); ended <- err }()
	eventually(t, "both calls are made", func() bool { return len(fake.Calls("ListUnitsByNames", "StartUnit")) == 2 && fake.Jobs() == 1 })
	m.Close()
	m.Close()
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, systemd.ErrClosed) {
			t.Errorf("call while the manager is closed: %v", err)
		}
	}
	for range events {
		continue // only the end matters, not the remaining events
	}
	if _, err := m.List(t.Context(), app); !errors.Is(err, systemd.ErrClosed) {
		t.Errorf("call after close: %v", err)
	}
	fake.ForgetJobs()
	fake.Stop()
	eventually(t, "all goroutines are gone", func() bool { return runtime.NumGoroutine() <= before })
}

func TestCloseEndsTheWaitForAManagerThatExited(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Stop()
	ended := make(chan error, 1)
	go func() { _, err := m.List(within(t, 2*long), app); ended <- err }()
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(soon):
	}
	begun := time.Now()
	m.Close()
	if err := <-ended; !errors.Is(err, systemd.ErrClosed) {
		t.Errorf("call that waits for the manager: %v", err)
	}
	if took := time.Since(begun); took > long/4 {
		t.Errorf("closing took %v", took)
	}
}

func TestLostConnectionsLeaveNothingBehind(t *testing.T) {
	fake := systemdtest.New(t)
	fake.Set(systemd.Unit{Name: app})
	m := fake.Connect()
	before := runtime.NumGoroutine()
	for range 20 {
		fake.Drop()
		if _, err := m.List(within(t, long), app); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "no goroutine is left of lost connections", func() bool { return runtime.NumGoroutine() <= before })
}

func TestBusSockets(t *testing.T) {
	for address, want := range map[string][]string{
		"unix:path=/run/user/1000/bus":             {"/run/user/1000/bus"},
		"unix:path=/tmp/a%20b,guid=0123":           {"/tmp/a b"},
		"unix:abstract=/tmp/x,guid=0":              {"@/tmp/x"},
		"tcp:host=localhost,port=1;unix:path=/bus": {"/bus"},
		"unix:path=/one;unix:path=/two":            {"/one", "/two"},
		"autolaunch:":                              nil,
		"unix:path=/a%2":                           nil,
		"":                                         nil,
	} {
		got, err := systemd.BusSockets(address)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", address, got, err)
		}
	}
}

// The environment says where the manager is; the default is the paths of a login.
func TestConnectLooksWhereTheEnvironmentSays(t *testing.T) {
	fake := systemdtest.New(t)
	runtimeDir := filepath.Dir(fake.Private().Private)
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(runtimeDir, "none"))
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", fake.Bus().Bus)
	m, err := systemd.Connect(t.Context(), systemd.Options{})
	if err != nil {
		t.Fatalf("over DBUS_SESSION_BUS_ADDRESS: %v", err)
	}
	m.Close()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(runtimeDir, "nowhere"))
	if _, err := systemd.Connect(t.Context(), systemd.Options{}); !errors.Is(err, systemd.ErrUnreachable) {
		t.Errorf("with no manager anywhere: %v", err)
	}
	if err := os.Mkdir(filepath.Join(runtimeDir, "systemd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../private", filepath.Join(runtimeDir, "systemd/private")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	m, err = systemd.Connect(t.Context(), systemd.Options{})
	if err != nil {
		t.Fatalf("over XDG_RUNTIME_DIR: %v", err)
	}
	m.Close()
}
