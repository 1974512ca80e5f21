package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units/adopt"
)

func (c *cli) adoptCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "adopt [ID…]",
		Short: "Replace foreign containers by apps",
		Long: `adopt replaces containers that were made by hand or by another program and have
the names of an app's containers. The app keeps the volumes and directories that
a container mounts; archgen writes them to the overlay ID.d/` + adopt.OverlayName + `.

The container has the app's stop timeout to stop. archgen removes it when the
app serves. If the app does not serve, archgen removes the units of the app and
restores the container, running if it ran before (a paused one is not paused
again).

archgen does the same whenever it starts an app. Without ids, adopt lists the
containers that it would replace, and changes nothing.

Exit status: as for apply; 6 if an app does not serve.`,
		Example: `  archgen adopt
  archgen adopt bitcoin-knots`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.listForeign(&o)
			}
			return c.passes(&o).Adopt(args)
		},
	}
	o.flags(cmd)
	return cmd
}

func (c *cli) listForeign(o *applyOptions) error {
	found, err := passes.ForeignContainers(c.session(&o.source), nil)
	if err != nil {
		return err
	}
	if o.asJSON {
		return c.printJSON(document{"containers": list(found)})
	}
	return view.Containers(c.stdout, found)
}
