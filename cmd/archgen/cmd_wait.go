package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/status"
)

// waited is what wait is asked for.
type waited struct {
	from    source
	level   string
	timeout time.Duration
}

func (c *cli) waitCommand() *cobra.Command {
	var w waited
	cmd := &cobra.Command{
		Use:   "wait ID[.PART]",
		Short: "Wait until an app serves",
		Long: `wait asks an app from the host's side, by the check that its unit file carries,
until it serves. An app that waits for a person, such as for the password of a
wallet, counts as started.

systemd runs it for each app with such a check (ExecStartPost=), so that
systemctl start returns when the app serves, and fails when it does not. There
it ends as soon as the app's main process has ended, systemctl status shows what
it waits for, and an app that says that it is loading has its start timeout
extended. An app without a check of that level is not waited for.

Levels: started (its container runs), alive (it answers at all), serving (it
answers correctly), synced (it has caught up). Without --timeout it gives up
after 5 minutes, and never where systemd runs it, whose own timeout ends it. For
started it gives up as soon as systemd does not start the app any more.

Exit status: 0 it serves; 1 it could not be asked; 6 it did not serve in time,
or its main process has ended.`,
		Example: `  archgen wait lnd
  archgen wait bitcoin-knots --level synced --timeout 24h
  archgen wait electrs --level started`,
		Args: usageArgs(oneOf("app, as ID or ID.PART")),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.check(cmd.Flags().Changed("timeout")); err != nil {
				return usageError{err}
			}
			ctx, stop := interruptible()
			defer stop()
			return c.waitFor(&w, args[0]).Run(ctx)
		},
	}
	scopeFlags(cmd, &w.from)
	cmd.Flags().StringVar(&w.level, "level", "serving", "the `LEVEL` that is waited for")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0, "give up after `DURATION`")
	return cmd
}

func (w *waited) check(timeoutGiven bool) error {
	if status.Reached(status.Level(w.level)) == nil && w.level != prestart.LevelStarted {
		return fmt.Errorf("there is no level %q: it is started, alive, serving or synced", w.level)
	}
	if timeoutGiven && w.timeout <= 0 {
		return fmt.Errorf("a timeout of %v is none: leave it out, or give one such as 30s", w.timeout)
	}
	return nil
}

func (c *cli) waitFor(w *waited, app string) *prestart.Wait {
	// MAINPID is set for nobody but the processes that systemd runs beside the
	// main one of a service.
	return &prestart.Wait{Env: c.prestartEnv(w.from.scope()), ID: app, Level: w.level, Timeout: w.timeout, MainPID: c.getenv("MAINPID")}
}
