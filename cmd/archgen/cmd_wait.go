package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/status"
)

// waited is the command line of wait.
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
		Long: `wait probes an app from the host, with the probes in its unit file, until the
app serves. An app that waits for a person, for example for the password of a
wallet, counts as started.

systemd runs wait for each app with such a probe (ExecStartPost=), so that
systemctl start returns when the app serves, and fails if it does not. There,
wait ends as soon as the app's main process ends, systemctl status shows what it
waits for, and an app that answers that it is loading gets more time to start.
If the app has no probe for the level, wait does not wait.

Levels: started (its container runs), alive (it answers at all), serving (it
answers correctly), synced (it has caught up). Without --timeout, wait gives up
after 5 minutes. Run by systemd it never gives up: the start timeout of the unit
ends it. For started it gives up as soon as systemd no longer starts the app.

Exit status: 0 the app serves; 1 it could not be probed; 6 it did not serve in
time, or its main process has ended.`,
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
	cmd.Flags().StringVar(&w.level, "level", "serving", "wait for `LEVEL`")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0, "give up after `DURATION`")
	return cmd
}

func (w *waited) check(timeoutGiven bool) error {
	if status.Reached(status.Level(w.level)) == nil && w.level != prestart.LevelStarted {
		return fmt.Errorf("unknown level %q: use started, alive, serving or synced", w.level)
	}
	if timeoutGiven && w.timeout <= 0 {
		return fmt.Errorf("the timeout %v is not positive: leave it out, or give one such as 30s", w.timeout)
	}
	return nil
}

func (c *cli) waitFor(w *waited, app string) *prestart.Wait {
	// systemd sets MAINPID only for the processes that it runs beside the main one of a
	// service.
	return &prestart.Wait{Env: c.session(&w.from).Prestart(), ID: app, Level: w.level, Timeout: w.timeout, MainPID: c.getenv("MAINPID")}
}
