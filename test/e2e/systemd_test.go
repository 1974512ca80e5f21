//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/test/host"
)

// This runs the tests of units/systemd with the tag live against the managers of the test
// machine.
func TestSystemd(t *testing.T) {
	m := host.Up(t, host.Images())
	binary := filepath.Join(t.TempDir(), "systemd.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "live", "-o", binary,
		"github.com/archipelago-os/archipelago/units/systemd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the tests: %v\n%s", err, out)
	}
	if err := m.Push(binary, "/usr/local/bin/"); err != nil {
		t.Fatal(err)
	}
	run := func(as func(...string) (string, error), tests string) {
		t.Helper()
		out, err := as("systemd.test", "-test.v", "-test.timeout", "2m", "-test.run", tests)
		t.Log(out)
		if err != nil {
			t.Error(err)
		}
	}
	run(m.User, "^TestLive")
	run(m.Root, "^TestSpecialSystemManagerAsRoot$")
	run(m.User, "^TestSpecialSystemManagerAsUser$")

	restarted := make(chan error, 1)
	go func() { restarted <- restartWhenReady(m) }()
	run(m.User, "^TestSpecialRestartOfTheManager$")
	if err := <-restarted; err != nil {
		t.Error(err)
	}

	if _, err := m.Root("systemctl", "stop", "user@1000.service"); err != nil {
		t.Fatal(err)
	}
	run(m.User, "^TestSpecialNoManager$")
}

// restartWhenReady restarts the user's manager once a test waits for it.
func restartWhenReady(m *host.Machine) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if _, err := m.Root("test", "-e", "/home/archy/ready"); err == nil {
			break
		}
	}
	_, err := m.Root("systemctl", "restart", "user@1000.service")
	return err
}
