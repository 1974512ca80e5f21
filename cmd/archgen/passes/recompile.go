package passes

import (
	"os"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// recompiler compiles the installed apps, and again only if a file may have changed that they are
// made of: a pass compiles them before it pulls images, and once more when it has the lock.
type recompiler struct {
	compile.Source
	// Store keeps the result for the next command. Nil keeps nothing.
	Store *statedir.Store

	before string
	k      *compile.Compiled
	want   units.Desired
}

// installed is Installed of the source. The caller may change the apps of the desired state. The
// result has no manifests if an earlier command compiled them: see all.
func (r *recompiler) installed() (*compile.Compiled, units.Desired, error) {
	now := stamp(r.Source, time.Now())
	if r.k == nil || now == "" || now != r.before {
		if err := r.recall(now); err != nil {
			return r.k, r.want, err
		}
	}
	want := r.want
	want.Apps = slices.Clone(want.Apps)
	return r.k, want, nil
}

// recall takes the result of an earlier command with the same inputs, or compiles.
func (r *recompiler) recall(inputs string) error {
	r.before = inputs
	if inputs != "" && r.Store != nil {
		if want, ok := r.Store.Compiled(inputs); ok {
			r.k, r.want = &compile.Compiled{Whole: true}, want
			return nil
		}
	}
	return r.compile()
}

func (r *recompiler) compile() (err error) {
	if r.k, r.want, err = r.Installed(); err != nil {
		return err
	}
	switch {
	case r.before == "":
	case isOfMachine(r.k, r.want):
		r.before = ""
	case len(r.k.Diags) == 0 && r.Store != nil: // with the manifests the diagnostics would be missing
		_ = r.Store.SaveCompiled(r.before, r.want) // else it is compiled again
	}
	return nil
}

// all is the last result, with the manifests.
func (r *recompiler) all() (*compile.Compiled, error) {
	if r.k != nil && r.k.Set != nil {
		return r.k, nil
	}
	err := r.compile()
	return r.k, err
}

// isOfMachine reports whether the result depends on more than the manifests: which of two apps that
// conflict has unit files, or what old unit files record.
func isOfMachine(k *compile.Compiled, want units.Desired) bool {
	return k.Diags.HasErrors() || !want.Complete || slices.ContainsFunc(want.Apps, func(app units.App) bool { return app.Unrecorded != nil })
}

// stamp identifies the inputs of a compilation and the program that compiles, of which a build for
// tests has the version of another one. It is empty if a file has just changed, and may change again
// without another stamp.
func stamp(s compile.Source, now time.Time) string {
	found, err := s.Inputs()
	if err != nil || !found.IsSettled(now) {
		return ""
	}
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	var program durable.Stamp
	program.Add(path)
	return program.String() + found.String()
}
