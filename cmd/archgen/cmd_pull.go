package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
		RunE: func(_ *cobra.Command, args []string) error { return c.pull(&from, args) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

// sayPulling reports that archgen pulls an image, which may take long.
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
		err := l.FetchImages(ctx, app, c.sayPulling)
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
