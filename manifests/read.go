package manifests

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// This file is the package's only access to the machine. The layer test holds that.

// ReadFile reads a regular file of at most MaxFileSize bytes, and one more so
// that Parse can tell a larger one.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readRegular(f)
}

func readRegular(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file (%v)", info.Mode().Type())
	}
	var text bytes.Buffer
	text.Grow(int(min(info.Size(), MaxFileSize)) + bytes.MinRead)
	_, err = text.ReadFrom(io.LimitReader(f, MaxFileSize+1))
	return text.Bytes(), err
}

// ReadTemplate reads a template beside a manifest, from its directory ID.files. It follows no
// link: a link could lead to any file that the caller can read.
func ReadTemplate(dir, name string) ([]byte, error) {
	if info, err := os.Lstat(dir); err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return nil, cmp.Or(err, errLink)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, errLink
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, cmp.Or(err, errors.New("it was replaced while it was read"))
	}
	return readRegular(f)
}

var errLink = errors.New("it is a link, and templates of a manifest must be files: put the file there")

// list lists a directory, sorted.
func list(root, dir string) (entries []fs.DirEntry, isAbsent bool, err error) {
	if err := StaysInside(root, dir); err != nil {
		return nil, false, err
	}
	entries, err = os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	return entries, false, err
}

// exists reports whether a path exists, including a link without a target.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// isMask reports whether the file is a link to /dev/null, as systemd masks units.
func isMask(path string) bool {
	target, err := os.Readlink(path)
	return err == nil && target == os.DevNull
}

// targetDir is the directory of a manifest on the machine that runs the units.
func targetDir(root, path string) string {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return filepath.Dir(path)
	}
	image, err := filepath.Abs(root)
	if root == "" || err != nil {
		return dir
	}
	if dir == image {
		return "/"
	}
	if rel, ok := strings.CutPrefix(dir, strings.TrimSuffix(image, "/")+"/"); ok {
		return "/" + rel
	}
	return dir
}

// StaysInside demands that no link on a path below the root of a system image leads out of the
// image, to files of the machine that builds it. A path that does not exist yet passes. So
// does any path without a root.
func StaysInside(root, path string) error {
	if root == "" {
		return nil
	}
	root = filepath.Clean(root)
	rel, err := filepath.Rel(root, path)
	if err != nil || root == "/" || !filepath.IsLocal(rel) { // it is not of the image
		return nil
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // nothing was written
	for ; ; rel = filepath.Dir(rel) {
		switch _, err := dir.Stat(rel); {
		case err == nil:
			return nil
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("a link on its path leads out of %s, or can't be followed: %w", root, CauseOf(err))
		}
	}
}

// ReadInside is ReadFile for a file that must be inside the root of a system image.
func ReadInside(root, path string) ([]byte, error) {
	if err := StaysInside(root, path); err != nil {
		return nil, err
	}
	return ReadFile(path)
}
