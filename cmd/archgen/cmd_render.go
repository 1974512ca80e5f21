package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/render"
	"github.com/archipelago-os/archipelago/generator"
)

func (c *cli) renderCommand() *cobra.Command {
	var from source
	var o render.Output
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
		RunE: func(_ *cobra.Command, args []string) error {
			o.Session = c.session(&from)
			return o.Render(args)
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&o.Dir, "out", "", "write to `DIR`")
	cmd.Flags().BoolVar(&o.OnStdout, "stdout", false, "print the files instead of writing them")
	cmd.Flags().BoolVar(&o.AsJSON, "json", false, "print what was done and the diagnostics as JSON")
	cmd.Flags().BoolVar(&o.OnlyImages, "check-images", false, "print the images instead; fail if one has no digest")
	cmd.MarkFlagsMutuallyExclusive("out", "root", "stdout")
	for _, other := range []string{"out", "stdout", "json"} {
		cmd.MarkFlagsMutuallyExclusive("check-images", other)
	}
	return cmd
}
