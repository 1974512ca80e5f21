//go:build live

package systemd_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func kill(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "kill", "--signal=KILL", name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// until reads events up to the wanted one.
func until(t *testing.T, events <-chan systemd.Event, want systemd.Event) {
	t.Helper()
	for next(t, events) != want {
		continue // others may come before
	}
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

// The tests from here on run one by one, under special conditions.

// ready creates a file that says that a test waits for its conditions.
func ready(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("ready", nil, 0o644); err != nil {
		t.Fatal(err)
	}
}
