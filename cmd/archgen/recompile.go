package main

import (
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
)

// recompiler compiles the installed apps, and again only if a file may have changed that they are
// made of: a pass compiles them before it pulls images, and once more when it has the lock.
type recompiler struct {
	compile.Source
	before string
	k      *compile.Compiled
	want   units.Desired
}

// installed is Installed of the source. The caller may change the apps of the desired state.
func (r *recompiler) installed() (*compile.Compiled, units.Desired, error) {
	now := stamp(r.Source, time.Now())
	if r.k == nil || now == "" || now != r.before {
		k, want, err := r.Installed()
		if err != nil {
			return k, want, err
		}
		r.k, r.want, r.before = k, want, now
		if isOfMachine(k, want) {
			r.before = ""
		}
	}
	want := r.want
	want.Apps = slices.Clone(want.Apps)
	return r.k, want, nil
}

// isOfMachine reports whether the result depends on more than the manifests: which of two apps that
// conflict has unit files, or what old unit files record.
func isOfMachine(k *compile.Compiled, want units.Desired) bool {
	return k.Diags.HasErrors() || !want.Complete || slices.ContainsFunc(want.Apps, func(app units.App) bool { return app.Unrecorded != nil })
}

// stamp identifies all files in the directories of manifests, and the settings. It is empty if a
// file has just changed, and may change again without another stamp.
func stamp(s compile.Source, now time.Time) string {
	found, err := s.Stamp()
	if err != nil || !found.IsSettled(now) {
		return ""
	}
	return found.String()
}
