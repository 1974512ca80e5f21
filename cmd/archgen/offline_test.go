package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// An image build may render as any user: one without a name, a home directory, an
// environment, or access to anything but its own directory. The test becomes such a user
// if it runs as root; otherwise it differs from one only in that it has a name.
func TestRenderNeedsNothing(t *testing.T) {
	t.Parallel()
	dir := openTempDir(t)
	write(t, filepath.Join(dir, "apps/web.yaml"), "app: {id: web, name: Web, version: 1.0.0, container: {image: docker.io/library/web:1}}\n")
	write(t, filepath.Join(dir, "image/etc/archipelago/apps/database.yaml"), "app: {id: database, name: DB, version: 1.0.0, container: {image: docker.io/library/database:1}}\n")
	for _, place := range []string{"out", "image/etc/containers/systemd/users"} {
		mustBeMade(t, filepath.Join(dir, place))
	}

	for _, c := range []struct {
		name, args, stdout string
	}{
		{"single manifest", "render --out out/units apps/web.yaml", "out/units: 2 written, 0 removed, 0 unchanged\n"},
		{"set", "render --out out/units ./apps", "out/units: 2 files, nothing changed\n"},
		{"image", "render --root image", "image/etc/containers/systemd/users/archipelago: 2 written, 0 removed, 0 unchanged\n"},
		{"check", "check ./apps", "1 app checked\n"},
	} {
		stdout, stderr, err := asNobody(t, dir, strings.Fields(c.args)...)
		if err != nil || stdout != c.stdout || stderr != "" {
			t.Errorf("%s: archgen %s: %v\nstdout %q, want %q\nstderr %q", c.name, c.args, err, stdout, c.stdout, stderr)
		}
	}

	// A command that needs a home directory says so, and what to do.
	_, stderr, err := asNobody(t, dir, "render")
	if err == nil || !strings.HasPrefix(stderr, "archgen: HOME is not set") || !strings.Contains(stderr, "--root DIR") {
		t.Errorf("render: %v, stderr %q", err, stderr)
	}
}

// openTempDir is a temporary directory that every user can reach.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // another user is to read it
			t.Fatal(err)
		}
	}
	return dir
}

func mustBeMade(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, unknownID, unknownID); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unknownID is a user and group that no machine knows.
const unknownID = 12345

// asNobody runs archgen with an empty environment. Only the owner can read the directory
// of the test binary, so the binary is run as an open file.
func asNobody(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	self, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3", args...)
	cmd.Args[0] = "archgen"
	cmd.ExtraFiles = []*os.File{self}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, []string{}, &out, &errs
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unknownID, Gid: unknownID}}
	}
	err = cmd.Run()
	// `go test -cover` makes it print this.
	said := strings.TrimPrefix(errs.String(), "warning: GOCOVERDIR not set, no coverage data emitted\n")
	return out.String(), said, err
}
