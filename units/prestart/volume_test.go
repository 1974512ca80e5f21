package prestart

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// TestEnsureDirectory: what is new gets owner and mode, what is on the way and was
// there before stays as it is, and no link is followed.
func TestEnsureDirectory(t *testing.T) {
	volume, outside := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(volume, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"out", "there/out"} {
		if err := os.Symlink(outside, filepath.Join(volume, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(volume, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ensure := func(path string) error { return ensureDirectory(volume, path, os.Getuid(), os.Getgid(), 0o710) }
	for range 2 {
		if err := ensure("there/a/b"); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{"there": 0o755, "there/a": 0o710, "there/a/b": 0o710} {
		if info, err := os.Stat(filepath.Join(volume, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, mode)
		}
	}
	for _, path := range []string{"out", "out/x", "there/out/x", "file", "file/x"} {
		if err := ensure(path); err == nil {
			t.Errorf("%s was made", path)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("something was made outside: %v, %v", entries, err)
	}
	if err := ensureDirectory(filepath.Join(volume, "gone"), "x", 0, 0, 0o700); err == nil {
		t.Error("a directory was made in a volume that is not there")
	}
}

func TestWaitForFile(t *testing.T) {
	volume := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		brief, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := waitForFile(brief, volume, "a/ready"); err == nil {
			t.Error("it was not waited for")
		}
		time.AfterFunc(time.Minute, func() { _ = os.MkdirAll(filepath.Join(volume, "a/ready"), 0o755) })
		if err := waitForFile(t.Context(), volume, "a/ready"); err != nil {
			t.Error(err)
		}
	})
}

// TestNamespaceID: in Podman's own user namespace the user is 0, and the ids of a
// container stand where its user namespace puts them.
func TestNamespaceID(t *testing.T) {
	for _, c := range []struct {
		userns   string
		id, want int
	}{
		{"", 1000, 1000},
		{"host", 5, 5},
		{"keep-id", 1000, 0},
		{"keep-id", 0, 1},
		{"keep-id", 2000, 2000},
		{"keep-id:uid=200,gid=210", 200, 0},
		{"keep-id:gid=210,uid=200", 199, 200},
	} {
		p := &Part{Recipe: units.Recipe{Podman: []string{"--userns=" + c.userns}}}
		if got, err := p.namespaceID(c.id, "uid=", 1000); err != nil || got != c.want {
			t.Errorf("%s: %d is %d, %v; want %d", c.userns, c.id, got, err, c.want)
		}
	}
	p := &Part{Recipe: units.Recipe{Podman: []string{"--userns=auto"}}}
	if _, err := p.namespaceID(0, "uid=", 1000); err == nil {
		t.Error("nobody knows the ids of userns auto")
	}
}
