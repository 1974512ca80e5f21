//go:build e2e

package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hardened is the restrictions that every image has to work with.
var hardened = []string{"podman", "run", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"}

func user(t *testing.T, m *Machine, args ...string) string {
	t.Helper()
	out, err := m.User(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func run(t *testing.T, m *Machine, args ...string) string {
	t.Helper()
	return user(t, m, append(append([]string{}, hardened...), args...)...)
}

// eventually repeats a command until it succeeds, because a starting server fails it at
// first.
func eventually(t *testing.T, m *Machine, args ...string) string {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := m.User(args...)
		if err == nil {
			return strings.TrimSpace(out)
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

func TestMachine(t *testing.T) {
	m := Up(t)

	if got := user(t, m, "podman", "--version"); !strings.HasPrefix(got, "podman version 5.") {
		t.Errorf("podman --version = %q", got)
	}
	if got := user(t, m, "systemctl", "--user", "is-system-running"); got != "running" {
		t.Errorf("user manager is %q", got)
	}
	if got := user(t, m, "sh", "-c", "id -un; echo $XDG_RUNTIME_DIR; pwd"); got != "archy\n/run/user/1000\n/home/archy" {
		t.Errorf("environment of archy = %q", got)
	}
	for _, ref := range []string{"bitcoin-knots:29", "nginx:1.26", "postgres:17", "busybox:1", "noshell:1"} {
		if _, err := m.User("podman", "image", "exists", "localhost/"+ref); err != nil {
			t.Error(err)
		}
	}
	var exit *exec.ExitError
	if _, err := m.User("sh", "-c", "echo why >&2; exit 7"); !errors.As(err, &exit) || exit.ExitCode() != 7 || !strings.Contains(err.Error(), "why") {
		t.Errorf("failing command: error %v", err)
	}
	if got := run(t, m, "--rm", "--network=none", "localhost/noshell:1", "argv", "a b", "$HOME"); !strings.Contains(got, `"argv":["/app","argv","a b","$HOME"]`) {
		t.Errorf("noshell argv = %s", got)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("pushed"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := m.Push(file, "deep/down/"); err != nil {
		t.Fatal(err)
	}
	if got := user(t, m, "stat", "-c", "%U %a", "deep", "deep/down/file"); got != "archy 755\narchy 640" {
		t.Errorf("pushed files are %q", got)
	}
	if err := m.Reboot(); err != nil {
		t.Fatal(err)
	}
	if err := m.Pull("deep/down/file", file+".back"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file + ".back"); err != nil || string(got) != "pushed" {
		t.Errorf("file after reboot = %q, %v", got, err)
	}
	if err := m.Poweroff(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.User("true"); err == nil {
		t.Error("a command ran on a machine that is off")
	}
	if err := m.Reboot(); err != nil {
		t.Fatal(err)
	}
	if got := user(t, m, "cat", "deep/down/file"); got != "pushed" {
		t.Errorf("file after power-off = %q", got)
	}
}

func TestImages(t *testing.T) {
	m := Up(t)

	t.Run("bitcoin-knots", func(t *testing.T) {
		run(t, m, "-d", "--name=knots", "--network=none", "--user=999:999", "-v", "knots:/data", "localhost/bitcoin-knots:29", "-datadir=/data", "-regtest")
		got := eventually(t, m, "podman", "exec", "knots", "bitcoin-cli", "-datadir=/data", "-regtest", "getblockchaininfo")
		if !strings.Contains(got, `"chain": "regtest"`) {
			t.Errorf("getblockchaininfo = %s", got)
		}
		user(t, m, "podman", "stop", "-t", "60", "knots")
	})
	t.Run("nginx", func(t *testing.T) {
		run(t, m, "-d", "--name=nginx", "-p", "127.0.0.1:18080:8080", "localhost/nginx:1.26")
		if got := eventually(t, m, "curl", "-sSf", "http://127.0.0.1:18080/"); !strings.Contains(got, "nginx") {
			t.Errorf("page = %q", got)
		}
		if got := user(t, m, "podman", "logs", "nginx"); !strings.Contains(got, "GET /") {
			t.Errorf("log = %q", got)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		user(t, m, "sh", "-c", "printf hunter2 | podman secret create pw -")
		run(t, m, "-d", "--name=postgres", "-v", "pg:/var/lib/postgresql/data", "--secret=pw,uid=999,mode=0400",
			"-e", "POSTGRES_PASSWORD_FILE=/run/secrets/pw", "-e", "POSTGRES_USER=shop", "-e", "POSTGRES_DB=till", "localhost/postgres:17")
		eventually(t, m, "podman", "exec", "postgres", "pg_isready", "-q")
		if got := user(t, m, "podman", "exec", "-e", "PGPASSWORD=hunter2", "postgres", "psql", "-h", "127.0.0.1", "-U", "shop", "-At", "-c", "select current_database(), 6*7", "till"); got != "till|42" {
			t.Errorf("psql = %q", got)
		}
		user(t, m, "podman", "stop", "postgres")
		if got := user(t, m, "podman", "inspect", "-f", "{{.State.ExitCode}}", "postgres"); got != "0" {
			t.Errorf("postgres ended with %s", got)
		}
		user(t, m, "podman", "start", "postgres")
		eventually(t, m, "podman", "exec", "postgres", "psql", "-U", "shop", "-c", "select 1", "till")
	})
	t.Run("busybox", func(t *testing.T) {
		run(t, m, "-d", "--name=busybox", "-p", "127.0.0.1:18081:8080", "localhost/busybox:1", "httpd", "-f", "-p", "8080", "-h", "/etc")
		eventually(t, m, "curl", "-sSf", "http://127.0.0.1:18081/passwd")
	})
	t.Run("noshell", func(t *testing.T) {
		run(t, m, "-d", "--name=noshell", "--network=none", "localhost/noshell:1")
		eventually(t, m, "podman", "exec", "noshell", "/app", "health")
		if _, err := m.User("podman", "exec", "noshell", "/bin/sh", "-c", "true"); err == nil {
			t.Error("noshell has a shell")
		}
	})
}
