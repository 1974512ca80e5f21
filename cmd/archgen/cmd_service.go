package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units"
)

func (c *cli) startCommand() *cobra.Command {
	return c.serviceCommand(units.Start, "Start apps and wait until they serve", `start starts apps with all their parts, and waits until they serve. It tries
again an app that healthd gave up (gave-up). To start an app at boot, enable it.`)
}

func (c *cli) stopCommand() *cobra.Command {
	return c.serviceCommand(units.Stop, "Stop apps until they are started again", `stop stops apps with all their parts. They stay stopped until an operator starts
them or the machine boots; apply does not start them.`)
}

func (c *cli) restartCommand() *cobra.Command {
	return c.serviceCommand(units.Restart, "Restart apps and wait until they serve", `restart stops and starts apps with all their parts, and waits until they serve.
It tries again a change that was rolled back.`)
}

// serviceCommand is a verb that requests an action for apps. It makes an ordinary pass,
// which also repairs other drift of these apps.
func (c *cli) serviceCommand(kind units.Kind, short, long string) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   string(kind) + " ID…",
		Short: short,
		Long: long + `

If the unit files exist, systemctl does the same:
systemctl --user ` + string(kind) + ` app@ID`,
		Example: "  archgen " + string(kind) + " lnd",
		Args:    some(nameApps),
		RunE:    func(_ *cobra.Command, args []string) error { return c.apply(&o, args, kind) },
	}
	o.flags(cmd)
	if kind != units.Stop {
		o.detachFlag(cmd)
	}
	return cmd
}
