package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/statusview"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd/busclient"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/status"
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

// survey is the state of all apps at one time.
type survey struct {
	apps     []statusview.App
	compiled *compile.Compiled
	now      time.Time
	// watches is the units that do not watch all files.
	watches []status.Watch
	// problems is the errors that left the survey incomplete.
	problems []error
}

// survey reads the manifests, the unit files and systemd, and probes the running apps.
func (c *cli) survey(ctx context.Context, l *machine.Machine, from *source) (*survey, error) {
	k, want, err := c.installed(from)
	if err != nil {
		return nil, err
	}
	want.Scope = from.scope()
	reader := machine.StatusReader{
		Host: l.ForPreview(), Files: l.Files(), Probe: l.Health.Probe, LastLines: l.Services.LastLines,
	}
	ids := make([]string, 0, len(k.Loaded.Manifests))
	for _, m := range k.Loaded.Manifests {
		ids = append(ids, manifests.AppOf(m.File))
	}
	apps, problems, err := reader.Read(ctx, want, ids, k.FirstErrors())
	if err != nil {
		return nil, err
	}
	watches, err := l.Services.Watches(ctx, l.Paths.Units)
	if err != nil {
		problems = append(problems, err)
	}
	s := &survey{compiled: k, now: time.Now(), watches: watches, problems: problems}
	address := prestart.Address()
	for _, a := range apps {
		s.apps = append(s.apps, statusview.App{App: a, Description: k.Describe(a.ID, address), LANAddress: status.LANAddress(a.Ports, address)})
	}
	return s, nil
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
	apps, err := statusview.Select(s.apps, args)
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

func (c *cli) printStatus(s *survey, apps []statusview.App, args []string, asJSON bool) error {
	if asJSON {
		return c.printJSON(statusDocument(s, apps))
	}
	if err := c.sayProblems(s); err != nil {
		return err
	}
	if len(apps) == 0 {
		fmt.Fprintln(c.stderr, "no app is installed; archgen catalog lists the apps that can be")
		return nil
	}
	_, err := fmt.Fprintln(c.stdout, strings.Join(c.statusLines(s, apps, len(args) == 1), "\n"))
	return err
}

// statusLines is a table of apps, or all details of one.
func (c *cli) statusLines(s *survey, apps []statusview.App, isOne bool) []string {
	v := statusview.View{Style: ui.StyleOf(c.stdout, c.getenv), Now: s.now}
	if isOne {
		return v.One(apps[0])
	}
	return v.Table(apps)
}

func statusDocument(s *survey, apps []statusview.App) any {
	return struct {
		Apps    []statusview.App `json:"apps"`
		Watches []status.Watch   `json:"watches"`
	}{append([]statusview.App{}, apps...), append([]status.Watch{}, s.watches...)}
}

// sayProblems prints the errors that concern more than one app.
func (c *cli) sayProblems(s *survey) error {
	for _, err := range s.problems {
		c.say(err)
	}
	for _, w := range s.watches {
		c.say(fmt.Errorf("%s\nto fix it: %s", w, w.Mend))
	}
	list := s.compiled.Diags
	if s.compiled.Result != nil { // the rows of the apps say the rest
		list = slices.DeleteFunc(slices.Clone(list), func(d diag.Diagnostic) bool { return d.Severity != diag.Error || manifests.AppOf(d.File) != "" })
	}
	return c.printer(s.compiled).Print(c.stderr, list)
}

// How often status --watch surveys the apps. Without healthd it has to find every change
// itself. While healthd reports changes, it only updates the times that it shows.
const lookAlone, lookTold = time.Second, 5 * time.Second

func lookEvery(isTold bool) time.Duration {
	if isTold {
		return lookTold
	}
	return lookAlone
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
	tick := time.NewTicker(lookAlone)
	defer tick.Stop()
	told := busclient.Bus{Scope: from.scope()}.Watch(ctx)
	w := watcher{cli: c, args: args, asJSON: asJSON}
	for {
		err := w.look(ctx, l, from)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case isTold, more := <-told:
			if !more {
				told = nil
			}
			tick.Reset(lookEvery(isTold))
		}
	}
}

// watcher shows changes of the status.
type watcher struct {
	cli     *cli
	args    []string
	asJSON  bool
	changes statusview.Changes
	// document is the JSON that was printed last.
	document string
}

func (w *watcher) look(ctx context.Context, l *machine.Machine, from *source) error {
	s, err := w.cli.survey(ctx, l, from)
	if err != nil {
		return err
	}
	apps, err := statusview.Select(s.apps, w.args)
	if err != nil {
		return err
	}
	width, height := ui.Size(w.cli.stdout)
	switch {
	case w.asJSON:
		return w.printDocument(s, apps)
	case width == 0:
		for _, line := range w.changes.Lines(apps, s.now) {
			fmt.Fprintln(w.cli.stdout, line)
		}
		return nil
	}
	return ui.Redraw(w.cli.stdout, height, w.cli.statusLines(s, apps, len(w.args) == 1))
}

// printDocument prints the whole status on one line if it changed.
func (w *watcher) printDocument(s *survey, apps []statusview.App) error {
	line, err := json.Marshal(statusDocument(s, apps))
	if err != nil || string(line) == w.document {
		return err
	}
	w.document = string(line)
	_, err = fmt.Fprintf(w.cli.stdout, "%s\n", line)
	return err
}
