package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

type renderOptions struct {
	source
	out            string
	stdout, asJSON bool
	checkImages    bool
}

func (c *cli) renderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:   "render [PATH…|ID…]",
		Short: "Write the Quadlet files of apps",
		Long: `render compiles manifests into Quadlet files and writes them to the directory
that Podman's generator reads. Without arguments it renders the installed apps.
A directory, like no argument, is a complete set: render removes the files of
apps that are no longer in it. Files and ids are single apps: render does not
touch the files of other apps.

If a manifest has errors, render prints all of them and writes nothing. It never
changes files that archgen did not write. If nothing changed, it writes nothing.

render needs neither Podman nor systemd nor a home directory: with --root it
reads the manifests of a system image and writes the files into that image.

Every right that an app asks for must be granted, in ID.d/grants.toml or in
archipelago.toml, except those of apps from archgen's own catalog. With
--stdout, manifests that are named as files need no grants. See archgen rights.

With --check-images, render prints the images that the apps need instead, one
per line, for an image build that pulls them in advance. It fails if an image
has no digest: a tag can refer to another image later, and the build would
change.

render writes for the Podman version that --podman names, else archipelago.toml,
else (without --root) the installed Podman, else Podman ` + generator.Default.String() + `.`,
		Example: `  archgen render
  archgen render bitcoin-knots
  archgen render --out ./units ./apps
  archgen render --root "$BUILDROOT" --podman 5.4
  archgen render --root "$BUILDROOT" --check-images
  archgen render --stdout bitcoin-knots.yaml`,
		RunE: func(_ *cobra.Command, args []string) error { return c.render(&o, args) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.out, "out", "", "write to `DIR`")
	cmd.Flags().BoolVar(&o.stdout, "stdout", false, "print the files instead of writing them")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print what was done and the diagnostics as JSON")
	cmd.Flags().BoolVar(&o.checkImages, "check-images", false, "print the images instead; fail if one has no digest")
	cmd.MarkFlagsMutuallyExclusive("out", "root", "stdout")
	for _, other := range []string{"out", "stdout", "json"} {
		cmd.MarkFlagsMutuallyExclusive("check-images", other)
	}
	return cmd
}

func (c *cli) render(o *renderOptions, args []string) error {
	dir, err := c.unitDir(o)
	if err != nil {
		return err
	}
	switch {
	case o.checkImages:
		o.grants = nowhere
	case !o.stdout:
		o.grants = whereverTheyLie
	}
	k, err := c.load(&o.source, args)
	if err != nil {
		return err
	}
	if k.Diags.HasErrors() || !o.asJSON {
		if err := c.report(k, o.asJSON); err != nil {
			return err
		}
	}
	files := k.Files()
	if o.checkImages {
		return view.Pinned(c.stdout, files)
	}
	if o.stdout {
		return c.printFiles(k, files, o.asJSON)
	}
	if !k.Whole && len(files) == 0 {
		return errors.New("no app to render")
	}
	if err := manifests.StaysInside(o.root, dir); err != nil {
		return fmt.Errorf("can't write to %s: %w", dir, err)
	}
	if !slices.ContainsFunc(args, isPath) {
		installed, err := c.directory(&o.source)
		if err != nil {
			return err
		}
		if err := install.RecordGrants(installed, k); err != nil {
			return err
		}
	}
	changes, err := unitdir.Sync(dir, files, k.OwnsFile)
	if o.asJSON {
		return errors.Join(err, c.printJSON(struct {
			view.ChangesDocument
			Diagnostics diag.List `json:"diagnostics"`
		}{view.ChangesJSON(dir, changes), list(k.Diags)}))
	}
	for _, name := range changes.MovedAside {
		fmt.Fprintf(c.stderr, "archgen: a directory or special file had the name of a unit file; moved to %s\n", filepath.Join(dir, name))
	}
	view.Changes(c.stdout, dir, changes, err)
	if o.live() && len(changes.Written)+len(changes.Removed) > 0 {
		fmt.Fprintf(c.stdout, "to load the files, run systemctl --%v daemon-reload\n", o.scope())
	}
	return err
}

// live reports whether this machine's systemd reads the files.
func (o *renderOptions) live() bool { return o.out == "" && o.root == "" }

// unitDir is the directory that render writes to.
func (c *cli) unitDir(o *renderOptions) (string, error) {
	switch {
	case o.stdout:
		return "", nil
	case o.out != "":
		return o.out, nil
	}
	return c.from(&o.source).Paths().Units()
}

func (c *cli) printFiles(k *compile.Compiled, files units.Set, asJSON bool) error {
	if !asJSON {
		return view.Files(c.stdout, files)
	}
	return c.printJSON(struct {
		Files       []view.File `json:"files"`
		Diagnostics diag.List   `json:"diagnostics"`
	}{view.FilesJSON(files), list(k.Diags)})
}
