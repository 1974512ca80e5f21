package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/statusview"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/healthd/busclient"
	"github.com/archipelago-os/archipelago/units/machine"
)

func (c *cli) statusCommand() *cobra.Command {
	var from source
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status [ID]",
		Short: "Show the state of apps, and why",
		Long: `status shows each app with its state, the reason for the state, its level, and
the last error. With an ID it explains the reason, names the command that fixes
it, and shows all details of one app, part by part. It also shows apps that run
and are no longer installed. --json prints all details; docs/operations.md lists
the fields.

The state of an app is that of its part in the worst state; among equal states,
of its main part.
RESTARTS counts the automatic restarts by systemd (NRestarts) since the last
start by a job, or since the app was last healthy for ten minutes.

Levels, the lowest first: silent (it runs and does not answer), alive (it
answers at all), loading (it answers that it is not ready), needs-user (it waits
for a person), serving (it answers correctly), synced (it has caught up). An app
that is down or has no probe has none.

status changes nothing and does not run Podman. It probes all apps at the same
time; one that has not answered after two seconds counts as not answering.

Exit status: 0 all apps that should run do; 1 status failed, or there is no such
app; 3 an app that should be running is down or not answering.`,
		Example: `  archgen status
  archgen status lnd
  archgen status --watch
  archgen status --json > status.json`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if watch {
				return c.watchStatus(&from, args, asJSON)
			}
			return c.status(&from, args, asJSON)
		},
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&watch, "watch", false, "update until interrupted; if not on a terminal, print changes")
	return cmd
}

// survey reads the manifests, the unit files and systemd, and probes the running apps.
func (c *cli) survey(ctx context.Context, l *machine.Machine, from *source) (*statusview.Survey, error) {
	k, want, err := c.installed(from)
	if err != nil {
		return nil, err
	}
	want.Scope = from.scope()
	return statusview.Take(ctx, l, k, want)
}

func (c *cli) status(from *source, args []string, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, from.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := c.survey(ctx, l, from)
	if err != nil {
		return err
	}
	apps, err := statusview.Select(s.Apps, args)
	if err != nil {
		return err
	}
	if err := c.printStatus(s, apps, args, asJSON); err != nil {
		return err
	}
	if slices.ContainsFunc(apps, func(a statusview.App) bool { return !a.IsRight() }) {
		return partError{errReported}
	}
	return nil
}

func (c *cli) printStatus(s *statusview.Survey, apps []statusview.App, args []string, asJSON bool) error {
	if asJSON {
		return c.printJSON(s.Document(apps))
	}
	for _, err := range s.AllProblems() {
		c.say(err)
	}
	if err := c.printer(s.Compiled).Print(c.stderr, s.Diagnostics()); err != nil {
		return err
	}
	if len(apps) == 0 {
		fmt.Fprintln(c.stderr, "no app is installed; archgen catalog lists the apps that can be")
		return nil
	}
	_, err := fmt.Fprintln(c.stdout, strings.Join(s.Lines(ui.StyleOf(c.stdout, c.getenv), apps, len(args) == 1), "\n"))
	return err
}

// watchStatus shows the status repeatedly until it is interrupted.
func (c *cli) watchStatus(from *source, args []string, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, from.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	w := statusview.Watcher{
		Take:   func(ctx context.Context) (*statusview.Survey, error) { return c.survey(ctx, l, from) },
		Stdout: c.stdout, Style: func() ui.Style { return ui.StyleOf(c.stdout, c.getenv) }, Args: args, AsJSON: asJSON,
	}
	return w.Run(ctx, busclient.Bus{Scope: from.scope()}.Watch(ctx))
}
