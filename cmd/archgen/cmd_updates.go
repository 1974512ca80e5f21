package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates/updater"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units/update"
)

func (c *cli) updatesCommand() *cobra.Command {
	var o updatesOptions
	cmd := &cobra.Command{
		Use:   "updates [ID…]",
		Short: "Show which apps have newer releases",
		Long: `updates compares the installed apps with the catalogs that they were installed
from, and shows for each app whether archgen update would install another
release, or why not. docs/updates.md explains the states.

It compares app.revision of the manifests, and never versions. It uses no
network: newer releases come with a newer archgen, with newer files in a catalog
directory, or when archgen catalog refresh reads a catalog again.

--refresh reads the catalogs from sources again. Of apps that are from no
catalog it also asks the registries of their images for tags and digests, by
skopeo. A tag follows the present one if it differs in greater numbers only.
archgen update installs the newest one that has the same first number, or else
another image under the present tag.

Exit status: 0 done; 1 with --refresh, if a source or a registry did not answer;
4 with --exit-code, if archgen update --all would update an
app.`,
		Example: `  archgen updates
  archgen updates --refresh
  archgen updates --json lnd`,
		RunE: func(_ *cobra.Command, args []string) error { return c.updates(&o, args) },
	}
	scopeFlags(cmd, &o.source)
	cmd.Flags().BoolVar(&o.refresh, "refresh", false, "read catalogs and tags of own apps' images again")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 4 if there is something to update")
	return cmd
}

// updatesOptions are those of updates.
type updatesOptions struct {
	source
	refresh, asJSON, exitCode bool
}

func (c *cli) updates(o *updatesOptions, ids []string) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.session(&o.source).Connect(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	u, err := c.updatesRunner(l, &applyOptions{source: o.source})
	if err != nil {
		return err
	}
	var unread error
	if o.refresh {
		if unread, err = c.refreshReleases(ctx, u, o, ids); err != nil {
			return err
		}
	}
	s, apps, err := survey(ctx, u, ids)
	if err != nil {
		return err
	}
	rows := make([]view.Update, 0, len(apps))
	isReady := false
	for _, app := range apps {
		rows = append(rows, view.UpdateOf(app))
		isReady = isReady || update.IsReady(app.Findings)
	}
	_ = s.Keep() // a directory that can't be written to makes releases wait longer, and no list wrong
	if o.asJSON {
		err = c.printJSON(document{"apps": rows})
	} else {
		err = view.Updates(c.stdout, rows)
	}
	if err == nil && unread != nil {
		return errReported
	}
	if err == nil && o.exitCode && isReady {
		return differs{errReported}
	}
	return err
}

// survey reads what is known about the releases of apps, or of all without ids.
func survey(ctx context.Context, u *updater.Runner, ids []string) (*updates.Survey, []*updates.App, error) {
	s, err := u.Survey(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(ids) == 0 {
		ids = s.IDs()
	}
	apps, err := s.Apps(ids)
	return s, apps, err
}

// refreshReleases reads the catalogs from sources again, and asks registries about the own manifests among
// apps. What can't be read it reports and returns as unread: what was known of it stays.
func (c *cli) refreshReleases(ctx context.Context, u *updater.Runner, o *updatesOptions, ids []string) (unread, err error) {
	_, unread = c.catalogs(o.scope()).RefreshAll(ctx, nil, func(catalogs.Status) {})
	s, apps, err := survey(ctx, u, ids)
	if err != nil {
		return nil, err
	}
	if unread = errors.Join(unread, u.AskRegistries(ctx, s, apps)); unread != nil {
		c.say(unread)
	}
	return unread, nil
}
