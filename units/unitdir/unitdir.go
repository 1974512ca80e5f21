// Package unitdir owns the directory of unit files, in which it is the only writer. A reader sees
// a file completely or not at all, changes that are reported as done survive a power cut, and
// nothing is written if nothing changed.
//
// It never decides the content of a file, never changes or removes a file that archgen did not
// write, follows no link in the directory, and does not block on anything that has the name of a
// file.
package unitdir

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

// Changes is what Sync did, each list sorted. With an error it is what was done until then.
type Changes struct {
	// Written is the files that were created or replaced.
	Written []string
	// Removed is the stale files that were removed.
	Removed []string
	// MovedAside is the new names of what had the name of a file and could not be one of ours: a
	// link, a directory, a FIFO, binary data.
	MovedAside []string
	// Foreign is the foreign files that have wanted names. If there is one, nothing is written.
	Foreign []string
	// Unreadable is the files that are not wanted and can't be read: they may be ours. If there is
	// one, nothing is removed.
	Unreadable []string
	// Unchanged is how many files were as they should be.
	Unchanged int
}

// ForeignError says that foreign files have wanted names.
type ForeignError struct {
	Dir   string
	Names []string
}

func (e *ForeignError) Error() string {
	if len(e.Names) == 1 {
		return filepath.Join(e.Dir, e.Names[0]) + " was not written by archgen; move it away, or move its settings into the manifest or an overlay"
	}
	return fmt.Sprintf("%d files in %s were not written by archgen (%s); move them away, or move their settings into the manifests or overlays",
		len(e.Names), e.Dir, strings.Join(e.Names, ", "))
}

// suffixes is the suffixes of recipes and Quadlet files, in the order in which a set is written: a
// file comes before those that refer to it.
var suffixes = []string{units.PrestartSuffix, ".image", ".artifact", ".network", ".volume", ".build", ".pod", ".kube", ".container"}

func rank(name string) int { return slices.Index(suffixes, filepath.Ext(name)) }

// isUnit reports whether a file of that name may be a rendered one.
func isUnit(name string) bool { return rank(name) >= 0 }

// lockName is a file of its own and not the directory: every user who may read the directory could
// lock it forever.
const lockName = ".archgen.lock"

// lockTimeout is how long to wait for another run.
var lockTimeout = 30 * time.Second

// maxFile is the maximum size of a rendered file.
const maxFile = units.MaxFile

// Sync makes the directory contain the wanted files. It removes files with an ownership section
// that are not wanted and that owns selects; a nil owns selects none. It creates the directory if
// needed. Concurrent runs take turns.
//
// On an error, and after a kill at any moment, every file is either as it was or as it is wanted,
// and the next run completes the work.
func Sync(dir string, want units.Set, owns func(units.Ownership) bool) (Changes, error) {
	return change(dir, listAll, want, owns)
}

// Restore is Sync of files that were lost. It looks at nothing else in the directory, and so takes a fraction
// of the time of Sync.
func Restore(dir string, want units.Set) (Changes, error) {
	return change(dir, listOf(want), want, nil)
}

func change(dir string, list lister, want units.Set, owns func(units.Ownership) bool) (Changes, error) {
	if err := check(want); err != nil {
		return Changes{}, err
	}
	d, err := durable.Open(dir)
	if err != nil || (d == nil && len(want) == 0) {
		return Changes{}, err
	}
	if d == nil {
		if d, err = durable.Make(dir); err != nil {
			return Changes{}, err
		}
	}
	defer d.Close()
	// The first comparison takes no lock: the usual run finds nothing to do and must not write,
	// not even a lock file.
	p, err := compareOwn(d, list, want, owns)
	if err != nil {
		return p.changes, err
	}
	if p.idle() {
		return p.changes, p.verdict()
	}
	l, err := d.Lock(context.Background(), lockName, lockTimeout)
	if err != nil {
		return Changes{}, err
	}
	defer l.Unlock()
	if p, err = compareOwn(d, list, want, owns); err != nil {
		return p.changes, err
	}
	if !p.idle() {
		err = p.apply(l)
	}
	if err == nil {
		err = p.verdict()
	}
	return p.changes, err
}

// Look returns the files that are not as they should be, by name, and all files of ours. It
// changes nothing. A directory that does not exist lacks all files.
func Look(dir string, want units.Set) (map[string]units.FoundFile, units.Set, error) {
	return look(dir, listAll, want, nil)
}

func look(dir string, list lister, want units.Set, seen *Seen) (map[string]units.FoundFile, units.Set, error) {
	d, err := durable.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	if d == nil {
		found := make(map[string]units.FoundFile, len(want))
		for _, f := range want {
			found[f.Name] = units.FoundFile{State: units.FileMissing, App: f.App}
		}
		return found, nil, nil
	}
	defer d.Close()
	p, err := compare(d, list, want, func(units.Ownership) bool { return true }, seen)
	p.ours.Sort()
	return p.found, p.ours, err
}

// Lost returns the files whose names nothing has, as far as that can be seen. It checks nothing
// else, and so takes a fraction of the time of Look.
func Lost(dir string, want units.Set) units.Set { return lost(dir, want, listAll) }

func lost(dir string, want units.Set, list lister) units.Set {
	if len(want) == 0 {
		return nil
	}
	d, err := durable.Open(dir)
	if err != nil {
		return nil
	}
	if d == nil {
		return want
	}
	defer d.Close()
	lacks := d.Lacks
	if len(want) > few {
		entries, err := list(d)
		if err != nil {
			return nil
		}
		next := 0
		lacks = func(name string) bool {
			i, isThere := entries.find(name, next)
			next = i + 1
			return !isThere
		}
	}
	var lost units.Set // not a copy of all: a pass asks about every file, and mostly has them
	for _, f := range want {
		if lacks(f.Name) {
			lost = append(lost, f)
		}
	}
	return lost
}

// few is how many names are cheaper to look up one by one than in a list of the directory.
const few = 16

// check refuses a set that a later run could not maintain.
func check(want units.Set) error {
	seen := make(map[string]bool, len(want))
	for _, f := range want {
		_, marked := units.ReadOwnership(f.Content)
		switch {
		case strings.ContainsAny(f.Name, "/\x00") || strings.HasPrefix(f.Name, ".") || !isUnit(f.Name):
			return fmt.Errorf("%q is no valid name of a unit file", f.Name)
		case seen[f.Name]:
			return fmt.Errorf("%s is in the set twice", f.Name)
		case !marked:
			return fmt.Errorf("%s has no section [%s]: archgen would take it for a foreign file later", f.Name, units.OwnershipSection)
		case len(f.Content) > maxFile:
			return fmt.Errorf("%s has %d bytes; the maximum is %d", f.Name, len(f.Content), maxFile)
		}
		seen[f.Name] = true
	}
	return nil
}

// Entry is a file of ours as it is on disk.
type Entry struct {
	// File has its App and Digest from the ownership section.
	units.File
	Mark units.Ownership
}

// Read lists the files with an ownership section by name. A directory that does not exist has
// none. A file that is not regular or can't be read is not listed.
func Read(dir string) ([]Entry, error) {
	_, ours, err := Look(dir, nil)
	if err != nil || len(ours) == 0 {
		return nil, err
	}
	list := make([]Entry, 0, len(ours))
	for _, f := range ours {
		mark, _ := units.ReadOwnership(f.Content)
		list = append(list, Entry{f, mark})
	}
	return list, nil
}
