package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/strict"
	"github.com/archipelago-os/archipelago/units"
)

func (c *cli) checkCommand() *cobra.Command {
	var (
		from                       source
		strict, asJSON, withImages bool
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
			k, err := c.load(&from, args)
			if err != nil {
				return err
			}
			if withImages && !k.Diags.HasErrors() {
				if err := c.compareImages(k, from.scope()); err != nil {
					return err
				}
			}
			if strict {
				makeStrict(k)
			}
			if err := c.report(k, asJSON); err != nil {
				return err
			}
			if !asJSON {
				fmt.Fprintf(c.stdout, "%s checked\n", ui.Count(len(k.Loaded.Manifests), "app"))
			}
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings and on what should be reviewed")
	cmd.Flags().BoolVar(&withImages, "images", false, "compare the apps with the images on this machine")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the diagnostics as JSON")
	return cmd
}

// compareImages adds the differences between the named apps and their images.
func (c *cli) compareImages(k *compile.Compiled, scope units.Scope) error {
	ctx, stop := interruptible()
	defer stop()
	r := &images.Reader{Scope: scope, Podman: c.podman}
	for _, app := range k.Asked() {
		diags, notes, err := r.Check(ctx, app)
		if err != nil {
			return err
		}
		k.Diags = append(k.Diags, diags...)
		for _, note := range notes {
			fmt.Fprintf(c.stderr, "note: %s: %s\n", app.ID(), note)
		}
	}
	return nil
}

// makeStrict adds the findings that only a strict check reports, and turns every
// warning into an error.
func makeStrict(k *compile.Compiled) {
	for _, app := range k.Set.Apps {
		k.Diags = append(k.Diags, strict.Check(app)...)
	}
	for i := range k.Diags {
		k.Diags[i].Severity = diag.Error
	}
}
