package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

func (c *cli) diffCommand() *cobra.Command {
	var from source
	var asJSON, exitCode bool
	cmd := &cobra.Command{
		Use:   "diff [ID…]",
		Short: "Show what apply would do, and why",
		Long: `diff compares the manifests with this machine, and prints the actions that apply
would take, each with its reason, and the apps that apply would leave as they
are because of a failure. It changes nothing.`,
		Example: `  archgen diff
  archgen diff --exit-code lnd`,
		RunE: func(_ *cobra.Command, args []string) error {
			plan, k, err := passes.Preview(c.session(&from), args)
			if err != nil {
				return err
			}
			if err := c.printPlan(plan, k, asJSON); err != nil {
				return err
			}
			if exitCode && !plan.Idle() {
				return differs{errReported}
			}
			return nil
		},
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 4 if there is something to do")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (c *cli) printPlan(plan units.Plan, k *compile.Compiled, asJSON bool) error {
	if asJSON {
		return c.printJSON(document{"actions": plan.Actions(), "results": reconcile.RefusedBy(plan), "diagnostics": list(k.Diags)})
	}
	if err := c.session(&source{}).SayDiagnostics(k, false); err != nil {
		return err
	}
	view.Plan(c.stdout, plan)
	return nil
}
