package prestart

import (
	"os"
	"path/filepath"
	"testing"
)

// volume makes the directory of a volume.
func volume(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, dataDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, dataDir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestIsNewVolume: a volume is new while it holds nothing and has no mark.
func TestIsNewVolume(t *testing.T) {
	owned := volume(t)
	if err := leaveVolume(owned); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		want bool
	}{
		"empty": {volume(t), true}, "cleared": {t.TempDir(), true}, "with data": {volume(t, "a"), false}, "empty and owned": {owned, false},
	} {
		if got, err := isNewVolume(c.dir); got != c.want || err != nil {
			t.Errorf("%s: new %v, %v; want %v", name, got, err, c.want)
		}
	}
}

// TestClearVolume: content is never removed.
func TestClearVolume(t *testing.T) {
	full, empty := volume(t, "a"), volume(t)
	if err := clearVolume(full); err == nil {
		t.Error("a volume that holds data was cleared")
	}
	if _, err := os.Stat(filepath.Join(full, dataDir, "a")); err != nil {
		t.Error(err)
	}
	for range 2 { // an interrupted run may have cleared it before
		if err := clearVolume(empty); err != nil {
			t.Error(err)
		}
	}
}

// TestPlaceVolume: what is placed keeps its permissions, a volume that is placed is no
// longer new, and one that holds data is not replaced.
func TestPlaceVolume(t *testing.T) {
	from, to, full := volume(t, "seed"), volume(t), volume(t, "data")
	if err := os.Symlink("/etc/shadow", filepath.Join(from, dataDir, "link")); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(from, dataDir, "program")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o755|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := placeVolume(from, full, os.Getuid(), os.Getgid()); err == nil {
		t.Error("a volume that holds data was replaced")
	}
	if err := placeVolume(from, to, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"seed": 0o600, "program": 0o755 | os.ModeSetgid} {
		info, err := os.Stat(filepath.Join(to, dataDir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if isNew, err := isNewVolume(to); isNew || err != nil {
		t.Errorf("the placed volume is new: %v, %v", isNew, err)
	}
	if _, err := os.Stat(filepath.Join(full, dataDir, "data")); err != nil {
		t.Error(err)
	}
}

// TestHostID: ids of a container become those of Podman's user namespace.
func TestHostID(t *testing.T) {
	keepID := []idMap{{0, 1, 1000}, {1000, 0, 1}, {1001, 1001, 64536}}
	for id, want := range map[int]int{0: 1, 999: 1000, 1000: 0, 1001: 1001} {
		if got, err := hostID(id, keepID); got != want || err != nil {
			t.Errorf("hostID(%d) = %d, %v; want %d", id, got, err, want)
		}
	}
	if got, err := hostID(70000, nil); got != 70000 || err != nil {
		t.Errorf("without a namespace: %d, %v", got, err)
	}
	if _, err := hostID(70000, keepID); err == nil {
		t.Error("an id outside of the namespace was taken")
	}
}
