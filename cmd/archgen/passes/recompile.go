package passes

import (
	"slices"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// recompiler compiles the installed apps, and again only if a file may have changed that they are
// made of: a pass compiles them before it pulls images, and once more when it has the lock.
type recompiler struct {
	compile.Source
	// Store keeps the result for the next command.
	Store statedir.Store

	before string
	k      *compile.Compiled
	want   units.Desired
}

// installed is Installed of the source. The caller may change the apps of the desired state. The
// result has no manifests if an earlier command compiled them: see all.
func (r *recompiler) installed() (*compile.Compiled, units.Desired, error) {
	now := session.Inputs(r.Source)
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
	want, isKept := session.Kept(r.Store, inputs)
	if !isKept {
		return r.compile()
	}
	r.k, r.want = &compile.Compiled{Whole: true}, want
	return nil
}

func (r *recompiler) compile() (err error) {
	if r.k, r.want, err = r.Installed(); err != nil {
		return err
	}
	switch {
	case r.before == "":
	case isOfMachine(r.k, r.want):
		r.before = ""
	case len(r.k.Diags) == 0: // with the manifests the diagnostics would be missing
		_ = r.Store.SaveCompiled(statedir.ByApply, r.before, r.want) // else it is compiled again
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
