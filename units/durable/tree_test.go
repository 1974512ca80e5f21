package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/durable"
)

// TestRemoveTree: the target of a link in the tree, or instead of the tree, stays.
func TestRemoveTree(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	kept := filepath.Join(other, "kept")
	if err := errors.Join(
		os.WriteFile(kept, nil, 0o600), os.MkdirAll(filepath.Join(dir, "tree/below"), 0o755), os.WriteFile(filepath.Join(dir, "tree/below/x"), nil, 0o600),
		os.Symlink(other, filepath.Join(dir, "tree/link")), os.Symlink(other, filepath.Join(dir, "link")),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tree", "link", "absent"} {
		if err := durable.RemoveTree(dir, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names, err := durable.Names(dir); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if err := durable.RemoveTree(filepath.Join(dir, "absent"), "x"); err != nil {
		t.Error(err)
	}
}

// TestRemoveEmpty: a directory that contains a file stays, and so does anything but a directory.
func TestRemoveEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "empty"), 0o755), os.Mkdir(filepath.Join(dir, "full"), 0o755),
		os.WriteFile(filepath.Join(dir, "full/x"), nil, 0o600), os.Symlink("full", filepath.Join(dir, "link")),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"empty", "full", "full/x", "link", "absent"} {
		if err := durable.RemoveEmpty(dir, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := os.Lstat(filepath.Join(dir, name))
		if isGone, want := errors.Is(err, fs.ErrNotExist), name == "empty" || name == "absent"; isGone != want {
			t.Errorf("%s: removed: %v, want %v", name, isGone, want)
		}
	}
}

// TestLink: a link replaces a file or a link, but never a directory.
func TestLink(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	for _, target := range []string{"/dev/null", "elsewhere"} {
		if err := durable.Link(dir, "x", target); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(filepath.Join(dir, "x")); got != target {
			t.Errorf("its target is %q, want %s; %v", got, target, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := durable.Link(dir, "directory", "x"); err == nil {
		t.Error("a link replaced a directory")
	}
	if names, err := durable.Names(dir); err != nil || len(names) != 2 {
		t.Errorf("%v, %v", names, err)
	}
}

// TestCreateTree: a directory has the files that it was given, and nothing from before.
func TestCreateTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, want := range []map[string]string{
		{"a": "1", "b/c/d": "2", "b/e": ""},
		{"b": "a file now"},
		{},
	} {
		files := map[string][]byte{}
		for name, text := range want {
			files[name] = []byte(text)
		}
		if err := durable.CreateTree(dir, "tree", files); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		root := os.DirFS(filepath.Join(dir, "tree"))
		err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := fs.ReadFile(root, path)
			got[path] = string(text)
			return err
		})
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v -want +got:\n%s", err, d)
		}
	}
	for _, odd := range []string{"../x", "/x", "a/../../x", ""} {
		if err := durable.CreateTree(dir, "tree", map[string][]byte{odd: nil}); err == nil {
			t.Errorf("%q was written", odd)
		}
	}
}
