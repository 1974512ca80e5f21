// Package unitdir owns the directory of rendered unit files: it is the only
// writer in it. A file is seen whole or not at all, a file that archgen did not
// write is never changed, and nothing is written where nothing changed.
//
// It never decides what a file holds, follows no link, and blocks on nothing
// that may lie in a file's place.
package unitdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/archipelago-os/archipelago/units"
)

// Changes is what Sync did.
type Changes struct {
	// Written is the files that were made or replaced, sorted.
	Written []string
	// Removed is the stale files that were taken away, sorted.
	Removed []string
	// MovedAside is the new names of what was in the place of a file and was
	// no regular file, sorted.
	MovedAside []string
	// Unchanged is how many files were right already.
	Unchanged int
}

// suffixes is what Podman takes for a unit, in the order in which a set is
// written: what is referred to comes before what refers to it.
var suffixes = []string{".volume", ".network", ".image", ".build", ".pod", ".kube", ".artifact", ".container"}

// isUnit reports whether Podman would take a file of that name for a unit.
func isUnit(name string) bool { return slices.Contains(suffixes, filepath.Ext(name)) }

// maxFile is more than any rendered file has.
const maxFile = 1 << 20

// Sync makes the directory hold the wanted files, and removes marked files
// that are not wanted and that owns selects. It makes the directory if needed.
// On an error every file is as it was before or as it is wanted.
func Sync(dir string, want units.Set, owns func(units.Mark) bool) (Changes, error) {
	s := &sync{dir: dir, want: want, owns: owns}
	if err := s.run(); err != nil {
		return Changes{}, err
	}
	return s.changes, nil
}

// sync is one run.
type sync struct {
	dir  string
	want units.Set
	owns func(units.Mark) bool

	root    *os.Root
	names   []string
	write   units.Set
	remove  []string
	odd     []string
	changes Changes
}

func (s *sync) run() error {
	if err := s.open(); err != nil || s.root == nil {
		return err
	}
	defer s.root.Close()
	// A first look without the lock: the usual run changes nothing, and must
	// not even touch a lock file.
	if err := s.compare(); err != nil || !s.dirty() {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.compare(); err != nil {
		return err
	}
	return s.apply()
}

// open opens the directory, and makes it where something is to be written.
func (s *sync) open() error {
	info, err := os.Lstat(s.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(s.want) == 0:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return fmt.Errorf("making the unit directory: %w", err)
		}
	case err != nil:
		return fmt.Errorf("looking at the unit directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory (%v): move it away, archgen makes its own", s.dir, info.Mode().Type())
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return fmt.Errorf("opening the unit directory: %w", err)
	}
	s.root = root
	return nil
}

// compare finds out what differs from what is wanted.
func (s *sync) compare() error {
	s.write, s.remove, s.odd, s.changes = nil, nil, nil, Changes{}
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.dir, err)
	}
	present := make(map[string]fs.FileMode, len(entries))
	s.names = s.names[:0]
	for _, e := range entries {
		present[e.Name()] = e.Type()
		s.names = append(s.names, e.Name())
	}
	wanted := make(map[string]bool, len(s.want))
	for _, f := range s.want {
		wanted[f.Name] = true
		mode, exists := present[f.Name]
		if err := s.compareFile(f, mode, exists); err != nil {
			return err
		}
	}
	return s.compareStale(wanted, present)
}

func (s *sync) compareFile(f units.File, mode fs.FileMode, exists bool) error {
	switch {
	case !exists:
		s.write = append(s.write, f)
		return nil
	case !mode.IsRegular():
		s.odd = append(s.odd, f.Name)
		s.write = append(s.write, f)
		return nil
	}
	content, err := s.read(f.Name)
	switch {
	case err != nil:
		// It may be ours and unreadable; replacing it needs no reading.
		return fmt.Errorf("reading %s: %w", filepath.Join(s.dir, f.Name), reason(err))
	case string(content) == string(f.Content):
		s.changes.Unchanged++
		return nil
	}
	if _, ours := units.ReadMark(content); !ours && len(content) > 0 && looksLikeUnit(content) {
		return fmt.Errorf("%s was not written by archgen: move it away, or put what it says into the manifest or an overlay", filepath.Join(s.dir, f.Name))
	}
	s.write = append(s.write, f)
	return nil
}

// looksLikeUnit tells a file that a person wrote from the remains of one of
// ours that was cut short or overwritten with junk.
func looksLikeUnit(content []byte) bool {
	text := string(content)
	return !strings.HasPrefix(text, "# Rendered by archgen") && strings.Contains(text, "\n") && strings.Contains(text, "[") && !strings.ContainsRune(text, 0)
}

func (s *sync) compareStale(wanted map[string]bool, present map[string]fs.FileMode) error {
	for _, name := range s.names {
		if wanted[name] || !isUnit(name) || !present[name].IsRegular() {
			continue
		}
		content, err := s.read(name)
		if err != nil {
			return fmt.Errorf("reading %s: %w", filepath.Join(s.dir, name), reason(err))
		}
		if mark, ours := units.ReadMark(content); ours && s.owns(mark) {
			s.remove = append(s.remove, name)
		}
	}
	return nil
}

// read reads a file without following a link and without blocking.
func (s *sync) read(name string) ([]byte, error) {
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func (s *sync) dirty() bool {
	return len(s.write)+len(s.remove) > 0 || slices.ContainsFunc(s.names, isLeftover)
}

func reason(err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
