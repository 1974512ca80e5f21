package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/archipelago-os/archipelago/units/durable"
)

func TestReplacePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above/private")
	for _, text := range []string{"one", "two"} {
		if err := durable.ReplacePrivate(dir, "x", []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "x"))
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	for path, mode := range map[string]fs.FileMode{dir: 0o700, filepath.Dir(dir): 0o755, filepath.Join(dir, "x"): 0o440} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if names, err := durable.Names(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

// TestOverwrite: the file is the same one with new content, and nothing but a regular file is ever
// written.
func TestOverwrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := durable.Overwrite(dir, "x", nil, 0o400); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
	if err := durable.ReplacePrivate(dir, "x", []byte("a longer one"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"short", "the longest of all"} {
		if err := durable.Overwrite(dir, "x", []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		after, statErr := os.Stat(path)
		if err := errors.Join(err, statErr); err != nil || string(got) != text || !os.SameFile(before, after) || after.Mode().Perm() != 0o640 {
			t.Errorf("%q, %v, %v", got, after.Mode(), err)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, []byte("kept"), 0o600), os.Symlink(other, filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "directory"), 0o700),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "directory", "fifo"} {
		if err := durable.Overwrite(dir, name, []byte("x"), 0o600); err == nil {
			t.Errorf("the %s was overwritten", name)
		}
	}
	if got, err := os.ReadFile(other); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestCreatePrivate: of many calls that create the same file, one succeeds, and all see it
// complete.
func TestCreatePrivate(t *testing.T) {
	dir := t.TempDir()
	var made atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := durable.CreatePrivate(dir, "key", []byte{byte(i), byte(i)}, 0o600)
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
			if key, err := os.ReadFile(filepath.Join(dir, "key")); err != nil || len(key) != 2 || key[0] != key[1] {
				t.Errorf("%v, %v", key, err)
			}
		})
	}
	wg.Wait()
	if names, err := durable.Names(dir); err != nil || len(names) != 1 || made.Load() != 1 {
		t.Errorf("%d created it; %v, %v", made.Load(), names, err)
	}
}
