package unitdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

// plan is the changes of a directory.
type plan struct {
	dir       *durable.Directory
	entries   entries
	found     map[string]units.FoundFile // files that are not as they should be
	ours      units.Set                  // files with an ownership section that were read
	write     units.Set
	aside     map[string]bool // names to free for a file to be written
	remove    []string
	leftovers []string
	unsynced  bool // a run was killed before its changes were durable
	changes   Changes

	seen       *Seen
	unreadable error // why the first of changes.Unreadable could not be read
	buf        []byte
}

// entry is a name in a directory, and the type of what has it.
type entry struct {
	name string
	kind fs.FileMode
}

// entries is what is in a directory, sorted by name.
type entries []entry

// find returns the index of a name. It looks at guess first: who looks up many names does so in their
// order.
func (l entries) find(name string, guess int) (index int, isThere bool) {
	if guess < len(l) && l[guess].name == name {
		return guess, true
	}
	return slices.BinarySearchFunc(l, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}

// listAll is all entries of a directory.
func listAll(d *durable.Directory) (entries, error) {
	found, err := d.List()
	l := make(entries, 0, len(found))
	for _, e := range found {
		l = append(l, entry{e.Name(), e.Type()})
	}
	return l, err
}

// listOf is the entries of a directory that a restoration of files needs. Each takes less time than one
// in a list of many files.
func listOf(want units.Set) lister {
	return func(d *durable.Directory) (entries, error) {
		l := make(entries, 0, len(want))
		for _, f := range want {
			id, err := d.Identify(f.Name)
			switch {
			case err == nil:
				l = append(l, entry{f.Name, id.Type()})
			case !durable.IsAbsent(err):
				return nil, durable.Failed("looking at", d.At(f.Name), err)
			}
		}
		slices.SortFunc(l, func(a, b entry) int { return strings.Compare(a.name, b.name) })
		return l, nil
	}
}

// lister lists the entries of a directory that a comparison needs.
type lister func(*durable.Directory) (entries, error)

func (p *plan) idle() bool {
	return len(p.write)+len(p.remove)+len(p.leftovers) == 0 && !p.unsynced
}

// verdict is the error of a run that made all other changes.
func (p *plan) verdict() error {
	if p.unreadable == nil {
		return nil
	}
	return fmt.Errorf("stale files were not removed, because an unreadable file may be one of them or need them: %w (or move it away)", p.unreadable)
}

// compare finds the differences from the wanted files. It changes nothing.
func compare(d *durable.Directory, list lister, want units.Set, owns func(units.Ownership) bool, seen *Seen) (*plan, error) {
	p := &plan{dir: d, seen: seen, found: map[string]units.FoundFile{}, aside: map[string]bool{}}
	entries, err := list(d)
	if err != nil {
		return p, err
	}
	p.entries, p.ours = entries, make(units.Set, 0, len(want))
	isWanted := make([]bool, len(entries))
	next := 0
	for _, f := range want {
		i, isThere := entries.find(f.Name, next)
		if !isThere {
			p.rewrite(f, units.FileMissing)
			continue
		}
		next, isWanted[i] = i+1, true
		if err := p.compareFile(f, entries[i]); err != nil {
			return p, err
		}
	}
	for i, e := range entries {
		if err := p.compareRest(e, isWanted[i], owns); err != nil {
			return p, err
		}
	}
	if p.unreadable != nil {
		for _, name := range p.remove { // an unreadable file may be ours and need these
			delete(p.found, name)
		}
		p.remove = nil
	}
	return p, nil
}

// compareOwn is compare, with an error if foreign files have wanted names.
func compareOwn(d *durable.Directory, list lister, want units.Set, owns func(units.Ownership) bool) (*plan, error) {
	p, err := compare(d, list, want, owns, nil)
	if err == nil && len(p.changes.Foreign) > 0 {
		slices.Sort(p.changes.Foreign)
		err = &ForeignError{d.Path(), p.changes.Foreign}
	}
	return p, err
}

// compareFile compares what has the name of a wanted file.
func (p *plan) compareFile(f units.File, e entry) error {
	if !e.kind.IsRegular() {
		p.replaceOdd(f)
		return nil
	}
	found, perm, err := p.seen.read(p.dir, f.Name, f.Content, p.buf)
	switch {
	case durable.IsAbsent(err): // removed since the list was read
		p.rewrite(f, units.FileMissing)
		return nil
	case durable.IsOdd(err):
		p.replaceOdd(f)
		return nil
	case err != nil:
		return err
	}
	content := found.content
	p.buf = content
	same := bytes.Equal(content, f.Content)
	if same {
		p.ours = append(p.ours, f)
	} else if mark, ours := found.ownership(); ours {
		p.keep(f.Name, content, mark)
	}
	switch {
	case same && permits(perm):
		p.changes.Unchanged++
	case same || isOurs(content):
		p.rewrite(f, units.FileDiffers)
	case isText(content):
		p.changes.Foreign = append(p.changes.Foreign, f.Name)
		p.found[f.Name] = units.FoundFile{State: units.FileForeign, App: f.App}
	default:
		p.replaceOdd(f)
	}
	return nil
}

func (p *plan) replaceOdd(f units.File) {
	p.aside[f.Name] = true
	p.rewrite(f, units.FileOdd)
}

func (p *plan) rewrite(f units.File, why units.FileState) {
	p.write = append(p.write, f)
	p.found[f.Name] = units.FoundFile{State: why, App: f.App}
}

// permits reports whether all users can read a file and only its owner can write it. Other bits
// don't matter: some file systems choose them.
func permits(perm fs.FileMode) bool { return perm&0o444 == 0o444 && perm&0o022 == 0 }

// isOurs reports whether archgen wrote a file, or it is the remains of such a file.
func isOurs(content []byte) bool {
	_, marked := units.ReadOwnership(content)
	return marked || isRemains(content)
}

// header is the begin of a rendered file. The ownership section is at its end.
const header = "# Rendered by archgen"

// isRemains reports whether a file without an ownership section is one of ours that was truncated,
// or contains nothing that a person could have written.
func isRemains(content []byte) bool {
	text := strings.TrimPrefix(string(content), "\ufeff")
	return strings.HasPrefix(text, header) || strings.HasPrefix(header, text) || strings.Trim(text, "\x00 \t\r\n") == ""
}

// isText reports whether a person may have written it.
func isText(content []byte) bool {
	return utf8.Valid(content) && !bytes.ContainsRune(content, 0)
}

// compareRest examines a file that is not wanted.
func (p *plan) compareRest(e entry, isWanted bool, owns func(units.Ownership) bool) error {
	name := e.name
	switch {
	case !e.kind.IsRegular():
		return nil
	case name == unsyncedName:
		p.unsynced = true
		return nil
	case durable.IsTemp(name):
		p.leftovers = append(p.leftovers, name)
		return nil
	case isWanted || !isUnit(name) || owns == nil:
		return nil
	}
	found, _, err := p.seen.read(p.dir, name, nil, p.buf)
	switch {
	case errors.Is(err, fs.ErrPermission):
		if p.unreadable == nil {
			p.unreadable = err
		}
		p.changes.Unreadable = append(p.changes.Unreadable, name)
		return nil
	case durable.IsAbsent(err) || durable.IsOdd(err): // removed or replaced since the list was read
		return nil
	case err != nil:
		return err
	}
	p.buf = found.content
	mark, ours := found.ownership()
	if !ours {
		return nil
	}
	p.keep(name, found.content, mark)
	if owns(mark) {
		p.remove = append(p.remove, name)
		p.found[name] = units.FoundFile{State: units.FileStale, App: mark.App, Service: units.ServiceOf(name)}
	}
	return nil
}

// keep records a file of ours. Its content is in the memory of buf, unless seen keeps it.
func (p *plan) keep(name string, content []byte, mark units.Ownership) {
	if p.seen == nil {
		content = slices.Clone(content)
	}
	p.ours = append(p.ours, units.File{Name: name, App: mark.App, Digest: mark.Digest, Content: content})
}
