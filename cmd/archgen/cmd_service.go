package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units"
)

func (c *cli) startCommand() *cobra.Command {
	return c.serviceCommand(units.Start, "Start apps, and say whether they serve", `start starts apps with all their parts, and waits until they serve. What was
given up is tried again. To start at boot as well, enable the app.`)
}

func (c *cli) stopCommand() *cobra.Command {
	return c.serviceCommand(units.Stop, "Stop apps until somebody starts them", `stop stops apps with all their parts. They stay stopped, whatever apply does,
until somebody starts them or the machine boots.`)
}

func (c *cli) restartCommand() *cobra.Command {
	return c.serviceCommand(units.Restart, "Restart apps, and say whether they serve", `restart stops and starts apps with all their parts, and waits until they serve.
A change that did not serve and was rolled back is tried again.`)
}

// serviceCommand is a verb that asks something of apps. It is a pass like any
// other: what else is not right with the apps is put right as well.
func (c *cli) serviceCommand(kind units.Kind, short, long string) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   string(kind) + " ID…",
		Short: short,
		Long: long + `

systemctl does the same for a unit that is in place:
systemctl --user ` + string(kind) + ` app@ID`,
		Example: "  archgen " + string(kind) + " lnd",
		Args:    some(nameApps),
		RunE:    func(_ *cobra.Command, args []string) error { return c.apply(&o, args, kind) },
	}
	o.flags(cmd)
	return cmd
}
