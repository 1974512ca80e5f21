package unitdir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/units"
)

// TestSeenIsExact: whatever is written, and however soon after a comparison, files that were seen
// compare like those that are read.
func TestSeenIsExact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	many := make(units.Set, few, few+3)
	for n := range many {
		many[n] = unit(fmt.Sprintf("app@lost-%d.container", n), "lost", "1")
	}
	many = append(many, unit("app@a.container", "a", "1"), unit("app@b.container", "b", "1"), unit("app@c.container", "c", "1"))
	rapid.Check(t, func(r *rapid.T) {
		var seen Seen
		name := rapid.SampledFrom([]string{"app@a.container", "app@b.container", "app@c.container"})
		body := rapid.SampledFrom([]string{"1", "2"})
		for range 30 {
			n := name.Draw(r, "name")
			path, text := filepath.Join(dir, n), unit(n, "a", body.Draw(r, "body")).Content
			switch rapid.IntRange(0, 4).Draw(r, "action") {
			case 0:
				_ = os.WriteFile(path, text, 0o644) // a directory has the name
			case 1:
				_ = os.RemoveAll(path)
			case 2:
				_ = os.Chmod(path, 0o600) // it may not exist
			case 3:
				_ = os.WriteFile(path+".new", text, 0o644)
				_ = os.Rename(path+".new", path)
			case 4:
				_ = os.Mkdir(path, 0o755)
			}
			if rapid.IntRange(0, 99).Draw(r, "pause") == 57 { // what is read then is kept
				<-time.After(60 * time.Millisecond)
			}
			want := units.Set{unit("app@a.container", "a", "1"), unit("app@b.container", "b", "2")}[:rapid.IntRange(0, 2).Draw(r, "wanted")]
			found, ours, err := Look(dir, want)
			if err != nil {
				r.Fatal(err)
			}
			foundAgain, oursAgain, err := seen.Look(dir, want)
			if d := cmp.Diff(found, foundAgain) + cmp.Diff(ours, oursAgain); d != "" || err != nil {
				r.Fatalf("%v, -read +seen:\n%s", err, d)
			}
			if d := cmp.Diff(Lost(dir, many), seen.Lost(dir, many)); d != "" {
				r.Fatalf("lost, -read +seen:\n%s", d)
			}
		}
	})
}

// TestSeenReadsOnce: a file that is as it was is not read again.
func TestSeenReadsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := unit("app@a.container", "a", "1"), unit("app@b.container", "b", "1")
	mustSync(t, dir, a, b)
	seen := Seen{}
	look := func() (list []*seenFile) {
		t.Helper()
		if _, _, err := seen.Look(dir, units.Set{a}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{a.Name, b.Name} {
			list = append(list, seen.files[name])
		}
		return list
	}
	for f := look(); f[0] == nil || f[1] == nil; f = look() { // they are too new at first
	}
	before := look()
	if &before[0].content[0] != &a.Content[0] {
		t.Error("a file that is as it should be is in memory twice")
	}
	if after := look(); after[0] != before[0] || after[1] != before[1] {
		t.Error("files that did not change were read again")
	}
	mustSync(t, dir, a, unit("app@b.container", "b", "2"))
	if after := look(); after[0] != before[0] || after[1] == before[1] {
		t.Error("only the changed file is read again")
	}
	mustSync(t, dir, a)
	look()
	if len(seen.files) != 1 {
		t.Errorf("%d files are remembered", len(seen.files))
	}
}
