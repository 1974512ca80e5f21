package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/units"
)

func (c *cli) installCommand() *cobra.Command {
	var o applyOptions
	var replaced, allow []string
	var stale bool
	cmd := &cobra.Command{
		Use:   "install ID|FILE…",
		Short: "Install apps from the catalog or from manifest files",
		Long: `install copies manifests into the directory of installed apps, starts the apps,
and waits until they serve. It includes their companions, and the providers that
they require if the catalog has only one. Installing an app again changes
nothing, unless its manifest differs.

Before that, install pulls the images and compares the apps with them, as
check --images does. It does not install an app that can't run in its image.

Before it writes anything, install lists the rights of new apps that go beyond
the safe set, and those that a new manifest adds (archgen help rights). On a
terminal it asks whether to grant them. Elsewhere each must be given with
--allow: KIND:SUBJECT, or KIND for all rights of that kind that the apps ask
for. The apps of archgen's own catalog need no grants. archgen grant and archgen
revoke change the grants later.

If several catalogs have an app, name it as CATALOG/ID. Companions and providers
are of the app's own catalog; providers also of archgen's. install refuses an
app that its catalog has withdrawn, and without --stale one of a catalog that
has expired.

You can then edit the manifest, or add overlays in ID.d/. An app that can't be
started stays installed; remove removes it.

Before it starts a new app, install prints the app's notices: what its user must
know, for example that it has no login.

With --replace, install removes an installed app in the same pass, with those of
its companions that the new apps do not have. Apps that require what both
provide stay; archgen restarts them if its values change. The volumes, secrets
and overlays of the removed apps stay. install waits for the new apps as without
--replace.

With --detach, install returns when the apps serve, as apply does.

Exit status: as for apply; 6 if an app does not serve: install then prints the
last lines of its log.`,
		Example: `  archgen install bitcoin-knots
  archgen install ./my-app.yaml
  archgen install nodes/lnd
  archgen install --replace electrs fulcrum`,
		Args: some("name an app of the catalog (archgen catalog) or the file of a manifest"),
		RunE: func(_ *cobra.Command, args []string) error { return c.install(&o, args, replaced, allow, stale) },
	}
	o.flags(cmd)
	o.detachFlag(cmd)
	cmd.Flags().StringArrayVar(&allow, "allow", nil, "grant the app `RIGHT`, or all rights of a kind")
	cmd.Flags().BoolVar(&stale, "stale", false, "also install apps of a catalog that has expired")
	cmd.Flags().StringSliceVar(&replaced, "replace", nil, "remove the app `ID` in the same pass; its data stays")
	return cmd
}

func (c *cli) install(o *applyOptions, args, replaced, allow []string, stale bool) error {
	if o.system {
		if err := doctor.SystemConflict("/"); err != nil {
			return err
		}
	}
	in, err := c.installation(o, args, replaced, stale)
	if err != nil {
		return err
	}
	if err := c.vet(o, in, allow); err != nil {
		return err
	}
	_, before, err := c.installed(&o.source)
	if err != nil {
		return err
	}
	undo, err := in.Write()
	if err != nil {
		return err
	}
	after, err := c.compiles(&o.source, in.MustCompile(before))
	if err != nil {
		return errors.Join(err, undo())
	}
	if err := c.keepOrigins(o, in); err != nil {
		return err
	}
	c.printLines(o, in.Notices())
	o.awaited = in.IDs()
	if slices.ContainsFunc(in.Apps, (*install.App).IsNew) {
		o.idle = strings.Join(o.awaited, ", ") + ": installed (already applied by healthd or the path unit)"
	}
	// healthd starts apps as soon as their manifests exist, and a replaced app may take
	// minutes to stop.
	o.patience = o.timeout
	if gone := in.Replaced(); len(gone) > 0 {
		err = c.replace(o, after, gone)
	} else {
		err = c.apply(o, slices.Concat(o.awaited, in.Rerendered(before, after)), "")
	}
	if err == nil {
		c.printLines(o, in.SecretHints())
	}
	return err
}

// keepOrigins records which releases of which catalogs were installed, for archgen updates. A release
// that was installed by hand can't be undone.
func (c *cli) keepOrigins(o *applyOptions, in *install.Installation) error {
	l, err := c.local(o.scope())
	if err != nil {
		return err
	}
	for _, a := range in.Apps {
		if a.Text == nil {
			continue
		}
		origin := updates.ReleaseOf(a.Entry).Origin
		if a.Catalog == "" {
			origin.Catalog = "" // it is from a file
		}
		if before, err := l.Store.Origin(a.ID); err == nil && before != nil && *before == origin {
			continue
		}
		if err := errors.Join(l.Store.SaveEarlierRelease(a.ID, nil), l.Store.SaveOrigin(a.ID, origin)); err != nil {
			return err
		}
	}
	return nil
}

