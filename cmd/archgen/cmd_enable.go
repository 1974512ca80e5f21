package main

import (
	"fmt"
	"slices"

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
		RunE:    func(_ *cobra.Command, args []string) error { return c.setEnabled(&o, args, on) },
	}
	o.flags(cmd)
	return cmd
}

func (c *cli) setEnabled(o *applyOptions, ids []string, on bool) error {
	dir, err := c.directory(&o.source)
	if err != nil {
		return err
	}
	_, want, err := c.installed(&o.source)
	if err != nil {
		return err
	}
	if _, err := want.Only(ids); err != nil {
		return err
	}
	for _, app := range want.Apps {
		if !slices.Contains(ids, app.ID) || app.Enabled == on {
			continue
		}
		if err := dir.SetEnabled(app.ID, on); err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "%s: %s\n", app.ID, map[bool]string{true: "starts at boot", false: "does not start at boot"}[on])
	}
	return c.apply(o, ids, "")
}
