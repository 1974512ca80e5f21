package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/update"
)

func (c *cli) updatesCommand() *cobra.Command {
	var from source
	var asJSON, exitCode bool
	cmd := &cobra.Command{
		Use:   "updates [ID…]",
		Short: "Show which apps have newer releases",
		Long: `updates compares the installed apps with the catalogs that they were installed
from, and shows for each app whether archgen update would install another
release, or why not. docs/updates.md explains the states.

It compares app.revision of the manifests, and never versions. It uses no
network: newer releases come with a newer archgen, with newer files in a catalog
directory, or when archgen catalog refresh reads a catalog again.

Exit status: 0 done; 4 with --exit-code, if archgen update --all would update an
app.`,
		Example: `  archgen updates
  archgen updates --json lnd`,
		RunE: func(_ *cobra.Command, args []string) error { return c.updates(&from, args, asJSON, exitCode) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 4 if there is something to update")
	return cmd
}

func (c *cli) updates(from *source, ids []string, asJSON, exitCode bool) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, from.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := c.releases(ctx, l, from)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		ids = s.IDs()
	}
	apps, err := s.Apps(ids)
	if err != nil {
		return err
	}
	rows := make([]view.Update, 0, len(ids))
	isReady := false
	for _, app := range apps {
		rows = append(rows, updateRow(app))
		isReady = isReady || update.IsReady(app.Findings)
	}
	_ = s.Keep() // a directory that can't be written to makes releases wait longer, and no list wrong
	if asJSON {
		err = c.printJSON(document{"apps": rows})
	} else {
		err = view.Updates(c.stdout, rows)
	}
	if err == nil && exitCode && isReady {
		return differs{errReported}
	}
	return err
}

// updateRow is what updates shows of an app.
func updateRow(a *updates.App) view.Update {
	row := view.Update{
		ID: a.ID, Installed: a.Version, Catalog: a.From.Catalog, Reason: a.Findings[0].Reason, State: a.Findings[0].Text,
		Findings: a.Findings, Changelog: a.Changelog, Rights: list(a.Facts.Rights), Lacks: list(a.Facts.Lost),
	}
	if a.Facts.Refusal != nil {
		row.Log = a.Facts.Refusal.Log
	}
	if a.To != nil && update.IsAvailable(a.Findings) {
		row.Available, row.Revision, row.Catalog = a.To.Version, a.To.Revision, a.To.Catalog
	}
	return row
}

// releases reads the installed apps and the catalogs.
func (c *cli) releases(ctx context.Context, l *machine.Machine, from *source) (*updates.Survey, error) {
	dir, err := c.directory(from)
	if err != nil {
		return nil, err
	}
	k, want, err := c.installed(from)
	if err != nil {
		return nil, err
	}
	if k.Result == nil {
		if err := c.sayDiagnostics(k, false); err != nil {
			return nil, err
		}
	}
	remotes, _ := c.catalogs(from.scope()).Remotes()
	entries, _, err := catalog.All(paths.Env{Getenv: c.getenv}.Catalog(), remotes...)
	if err != nil {
		return nil, err
	}
	found, err := l.Services.Observe(ctx, want.Services(), false)
	if err != nil {
		return nil, err
	}
	s := &updates.Survey{
		Dir: dir, Catalogs: entries, Source: c.from(from), Compiled: k, Want: want, Store: l.Store, Units: found, Now: time.Now(), RolledBack: map[string]bool{},
	}
	return s, s.Read()
}
