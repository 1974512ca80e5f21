package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/units"
)

func (c *cli) installCommand() *cobra.Command {
	var o applyOptions
	var replaced, allow []string
	cmd := &cobra.Command{
		Use:   "install ID|FILE…",
		Short: "Install apps of the catalog, or of manifests of your own",
		Long: `install puts manifests where the installed apps are, with their companions and
with what they require as far as the catalog leaves no choice, starts the apps,
and waits until they serve. Installing again changes nothing, unless the
manifest is another one.

Before that it gets the images and compares the apps with them, as
check --images does. An app that can't run in its image is not installed.

Before anything is written, it lists the rights of new apps that go beyond the
safe set, and those that a new manifest adds (archgen help rights). At a
terminal it asks whether to grant them; elsewhere each has to be given with
--allow, as KIND:SUBJECT or, for all that the apps ask for of a kind, as KIND.
The apps of archgen's own catalog have what they ask for. archgen grant and
archgen revoke change it later.

The manifest is yours from then on: change it, or lay files over it in ID.d/. An
app that can't be started stays installed; remove takes it away.

Before it starts a new app, install prints its notices: what a person has to
know, such as that it has no login.

With --replace an installed app goes in the same pass, with those of its
companions that the new ones do not have. Apps that require what both provide
stay, and are restarted where it has other values. The volumes, secrets and
overlays of what goes stay, too. install waits for the new apps as without
--replace.

Exit status: as of apply; 6 where an app does not serve, with its last words.`,
		Example: `  archgen install bitcoin-knots
  archgen install ./my-app.yaml
  archgen install --replace electrs fulcrum`,
		Args: some("name an app of the catalog (archgen catalog) or the file of a manifest"),
		RunE: func(_ *cobra.Command, args []string) error { return c.install(&o, args, replaced, allow) },
	}
	o.flags(cmd)
	cmd.Flags().StringArrayVar(&allow, "allow", nil, "grant the app `RIGHT`, or all rights of a kind")
	cmd.Flags().StringSliceVar(&replaced, "replace", nil, "remove the app `ID` in the same pass; its data stays")
	return cmd
}

func (c *cli) install(o *applyOptions, args, replaced, allow []string) error {
	if o.system {
		if err := doctor.SystemConflict("/"); err != nil {
			return err
		}
	}
	in, err := c.installation(o, args, replaced)
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
	c.printLines(o, in.Notices())
	o.awaited = in.IDs()
	if slices.ContainsFunc(in.Apps, (*install.App).IsNew) {
		o.idle = strings.Join(o.awaited, ", ") + ": installed; healthd or the path unit was first"
	}
	// healthd starts apps as soon as their manifests are there, and what goes may take
	// minutes to end.
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

// printLines prints what a person has to know, but not among JSON.
func (c *cli) printLines(o *applyOptions, lines []string) {
	for _, line := range lines {
		if !o.asJSON {
			fmt.Fprintln(c.stdout, line)
		}
	}
}

// installation is the apps that the arguments name, with those that come along.
func (c *cli) installation(o *applyOptions, args, replaced []string) (*install.Installation, error) {
	dir, err := c.directory(&o.source)
	if err != nil {
		return nil, err
	}
	entries, _, err := c.catalogEntries()
	if err != nil {
		return nil, err
	}
	in, err := install.New(dir, entries, replaced)
	if err != nil {
		return nil, err
	}
	for _, arg := range args {
		choose := in.Choose
		if isPath(arg) {
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

// vet does what comes before a manifest is written: the operator grants the rights, and
// the images are compared.
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
	return c.report(staged.Compiled, false)
}

// replace brings the machine to apps that take the place of others.
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
	return errors.Join(applied, l.Renderer().Forget(gone, nil))
}

// isVerdict reports whether a pass did its work, and an app does not serve.
func isVerdict(err error) bool { return is[partError](err) || is[notServingError](err) }

// compiles demands that the apps have no errors among the others, and is what they
// should be.
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
