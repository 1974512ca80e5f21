package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/statusview"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/healthd/busclient"
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
		RunE: func(_ *cobra.Command, args []string) error { return c.status(&from, args, watch, asJSON) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&watch, "watch", false, "update until interrupted; if not on a terminal, print changes")
	return cmd
}

func (c *cli) status(from *source, args []string, watch, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	s := c.session(from)
	m, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	take := func(ctx context.Context) (*statusview.Survey, error) {
		k, want, err := s.Installed()
		if err != nil {
			return nil, err
		}
		want.Scope = s.Scope
		return statusview.Take(ctx, m, k, want)
	}
	style := func() ui.Style { return ui.StyleOf(c.stdout, c.getenv) }
	if watch {
		w := statusview.Watcher{Take: take, Stdout: c.stdout, Style: style, Args: args, AsJSON: asJSON}
		return w.Run(ctx, busclient.Bus{Scope: s.Scope}.Watch(ctx))
	}
	survey, err := take(ctx)
	if err != nil {
		return err
	}
	apps, err := statusview.Select(survey.Apps, args)
	if err != nil {
		return err
	}
	if err := printStatus(s, survey, style(), apps, args, asJSON); err != nil {
		return err
	}
	if slices.ContainsFunc(apps, func(a statusview.App) bool { return !a.IsRight() }) {
		return passes.PartError{Err: errReported}
	}
	return nil
}

func printStatus(s *session.Session, survey *statusview.Survey, style ui.Style, apps []statusview.App, args []string, asJSON bool) error {
	if asJSON {
		return s.PrintJSON(survey.Document(apps))
	}
	for _, err := range survey.AllProblems() {
		s.Say(err)
	}
	if err := s.Printer(survey.Compiled).Print(s.Stderr, survey.Diagnostics()); err != nil {
		return err
	}
	if len(apps) == 0 {
		fmt.Fprintln(s.Stderr, "no app is installed; archgen catalog lists the apps that can be")
		return nil
	}
	_, err := fmt.Fprintln(s.Stdout, strings.Join(survey.Lines(style, apps, len(args) == 1), "\n"))
	return err
}
