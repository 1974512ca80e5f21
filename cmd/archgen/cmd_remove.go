package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/lifecycle"
)

func (c *cli) removeCommand() *cobra.Command {
	var o applyOptions
	var removal lifecycle.Removal
	cmd := &cobra.Command{
		Use:   "remove ID…",
		Short: "Remove apps; their data stays",
		Long: `remove stops apps and their companions and removes their manifests, units and
networks. Volumes, secrets and overlays stay: if the app is installed again, it
has its data. Grants are removed: if the app is installed again, it needs them
again.

With --purge, remove also deletes volumes, secrets and overlays. It deletes
those of an app with data.retain: false in its manifest in any case. archgen
lists what will be deleted and asks for confirmation.`,
		Example: `  archgen remove lnd
  archgen remove --purge lnd`,
		Args: some(nameApps),
		RunE: func(_ *cobra.Command, args []string) error {
			removal.IDs = args
			return c.apps(&o).Remove(removal)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&removal.Purge, "purge", false, "delete volumes, secrets and overlays as well")
	cmd.Flags().BoolVarP(&removal.Yes, "yes", "y", false, "delete data without asking for confirmation")
	return cmd
}
