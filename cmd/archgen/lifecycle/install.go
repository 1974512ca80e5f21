package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// Wanted is what an operator asks to install.
type Wanted struct {
	// Names is ids of catalogs, CATALOG/ID, and paths of manifests.
	Names []string
	// Replaced is the apps that are removed in the same pass.
	Replaced []string
	// Allow is the rights that are granted, each as KIND:SUBJECT or KIND.
	Allow []string
	// Stale: apps of catalogs that have expired may be installed.
	Stale bool
}

// Install installs apps, and waits until they serve.
func (a Apps) Install(w Wanted) error {
	if a.Scope == units.System {
		if err := doctor.SystemConflict("/"); err != nil {
			return err
		}
	}
	in, err := a.installation(w)
	if err != nil {
		return err
	}
	if err := a.vet(in, w.Allow); err != nil {
		return err
	}
	_, before, err := a.Installed()
	if err != nil {
		return err
	}
	undo, err := in.Write()
	if err != nil {
		return err
	}
	after, err := a.MustCompile(in.MustCompile(before))
	if err != nil {
		return errors.Join(err, undo())
	}
	m, err := a.Local()
	if err != nil {
		return err
	}
	if err := keepOrigins(m.Store, in); err != nil {
		return err
	}
	a.printLines(in.Notices())
	a.Awaited = in.IDs()
	if slices.ContainsFunc(in.Apps, (*install.App).IsNew) {
		a.Idle = strings.Join(a.Awaited, ", ") + ": installed (already applied by healthd or the path unit)"
	}
	// healthd starts apps as soon as their manifests exist, and a replaced app may take
	// minutes to stop.
	a.Patience = a.Timeout
	if gone := in.Replaced(); len(gone) > 0 {
		err = a.replace(after, gone)
	} else {
		err = a.Apply(slices.Concat(a.Awaited, in.Rerendered(before, after)), passes.Always(""))
	}
	if err == nil {
		a.printLines(in.SecretHints())
	}
	return err
}

// installation is the apps that are wanted, with their companions and providers.
func (a Apps) installation(w Wanted) (*install.Installation, error) {
	dir, err := a.Directory()
	if err != nil {
		return nil, err
	}
	entries, _, err := a.Entries()
	if err != nil {
		return nil, err
	}
	in, err := install.New(dir, entries, w.Replaced)
	if err != nil {
		return nil, err
	}
	in.AllowStale = w.Stale
	for _, name := range w.Names {
		choose := in.Choose
		if session.IsPath(name) && !catalog.IsRef(name) {
			choose = func(file string) error { return a.addFile(in, file) }
		}
		if err := choose(name); err != nil {
			return nil, err
		}
	}
	err = in.Complete()
	for _, note := range in.Notes {
		fmt.Fprintln(a.Stderr, note)
	}
	return in, err
}

// addFile adds the app of a manifest.
func (a Apps) addFile(in *install.Installation, file string) error {
	e, source, diags, err := catalog.ReadEntry(file)
	if err != nil {
		return err
	}
	if len(diags) > 0 {
		k := &compile.Compiled{Diags: diags, Loaded: manifests.Loaded{Sources: map[string][]byte{file: source}}}
		return cmp.Or(a.Report(k, false), session.ErrReported)
	}
	in.Add(e)
	return nil
}

// vet runs the checks before a manifest is written: it has the operator grant the rights,
// and compares the apps with their images.
func (a Apps) vet(in *install.Installation, allow []string) error {
	staged, err := in.Stage(a.Compiler())
	if err != nil {
		return err
	}
	defer staged.Remove()
	if err := a.grantRights(staged, allow); err != nil {
		return err
	}
	ctx, stop := session.Interruptible()
	defer stop()
	a.Fetched, err = staged.CompareImages(ctx, &images.Reader{Scope: a.Scope, Podman: a.Podman}, a.SayPulling)
	if err != nil {
		return err
	}
	a.warnOfLimits(ctx, staged.Compiled, in.IDs())
	return a.Report(staged.Compiled, false)
}

// warnOfLimits warns of limits of the machine that are too low for the new apps. healthd may
// start them as soon as their manifests exist, so this is done before they do. If systemd or
// a manifest can't be read, the next step reports that.
func (a Apps) warnOfLimits(ctx context.Context, k *compile.Compiled, ids []string) {
	if k.Result == nil {
		return
	}
	want, err := k.Result.Desired(k.Set).Only(ids)
	if err != nil {
		return
	}
	m, err := a.Connect(ctx)
	if err != nil {
		return
	}
	defer m.Close()
	low, _ := m.LowLimits(ctx, want.Apps)
	for _, f := range low {
		a.WarnOfLimit(f)
	}
}

// replace applies the manifests after apps were replaced by others.
func (a Apps) replace(want units.Desired, gone []string) error {
	m, err := a.Local()
	if err != nil {
		return err
	}
	ctx, stop := session.Interruptible()
	err = install.ProvideSecrets(ctx, m, want, a.Awaited)
	stop()
	if err != nil {
		return err
	}
	applied := a.Apply(nil, passes.Always(""))
	if applied != nil && !passes.IsVerdict(applied) {
		return applied
	}
	return errors.Join(applied, m.Renderer().Forget(gone, nil), m.Store.ForgetUpdates(gone))
}

// keepOrigins records which releases of which catalogs were installed, for archgen updates. A release
// that was installed by hand can't be undone.
func keepOrigins(store statedir.Store, in *install.Installation) error {
	for _, app := range in.Apps {
		if app.Text == nil {
			continue
		}
		origin := updates.ReleaseOf(app.Entry)
		if app.Catalog == "" {
			origin.Catalog = "" // it is from a file
		}
		if before, err := store.Origin(app.ID); err == nil && before != nil && before.Origin == origin.Origin && before.Manifest != nil {
			continue
		}
		if err := errors.Join(store.SaveEarlierRelease(app.ID, nil), store.SaveOrigin(app.ID, origin)); err != nil {
			return err
		}
	}
	return nil
}

// printLines prints lines for the user, but not in JSON output.
func (a Apps) printLines(lines []string) {
	for _, line := range lines {
		if !a.AsJSON {
			fmt.Fprintln(a.Stdout, line)
		}
	}
}