// printLines prints lines for the user, but not in JSON output.
func (c *cli) printLines(o *applyOptions, lines []string) {
	for _, line := range lines {
		if !o.asJSON {
			fmt.Fprintln(c.stdout, line)
		}
	}
}

// installation is the apps that the arguments name, with their companions and providers.
func (c *cli) installation(o *applyOptions, args, replaced []string, stale bool) (*install.Installation, error) {
	dir, err := c.directory(&o.source)
	if err != nil {
		return nil, err
	}
	entries, _, err := c.catalogEntries(o.scope())
	if err != nil {
		return nil, err
	}
	in, err := install.New(dir, entries, replaced)
	if err != nil {
		return nil, err
	}
	in.AllowStale = stale
	for _, arg := range args {
		choose := in.Choose
		if isPath(arg) && !catalog.IsRef(arg) {
			choose = func(file string) error { return c.addFile(in, file) }
		}
		if err := choose(arg); err != nil {
			return nil, err
		}
	}
	err = in.Complete()
	for _, note := range in.Notes {
		fmt.Fprintln(c.stderr, note)
	}
	return in, err
}

// addFile adds the app of a manifest.
func (c *cli) addFile(in *install.Installation, file string) error {
	e, source, diags, err := catalog.ReadEntry(file)
	if err != nil {
		return err
	}
	if len(diags) > 0 {
		k := &compile.Compiled{Diags: diags, Loaded: manifests.Loaded{Sources: map[string][]byte{file: source}}}
		return cmp.Or(c.report(k, false), errReported)
	}
	in.Add(e)
	return nil
}

// vet runs the checks before a manifest is written: it has the operator grant the rights,
// and compares the apps with their images.
func (c *cli) vet(o *applyOptions, in *install.Installation, allow []string) error {
	staged, err := in.Stage(c.from(&o.source))
	if err != nil {
		return err
	}
	defer staged.Remove()
	if err := c.grantRights(staged, allow); err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	o.fetched, err = staged.CompareImages(ctx, &images.Reader{Scope: o.scope(), Podman: c.podman}, c.sayPulling)
	if err != nil {
		return err
	}
	c.warnOfLimits(ctx, o, staged.Compiled, in.IDs())
	return c.report(staged.Compiled, false)
}

// warnOfLimits warns of limits of the machine that are too low for the new apps. healthd may
// start them as soon as their manifests exist, so this is done before they do. If systemd or
// a manifest can't be read, the next step reports that.
func (c *cli) warnOfLimits(ctx context.Context, o *applyOptions, k *compile.Compiled, ids []string) {
	o.warn = c.warnOnce()
	if k.Result == nil {
		return
	}
	want, err := k.Result.Desired(k.Set).Only(ids)
	if err != nil {
		return
	}
	l, err := c.connect(ctx, o.scope())
	if err != nil {
		return
	}
	defer l.Close()
	low, _ := l.LowLimits(ctx, want.Apps)
	for _, f := range low {
		o.warn(f)
	}
}

// replace applies the manifests after apps were replaced by others.
func (c *cli) replace(o *applyOptions, want units.Desired, gone []string) error {
	l, err := c.local(o.scope())
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	err = install.ProvideSecrets(ctx, l, want, o.awaited)
	stop()
	if err != nil {
		return err
	}
	applied := c.apply(o, nil, "")
	if applied != nil && !isVerdict(applied) {
		return applied
	}
	return errors.Join(applied, l.Renderer().Forget(gone, nil), l.Store.ForgetUpdates(gone))
}

// isVerdict reports whether a pass did its work, and an app does not serve.
func isVerdict(err error) bool { return is[partError](err) || is[notServingError](err) }

// compiles returns the desired state of all installed apps, and fails if one of the named
// apps has an error among them.
func (c *cli) compiles(from *source, ids []string) (units.Desired, error) {
	k, want, err := c.installed(from)
	if err != nil {
		return want, err
	}
	refused := want.Refused()
	if k.Result != nil && !slices.ContainsFunc(ids, func(id string) bool { return refused[id] != "" }) {
		return want, nil
	}
	return want, cmp.Or(c.report(k, false), errReported)
}
