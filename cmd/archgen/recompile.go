package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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

// settling is more than the resolution of the times of changes: a file that changed just before may
// change again with the same time.
const settling = 50 * time.Millisecond

// stamp identifies all files in the directories of manifests, and the settings. It is empty if that
// does not tell whether one changes: a link, or a file that has just changed.
func stamp(s compile.Source, now time.Time) string {
	dirs, err := s.Paths().Apps()
	if err != nil {
		return ""
	}
	var text strings.Builder
	isTelling := true
	for _, path := range slices.Concat(dirs, s.Paths().Settings()) {
		err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
			var st unix.Stat_t
			switch {
			case err != nil:
				return err
			case unix.Lstat(path, &st) != nil, st.Mode&unix.S_IFMT == unix.S_IFLNK, now.Sub(time.Unix(st.Ctim.Unix())) < settling:
				isTelling = false
			}
			fmt.Fprintln(&text, path, st.Ino, st.Size, st.Mode, st.Ctim)
			return nil
		})
		if err != nil {
			fmt.Fprintln(&text, err)
		}
	}
	if !isTelling {
		return ""
	}
	return text.String()
}
