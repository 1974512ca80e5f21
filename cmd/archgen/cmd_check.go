package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

func (c *cli) checkCommand() *cobra.Command {
	var (
		from           source
		strict, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check [PATH…|ID…]",
		Short: "Report everything that is wrong with manifests",
		Long: `check reads manifests with their overlays, compiles them in memory, lets
Podman's own converter read the result, and prints every problem with its
position. Nothing is written. Without arguments it checks the installed apps.

With --strict it also fails on what is allowed but wants a second look: images
that are not pinned by digest, apps without a health check, raw arguments,
rights that are rarely needed.`,
		Example: `  archgen check
  archgen check bitcoin-knots.yaml lnd.yaml
  archgen check --strict --json ./apps`,
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := c.load(&from, args)
			if err != nil {
				return err
			}
			if strict {
				makeStrict(k)
			}
			if err := c.report(k, asJSON); err != nil {
				return err
			}
			if !asJSON {
				fmt.Fprintf(c.stdout, "%s checked\n", counted(len(k.Loaded.Manifests), "app"))
			}
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings and on what wants a second look")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the diagnostics as JSON")
	return cmd
}

// makeStrict adds the findings that only a strict check reports, and lets every
// warning fail.
func makeStrict(k *compile.Compiled) {
	for _, app := range k.Set.Apps {
		k.Diags = append(k.Diags, manifests.Strict(app)...)
	}
	for i := range k.Diags {
		k.Diags[i].Severity = diag.Error
	}
}

// counted is a number of things.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
