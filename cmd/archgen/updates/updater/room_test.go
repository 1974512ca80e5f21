package updater

import (
	"path/filepath"
	"testing"
)

// TestRooms: what is needed in one file system is added up, also for directories that do not exist yet.
func TestRooms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := rooms([]place{{dir, 3}, {filepath.Join(dir, "not/yet"), 4}, {"/proc/self", 5}})
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	for _, r := range list {
		if want := map[string]int64{dir: 7, "/proc/self": 5}[r.Path]; r.Need != want {
			t.Errorf("%s needs %d bytes, want %d", r.Path, r.Need, want)
		}
		if r.Path == dir && r.Free <= 0 {
			t.Errorf("%d bytes are free", r.Free)
		}
	}
}
