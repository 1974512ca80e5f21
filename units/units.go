// Package units owns the pure values of reconciliation: rendered files, their names and owners,
// apps, observed units, and the history of repairs.
//
// It also owns every decision about them: Decide compares the desired state with the observed one
// and makes the plan, with a reason for each action.
//
// It never reads a disk, a bus or the clock, and imports no other package of the project.
package units

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

// ErrPreempted is the cause of a context that cancels a wait only; systemd jobs that were
// requested keep running.
var ErrPreempted = errors.New("interrupted by a change to another app")

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

// Systemctl is a command of systemctl in the scope, for messages.
func (s Scope) Systemctl(verb string) string {
	if s == System {
		return "systemctl " + verb
	}
	return "systemctl --user " + verb
}

// File is one rendered file.
type File struct {
	// Name is the file name, without a directory.
	Name string
	// App is the id of the app that the file belongs to. It is empty for the network of a
	// capability, which belongs to every app that uses it.
	App string
	// Digest identifies what a running container has of the file. It differs exactly if the
	// container has to restart to match. Lower-case hex.
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

// Sort sorts the set by name. Files of the same name keep their order.
func (s Set) Sort() {
	byName := func(a, b File) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(s, byName) {
		slices.SortStableFunc(s, byName)
	}
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

// OwnerOf returns the app with a secret, the zero value if no valid app has it.
func (d Desired) OwnerOf(secret string) App {
	for _, app := range d.Apps {
		if slices.ContainsFunc(app.Secrets, func(s Secret) bool { return s.Name == secret }) {
			return app
		}
	}
	return App{}
}

// Runs reports whether all containers of an app were started from the app's files.
func (a App) Runs(found map[string]Unit) bool {
	return !slices.ContainsFunc(a.Parts, func(p Part) bool { return p.Digest == "" || found[p.Service].Digest != p.Digest })
}

// ErrPending says that images or secrets of an app are still being acquired.
var ErrPending = errors.New("left unchanged until its images and secrets are acquired")

// ImmutableFileError says that one file can't be changed, while others may: the file is immutable,
// another user's, or a mount point.
type ImmutableFileError struct {
	File string
	Err  error
}

func (e *ImmutableFileError) Error() string { return e.Err.Error() }
func (e *ImmutableFileError) Unwrap() error { return e.Err }

// MaxFile is the maximum size of a rendered file in bytes. A unit has a few thousand; a recipe
// also contains its templates.
const MaxFile = 8 << 20

// OwnershipSection is the section that marks a file as rendered by archgen. Quadlet
// and systemd ignore sections whose name starts with "X-".
const OwnershipSection = "X-Archipelago"
