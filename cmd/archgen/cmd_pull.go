package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
)

func (c *cli) pullCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "pull [ID…]",
		Short: "Pull missing images and create missing secrets of apps",
		Long: `pull pulls the images of the installed apps that are missing on this machine, so
that a later start or apply does not wait for the network, and creates the first
values of secrets. It changes nothing else. apply does the same before it
changes an app; for healthd, systemd does it with archipelago-pull@ID.service.

Exit status: 0 done for all apps; 1 failed for all apps; 3 failed for some apps.`,
		Example: `  archgen pull
  archgen pull lnd`,
		RunE: func(_ *cobra.Command, args []string) error { return passes.Pull(c.session(&from), args) },
	}
	scopeFlags(cmd, &from)
	return cmd
}
