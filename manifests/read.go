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
	"unicode/utf8"
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
	return readRegular(f, MaxFileSize)
}

// readRegular reads a regular file of at most so many bytes, and one more.
func readRegular(f *os.File, most int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file (%v)", info.Mode().Type())
	}
	var text bytes.Buffer
	text.Grow(int(min(info.Size(), most)) + bytes.MinRead)
	_, err = text.ReadFrom(io.LimitReader(f, most+1))
	return text.Bytes(), err
}

// ReadTemplate reads a template beside a manifest, from its directory ID.files. It follows no
// link: a link could lead to any file that the caller can read.
func ReadTemplate(dir, name string) ([]byte, error) {
	root, err := openFiles(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	text, _, err := readWithin(root, name, MaxFileSize)
	return text, err
}

// openFiles opens a directory ID.files, which must not be a link.
func openFiles(dir string) (*os.Root, error) {
	if info, err := os.Lstat(dir); err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return nil, cmp.Or(err, errLink)
	}
	return os.OpenRoot(dir)
}

// readWithin reads a file within a directory, which must not be a link.
func readWithin(root *os.Root, name string, most int64) (content []byte, info fs.FileInfo, err error) {
	info, err = root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, nil, errLink
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, nil, cmp.Or(err, errors.New("it was replaced while it was read"))
	}
	content, err = readRegular(f, most)
	return content, info, err
}

var errLink = errors.New("it is a link, and templates and seeds of a manifest must be files: put the file there")

// SeedReader reads the seeds of one app, as much as MaxSeed and MaxSeedFiles allow.
type SeedReader struct{ bytes, files int }

var errSeedTooLarge = errors.New("the seeds of the app are too large")

// Read reads a file, or all files of a folder, of a directory ID.files, sorted by path. It follows
// no link, and reads at least one file.
func (r *SeedReader) Read(dir, name string) (files []SeedFile, err error) {
	root, err := openFiles(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()                                               // nothing was written
	if info, err := root.Lstat(name); err != nil || info.Mode()&fs.ModeSymlink != 0 { // WalkDir would follow it
		return nil, cmp.Or(err, errLink)
	}
	err = fs.WalkDir(root.FS(), name, func(path string, d fs.DirEntry, err error) error {
		if r.files++; err == nil && r.files > MaxSeedFiles { // a folder counts, too
			err = errSeedTooLarge
		}
		if err != nil || d.IsDir() {
			return err
		}
		f, err := r.file(root, path)
		if err != nil && path != name {
			err = fmt.Errorf("%s: %w", path, CauseOf(err))
		}
		files = append(files, f)
		return err
	})
	if err == nil && len(files) == 0 {
		err = errors.New("the folder holds no file")
	}
	return files, err
}

func (r *SeedReader) file(root *os.Root, path string) (SeedFile, error) {
	if !utf8.ValidString(path) {
		return SeedFile{}, fmt.Errorf("the name %q is not valid UTF-8", path)
	}
	data, info, err := readWithin(root, path, MaxSeed)
	if err != nil {
		return SeedFile{}, err
	}
	if r.bytes += len(data); r.bytes > MaxSeed {
		return SeedFile{}, errSeedTooLarge
	}
	return SeedFile{Path: path, IsExecutable: info.Mode()&0o100 != 0, Data: data}, nil
}

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
