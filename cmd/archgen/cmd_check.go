package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests/strict"
)

func (c *cli) checkCommand() *cobra.Command {
	var (
		from                         source
		beStrict, asJSON, withImages bool
	)
	cmd := &cobra.Command{
		Use:   "check [PATH…|ID…]",
		Short: "Report all errors in manifests",
		Long: `check reads manifests with their overlays, compiles them in memory, checks the
result with Podman's own converter, and prints every problem with its position.
It writes nothing. Without arguments it checks the installed apps.

With --strict it also fails on what is allowed but should be reviewed: images
that are not pinned by digest, apps without a health check, raw arguments, and
rights that are high or critical (archgen help rights).

With --images it also compares each part with its image, if the image is on this
machine: processor, ports, volumes, user, and the programs of the container, its
probes and its steps. check runs nothing from the image, and names images that
are missing. install does the same before it starts an app.`,
		Example: `  archgen check
  archgen check bitcoin-knots.yaml lnd.yaml
  archgen check --images lnd
  archgen check --strict --json ./apps`,
		RunE: func(_ *cobra.Command, args []string) error {
			if withImages && from.root != "" {
				return usageError{errors.New("--images reads the images of this machine, not those of --root")}
			}
			k, err := c.session(&from).Load(args)
			if err != nil {
				return err
			}
			if withImages && !k.Diags.HasErrors() {
				ctx, stop := interruptible()
				defer stop()
				found, notes, err := (&images.Reader{Scope: from.scope(), Podman: c.podman}).CheckAll(ctx, k.Asked())
				if err != nil {
					return err
				}
				k.Diags = append(k.Diags, found...)
				for _, note := range notes {
					fmt.Fprintf(c.stderr, "note: %s\n", note)
				}
			}
			if beStrict {
				k.Diags = strict.CheckAll(k.Set, k.Diags)
			}
			if err := c.session(&from).Report(k, asJSON); err != nil {
				return err
			}
			if !asJSON {
				fmt.Fprintf(c.stdout, "%s checked\n", ui.Count(len(k.Loaded.Manifests), "app"))
			}
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().BoolVar(&beStrict, "strict", false, "fail on warnings and on what should be reviewed")
	cmd.Flags().BoolVar(&withImages, "images", false, "compare the apps with the images on this machine")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the diagnostics as JSON")
	return cmd
}
