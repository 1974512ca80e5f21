package unitdir

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// TestLookSaysWhatDiffersAndWritesNothing puts one file into each state.
func TestLookSaysWhatDiffersAndWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	right, edited, cut := unit("app@a.container", "a", "a"), unit("app@b.container", "b", "b"), unit("app@c.container", "c", "c")
	odd, foreign, missing := unit("app@d.container", "d", "d"), unit("app@e.container", "e", "e"), unit("app@f.container", "f", "f")
	stale, shared := unit("app@g.db.container", "g", "g"), unit("archipelago-shared.x.network", "", "x")
	mustSync(t, dir, right, edited, stale, shared)
	put(t, filepath.Join(dir, edited.Name), string(edited.Content)+"# more\n", 0o644)
	put(t, filepath.Join(dir, cut.Name), header, 0o644)
	if err := syscall.Mkfifo(filepath.Join(dir, odd.Name), 0o644); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, foreign.Name), "[Container]\nImage=mine\n", 0o644)
	before := states(t, dir)

	found, ours, err := Look(dir, units.Set{right, edited, cut, odd, foreign, missing})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]units.FoundFile{
		edited.Name:  {State: units.FileDiffers, App: "b"},
		cut.Name:     {State: units.FileDiffers, App: "c"},
		odd.Name:     {State: units.FileOdd, App: "d"},
		foreign.Name: {State: units.FileForeign, App: "e"},
		missing.Name: {State: units.FileMissing, App: "f"},
		stale.Name:   {State: units.FileStale, App: "g", Service: "app@g.db.service"},
		shared.Name:  {State: units.FileStale},
	}, found); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	edited.Content = append(edited.Content, "# more\n"...)
	if d := cmp.Diff(units.Set{right, edited, stale, shared}, ours); d != "" {
		t.Errorf("ours: -want +got:\n%s", d)
	}
	if d := cmp.Diff(before, states(t, dir)); d != "" {
		t.Errorf("Look changed something:\n%s", d)
	}
}

// TestLookAtAMissingDirectory: a directory that does not exist lacks every file, and is not created.
func TestLookAtAMissingDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	found, ours, err := Look(dir, units.Set{unit("app@a.container", "a", "a")})
	if d := cmp.Diff(map[string]units.FoundFile{"app@a.container": {State: units.FileMissing, App: "a"}}, found); err != nil || d != "" || len(ours) > 0 {
		t.Errorf("%v, ours %v, -want +got:\n%s", err, ours, d)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory was created: %v", err)
	}
}
