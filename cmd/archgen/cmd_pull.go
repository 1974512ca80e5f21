package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units/machine"
)

func (c *cli) pullCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "pull [ID…]",
		Short: "Get what apps lack before they start: images and secrets",
		Long: `pull gets the images that the installed apps name and that this machine lacks,
so that a later start or apply does not wait for the network, and gives secrets
their first values. Nothing else is changed. apply does so by itself before it
changes an app; for healthd systemd does it, by archipelago-pull@ID.service.

Exit status: 0 all are there; 1 none could be had; 3 some could not.`,
		Example: `  archgen pull
  archgen pull lnd`,
		RunE: func(_ *cobra.Command, args []string) error { return c.pull(&from, args) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

// sayPulling says that an image is pulled, which may take long.
func (c *cli) sayPulling(app, image string) {
	fmt.Fprintf(c.stderr, "%s: pulling %s …\n", app, image)
}

func (c *cli) pull(from *source, ids []string) error {
	ctx, stop := interruptible()
	defer stop()
	k, want, err := c.installed(from)
	if err != nil {
		return err
	}
	if err := c.sayDiagnostics(k, false); err != nil {
		return err
	}
	if want, err = want.Only(ids); err != nil {
		return err
	}
	l, err := c.local(from.scope())
	if err != nil {
		return err
	}
	var failed, well int
	for _, app := range want.Apps {
		err := machine.FetchImages(ctx, c.podman, app, c.sayPulling)
		if err == nil {
			err = l.Secrets.ProvideFor(ctx, app)
		}
		if err != nil {
			c.say(fmt.Errorf("%s: %w", app.ID, err))
			failed++
			continue
		}
		well++
	}
	return outcome(failed, well)
}
