package watch

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Files stand for the kernel's: what is written there is what the kernel tells.
func TestGroups(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(path, text string) { // in one go, as the kernel does
		t.Helper()
		f, err := os.OpenFile(filepath.Join(root, path, state), os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"a", "b", "c"} {
		if err := os.Mkdir(filepath.Join(root, path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(path, "populated 1\nfrozen 0\n")
	}
	g := NewGroups(t.Context(), root)
	heard := func(want string) {
		t.Helper()
		select {
		case got := <-g.Events():
			if got != want {
				t.Errorf("told of %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("nothing was told of %q", want)
		}
	}
	g.Follow(map[string]string{"a": "A", "b": "B", "gone": "nobody"})

	write("c", "populated 0\nfrozen 0\n") // not followed
	write("a", "populated 0\nfrozen 0\n")
	heard("A")
	write("b", "populated 1\nfrozen 1\n")
	heard("B")

	// Frozen for a moment only, as for a change of its limits.
	write("b", "populated 1\nfrozen 1\n")
	write("b", "populated 1\nfrozen 0\n")
	time.Sleep(moment + 100*time.Millisecond)
	select {
	case name := <-g.Events():
		t.Errorf("told of %q, which goes on", name)
	default:
	}

	// Another app has the place of one that is gone, and one is not followed any more.
	if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	g.Follow(map[string]string{"c": "C"})
	write("b", "populated 0\nfrozen 0\n")
	write("c", "populated 0\nfrozen 0\n")
	heard("C")
}
