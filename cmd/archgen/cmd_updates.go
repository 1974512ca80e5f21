package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units/update"
)

func (c *cli) updatesCommand() *cobra.Command {
	var from source
	var asJSON, exitCode bool
	cmd := &cobra.Command{
		Use:   "updates [ID…]",
		Short: "Show which apps have newer releases",
		Long: `updates compares the installed apps with the catalogs that they were installed
from, and shows for each app whether archgen update would install another
release, or why not. docs/updates.md explains the states.

It compares app.revision of the manifests, and never versions. It uses no
network: newer releases come with a newer archgen, with newer files in a catalog
directory, or when archgen catalog refresh reads a catalog again.

Exit status: 0 done; 4 with --exit-code, if archgen update --all would update an
app.`,
		Example: `  archgen updates
  archgen updates --json lnd`,
		RunE: func(_ *cobra.Command, args []string) error { return c.updates(&from, args, asJSON, exitCode) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 4 if there is something to update")
	return cmd
}

func (c *cli) updates(from *source, ids []string, asJSON, exitCode bool) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, from.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	u, err := c.updatesRunner(l, &applyOptions{source: *from})
	if err != nil {
		return err
	}
	s, err := u.Survey(ctx)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		ids = s.IDs()
	}
	apps, err := s.Apps(ids)
	if err != nil {
		return err
	}
	rows := make([]view.Update, 0, len(ids))
	isReady := false
	for _, app := range apps {
		rows = append(rows, view.UpdateOf(app))
		isReady = isReady || update.IsReady(app.Findings)
	}
	_ = s.Keep() // a directory that can't be written to makes releases wait longer, and no list wrong
	if asJSON {
		err = c.printJSON(document{"apps": rows})
	} else {
		err = view.Updates(c.stdout, rows)
	}
	if err == nil && exitCode && isReady {
		return differs{errReported}
	}
	return err
}
