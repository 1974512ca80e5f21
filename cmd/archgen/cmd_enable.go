package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/manifests/installed"
)

func (c *cli) enableCommand() *cobra.Command {
	return c.enabledCommand("enable", true, "Start apps at boot", `enable makes apps start at boot, and starts those that have not run since the
last boot.`)
}

func (c *cli) disableCommand() *cobra.Command {
	return c.enabledCommand("disable", false, "Don't start apps at boot", `disable makes apps not start at boot. A running app keeps running; archgen no
longer repairs one that fails.`)
}

func (c *cli) enabledCommand(verb string, on bool, short, long string) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   verb + " ID…",
		Short: short,
		Long: long + `

The setting is in the overlay ID.d/` + installed.EnabledOverlay + ` beside the manifest.`,
		Example: "  archgen " + verb + " lnd",
		Args:    some(nameApps),
		RunE:    func(_ *cobra.Command, args []string) error { return c.apps(&o).SetEnabled(args, on) },
	}
	o.flags(cmd)
	return cmd
}
