package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
)

func (c *cli) removeCommand() *cobra.Command {
	var o applyOptions
	var purge, yes bool
	cmd := &cobra.Command{
		Use:   "remove ID…",
		Short: "Remove apps; their data stays",
		Long: `remove stops apps and their companions and removes their manifests, units and
networks. Volumes, secrets and overlays stay: if the app is installed again, it
has its data. Grants are removed: if the app is installed again, it needs them
again.

With --purge, remove also deletes volumes, secrets and overlays. It deletes
those of an app with data.retain: false in its manifest in any case. archgen
lists what will be deleted and asks for confirmation.`,
		Example: `  archgen remove lnd
  archgen remove --purge lnd`,
		Args: some(nameApps),
		RunE: func(_ *cobra.Command, args []string) error { return c.remove(&o, args, purge, yes) },
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&purge, "purge", false, "delete volumes, secrets and overlays as well")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "delete data without asking for confirmation")
	return cmd
}

func (c *cli) remove(o *applyOptions, ids []string, purge, yes bool) error {
	dir, err := c.directory(&o.source)
	if err != nil {
		return err
	}
	k, _, err := c.installed(&o.source)
	if err != nil {
		return err
	}
	ids, notes, err := install.Removable(k, dir, ids)
	for _, note := range notes {
		fmt.Fprintln(c.stderr, note)
	}
	if err != nil {
		return err
	}
	l, err := c.local(o.scope())
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	purged := ids
	if !purge {
		purged = install.Disposable(k, ids)
	}
	data := &install.Data{}
	if len(purged) > 0 {
		if data, err = install.DataOf(ctx, l.Secrets, dir, purged); err != nil {
			return err
		}
		for _, what := range data.List() {
			fmt.Fprintf(c.stderr, "deleting the %s\n", what)
		}
		if !yes && !data.IsEmpty() && !ui.Confirm(c.stdin, c.stderr, "this can't be undone. Delete? [y/N] ") {
			return errors.New("nothing was removed or deleted; --yes deletes without asking")
		}
	}
	if err := dir.Remove(ids...); err != nil {
		return err
	}
	// healthd or the path unit may already be stopping the app, which can take minutes.
	// The data of the app must not be deleted before the app has stopped.
	o.patience = o.timeout
	o.idle = strings.Join(ids, ", ") + ": removed (already applied by healthd or the path unit)"
	if err := c.apply(o, nil, ""); err != nil {
		return err
	}
	if err := errors.Join(l.Renderer().Forget(ids, purged), l.Store.ForgetUpdates(ids)); err != nil || len(purged) == 0 {
		return err
	}
	if err := data.Delete(ctx); err != nil {
		return err // stopping the unit of a volume that is in use would stop its users
	}
	m, err := c.connect(ctx, o.scope())
	if err != nil {
		return err
	}
	defer m.Close()
	return install.StopVolumes(ctx, m.Services, purged)
}
