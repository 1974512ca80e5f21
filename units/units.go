// Package units owns the pure values that stand for unit files: what a file is
// called, whose it is, what it holds, and how it is told from a foreign one.
//
// It also owns every decision about them: Decide compares what should be with what
// is and says what to do, and why.
//
// It never touches a disk or a bus, is told the time instead of asking for it,
// and imports nothing of ours.
package units

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

// ErrPreempted is the cause for which a context ends that ends a wait and nothing else: what
// is being asked of systemd is still asked.
var ErrPreempted = errors.New("others had to be looked at")

// Scope is the systemd manager that runs the units.
type Scope int

// The scopes.
const (
	// User units belong to a user's manager (`systemctl --user`), rootless Podman.
	User Scope = iota
	// System units belong to the system manager, Podman as root.
	System
)

// String returns "user" or "system".
func (s Scope) String() string {
	if s == System {
		return "system"
	}
	return "user"
}

// Systemctl is a command of systemctl, for people, of the scope.
func (s Scope) Systemctl(verb string) string {
	if s == System {
		return "systemctl " + verb
	}
	return "systemctl --user " + verb
}

// File is one rendered Quadlet file.
type File struct {
	// Name is the file name, without a directory.
	Name string
	// App is the id of the app that the file belongs to. It is empty for the
	// network of a capability, which belongs to every app that uses it.
	App string
	// Digest stands for what a running container has of the file: it differs
	// exactly when the container has to be restarted to match. Lower-case hex.
	Digest string
	// Content is the text of the file.
	Content []byte
}

// Set is the rendered files of a whole machine, sorted by name.
type Set []File

// Of is the files of one app.
func (s Set) Of(app string) Set {
	var list Set
	for _, f := range s {
		if f.App == app {
			list = append(list, f)
		}
	}
	return list
}

// Sort puts the set into its canonical order, and of files of one name the first first.
func (s Set) Sort() {
	slices.SortStableFunc(s, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
}

// Find returns the file of that name.
func (s Set) Find(name string) (File, bool) {
	i, ok := slices.BinarySearchFunc(s, name, func(f File, n string) int { return cmp.Compare(f.Name, n) })
	if !ok {
		return File{}, false
	}
	return s[i], true
}

// Equal reports whether two sets have the same files.
func (s Set) Equal(other Set) bool {
	return slices.EqualFunc(s, other, func(a, b File) bool { return a.Name == b.Name && bytes.Equal(a.Content, b.Content) })
}

// OwnerOf is the valid app that a secret belongs to, empty where no app has it.
func (d Desired) OwnerOf(secret string) App {
	for _, app := range d.Apps {
		if slices.ContainsFunc(app.Secrets, func(s Secret) bool { return s.Name == secret }) {
			return app
		}
	}
	return App{}
}

// Runs reports whether all containers of an app were started from the files that it
// should have.
func (a App) Runs(found map[string]Unit) bool {
	return !slices.ContainsFunc(a.Parts, func(p Part) bool { return p.Digest == "" || found[p.Service].Digest != p.Digest })
}

// ErrPending says of what an app needs that it is on its way and takes a while.
var ErrPending = errors.New("what it needs is still on its way, and nothing of it was changed yet")

// ImmutableFileError says that what is to be done to one file can't be, while it may be to
// others: the file is immutable, another user's, or a mount point.
type ImmutableFileError struct {
	File string
	Err  error
}

func (e *ImmutableFileError) Error() string { return e.Err.Error() }
func (e *ImmutableFileError) Unwrap() error { return e.Err }

// MaxFile is the most bytes that a rendered file may have: a unit has a few
// thousand, a recipe those of its templates.
const MaxFile = 8 << 20

// OwnershipSection is the section that marks a file as rendered by archgen. Quadlet
// and systemd ignore sections whose name starts with "X-".
const OwnershipSection = "X-Archipelago"
