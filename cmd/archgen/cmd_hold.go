package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
)

func (c *cli) holdCommand() *cobra.Command {
	var o applyOptions
	var until, why string
	cmd := &cobra.Command{
		Use:   "hold ID…",
		Short: "Keep apps at their versions",
		Long: `hold keeps apps at their versions: archgen update --all leaves them out. An
update that names the app still updates it, and the app stays held.

The setting is in the overlay ID.d/` + installed.HoldOverlay + ` beside the manifest, so no rollback
takes it away. archgen updates shows it.`,
		Example: `  archgen hold lnd
  archgen hold --until 2027-01-31 --why 'channels are being closed' lnd`,
		Args: some(nameApps),
		RunE: func(_ *cobra.Command, args []string) error { return c.hold(&o, args, until, why) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&until, "until", "", "hold them until the `DAY`, such as 2027-01-31")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for people")
	return cmd
}

func (c *cli) unholdCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "unhold ID…",
		Short: "End the hold of apps",
		Long: `unhold removes the overlay that archgen hold writes. An app whose manifest or
another overlay has update.policy: hold stays held.`,
		Example: `  archgen unhold lnd`,
		Args:    some(nameApps),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.setHold(&o, args, installed.Directory.Unhold)
		},
	}
	o.flags(cmd)
	return cmd
}

func (c *cli) hold(o *applyOptions, ids []string, until, why string) error {
	switch {
	case until != "" && !manifests.Fits("date", until):
		return usageError{fmt.Errorf("--until: %q is not %s", until, manifests.PatternText("date"))}
	case why != "" && !manifests.Fits("line", why):
		return usageError{fmt.Errorf("--why must be %s", manifests.PatternText("line"))}
	}
	return c.setHold(o, ids, func(dir installed.Directory, id string) error { return dir.Hold(id, until, why) })
}

// setHold changes the overlays of apps. The pass after it only writes into the unit files which
// manifest they are of.
func (c *cli) setHold(o *applyOptions, ids []string, set func(installed.Directory, string) error) error {
	s := c.session(&o.source)
	dir, err := s.Directory()
	if err != nil {
		return err
	}
	_, want, err := s.Installed()
	if err != nil {
		return err
	}
	if _, err := want.Only(ids); err != nil {
		return err
	}
	for _, id := range ids {
		if err := set(dir, id); err != nil {
			return err
		}
	}
	return c.apply(o, ids, "")
}
