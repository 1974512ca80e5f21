package watch

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// groups is a directory in which files stand for the kernel's: what is written there is
// what the kernel tells.
type groups struct {
	t    *testing.T
	root string
}

func newGroups(t *testing.T, paths ...string) groups {
	t.Helper()
	g := groups{t, t.TempDir()}
	for _, path := range paths {
		if err := os.Mkdir(filepath.Join(g.root, path), 0o755); err != nil {
			t.Fatal(err)
		}
		g.write(path, "populated 1\nfrozen 0\n")
	}
	return g
}

// write changes the state of a group in one go, as the kernel does.
func (g groups) write(path, text string) {
	g.t.Helper()
	f, err := os.OpenFile(filepath.Join(g.root, path, state), os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		g.t.Fatal(err)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	kernel := newGroups(t, "a", "b", "c")
	g := NewGroups(t.Context(), kernel.root)
	heard := func(want string) {
		t.Helper()
		if got := <-g.Events(); got != want {
			t.Errorf("told of %q, want %q", got, want)
		}
	}
	follow := func(groups map[string]string) {
		t.Helper()
		if err := g.Follow(groups); err != nil {
			t.Fatal(err)
		}
	}
	follow(map[string]string{"a": "A", "b": "B", "gone": "G"})

	kernel.write("c", "populated 0\nfrozen 0\n") // not followed
	kernel.write("a", "populated 0\nfrozen 0\n")
	heard("A")
	kernel.write("b", "populated 1\nfrozen 1\n")
	heard("B")

	// Another app has the place of one that is gone, and one is not followed any more.
	if err := os.RemoveAll(filepath.Join(kernel.root, "a")); err != nil {
		t.Fatal(err)
	}
	follow(map[string]string{"c": "C"})
	kernel.write("b", "populated 0\nfrozen 0\n")
	kernel.write("c", "populated 0\nfrozen 0\n")
	heard("C")
}

// A group is reported when it has been frozen for a moment, not when it is frozen more
// briefly, as for a change of its limits.
func TestFrozenForAMoment(t *testing.T) {
	t.Parallel()
	kernel := newGroups(t, "b")
	synctest.Test(t, func(t *testing.T) {
		g := NewGroups(t.Context(), kernel.root)
		freeze := func() {
			kernel.write("b", "populated 1\nfrozen 1\n")
			g.look(group{"b", "B"})
		}
		begun := time.Now()
		freeze()
		if name := <-g.Events(); name != "B" || time.Since(begun) != moment {
			t.Errorf("told of %q after %v, want B after %v", name, time.Since(begun), moment)
		}
		freeze()
		time.Sleep(moment - 1)
		kernel.write("b", "populated 1\nfrozen 0\n")
		time.Sleep(time.Hour)
		select {
		case name := <-g.Events():
			t.Errorf("reported %q, which continues", name)
		default:
		}
	})
}
