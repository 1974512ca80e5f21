package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units/statedir"
)

func (c *cli) generationsCommand() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "generations",
		Short: "List known-good generations",
		Long: `generations lists the newest ten sets of unit files whose apps were verified to
serve, the newest first, each with the cause of the change.`,
		Example: `  archgen generations
  archgen rollback 12`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			l, err := c.session(&from).Local()
			if err != nil {
				return err
			}
			generations, err := l.Store.Generations()
			switch {
			case err != nil:
				return err
			case asJSON:
				return c.printJSON(document{"generations": list(generations)})
			}
			return view.Generations(c.stdout, generations)
		},
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (c *cli) rollbackCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "rollback [NUMBER]",
		Short: "Roll back to a known-good generation",
		Long: `rollback restores the unit files of a generation and starts the apps with them.
Without a number it restores the generation before the newest. An app keeps
these files until its manifest changes, or until archgen start or archgen
restart is run for it.

An app that was installed after the generation stays as it is.`,
		Example: `  archgen rollback
  archgen rollback 12`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return c.rollback(&o, args) },
	}
	o.flags(cmd)
	return cmd
}

func (c *cli) rollback(o *applyOptions, args []string) error {
	l, err := c.session(&o.source).Local()
	if err != nil {
		return err
	}
	g, err := chosenGeneration(l.Store, args)
	if err != nil {
		return err
	}
	_, want, err := c.session(&o.source).Installed()
	if err != nil {
		return err
	}
	if err := l.Store.RollBack(context.Background(), want, g); err != nil {
		return err
	}
	return c.apply(o, nil, "")
}

func chosenGeneration(store statedir.Store, args []string) (statedir.Generation, error) {
	if len(args) == 0 {
		return store.Earlier()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return statedir.Generation{}, usageError{fmt.Errorf("%q is not the number of a generation; see archgen generations", args[0])}
	}
	return store.Numbered(n)
}
