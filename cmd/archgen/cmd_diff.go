package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
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
would take, each with its reason. It changes nothing.`,
		Example: `  archgen diff
  archgen diff --exit-code lnd`,
		RunE: func(_ *cobra.Command, args []string) error {
			plan, k, err := c.preview(&from, args)
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

// differs ends a diff that found something to do.
type differs struct{ error }

func (e differs) Unwrap() error { return e.error }

func (c *cli) preview(from *source, ids []string) (units.Plan, *compile.Compiled, error) {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, from.scope())
	if err != nil {
		return units.Plan{}, nil, err
	}
	defer l.Close()
	k, want, err := c.installed(from)
	if err != nil {
		return units.Plan{}, nil, err
	}
	if k.Result == nil {
		return units.Plan{}, nil, errors.Join(c.sayDiagnostics(k, false))
	}
	if want, err = want.Only(ids); err != nil {
		return units.Plan{}, nil, err
	}
	dir, err := c.directory(from)
	if err != nil {
		return units.Plan{}, nil, err
	}
	host := l.ForPreview()
	adopter := install.Adopter(c.podman, dir, func() (*compile.Compiled, error) { return k, nil })
	adopter.WriteOverlay = func(string, []byte) error { return nil }
	host.Foreign = adopter
	plan, err := reconcile.Preview(ctx, want, host)
	return plan, k, err
}

func (c *cli) printPlan(plan units.Plan, k *compile.Compiled, asJSON bool) error {
	if asJSON {
		return c.printJSON(document{"actions": plan.Actions(), "diagnostics": list(k.Diags)})
	}
	if err := c.sayDiagnostics(k, false); err != nil {
		return err
	}
	view.Plan(c.stdout, plan)
	return nil
}
