package main

import (
	"github.com/spf13/cobra"
)

func (c *cli) applyCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply [ID…]",
		Short: "Apply the manifests to this machine",
		Long: `apply compiles the installed apps, writes their unit files, reloads systemd,
starts the apps that should run and restarts those that changed. It reports an
app as started when the app has stayed up for five seconds and answers. It says
when an app serves, and starts the apps that require it then. For an ID it waits
until the end, also if healthd has begun the start.

With --detach, apply returns when the apps serve. healthd watches them instead,
and rolls back an app that does not stay up. It also does so if apply is killed.

If nothing differs, apply writes, reloads and starts nothing. An app that an
operator stopped stays stopped. An app whose manifest has an error keeps its
units. An app that does not serve after a change is rolled back. A failure of
one app does not keep apply from repairing the others.

Exit status: 0 all apps are as they should be; 1 it failed; 3 some apps failed,
others did not; 5 another run holds the lock; 6 an app was started and does not
serve.`,
		Example: `  archgen apply
  archgen apply lnd
  archgen apply --json | jq .results`,
		RunE: func(_ *cobra.Command, args []string) error { return c.apply(&o, args, "") },
	}
	o.flags(cmd)
	o.detachFlag(cmd)
	return cmd
}
