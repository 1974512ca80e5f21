package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/systemd"
)

func (c *cli) removeCommand() *cobra.Command {
	var o applyOptions
	var purge, yes bool
	cmd := &cobra.Command{
		Use:   "remove ID…",
		Short: "Remove apps; their data stays",
		Long: `remove stops apps and removes their manifests, units and networks, with their
companions. Volumes, secrets and overlays stay: installed again, the app has
its data. Grants are removed: installed again, the app needs them again.

With --purge they are deleted, too, and so are those of an app whose manifest
says data.retain: false. What that is is named before, and asked for.`,
		Example: `  archgen remove lnd
  archgen remove --purge lnd`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errNothingAsked
			}
			return c.remove(&o, args, purge, yes)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&purge, "purge", false, "delete volumes, secrets and overlays as well")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask before data is deleted")
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
	ids, err = c.removable(k, dir.Files(), ids)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	purged := ids
	if !purge {
		purged = disposable(k, ids)
	}
	var data leftData
	if len(purged) > 0 {
		l, err := c.local(o.scope())
		if err != nil {
			return err
		}
		if data, err = dataOf(ctx, l.Secrets, purged, dir); err != nil {
			return err
		}
		if err := c.confirm(data, yes); err != nil {
			return err
		}
	}
	if err := dir.Remove(ids...); err != nil {
		return err
	}
	// healthd or the path unit may have seen it first, and be stopping an app that
	// takes minutes for it. Nothing that it has may be deleted before.
	o.patience = o.timeout
	o.idle = strings.Join(ids, ", ") + ": removed; healthd or the path unit was first"
	if err := c.apply(o, nil, ""); err != nil {
		return err
	}
	if err := c.forget(o.scope(), ids, purged); err != nil || len(purged) == 0 {
		return err
	}
	if err := data.delete(ctx); err != nil {
		return err // to stop the unit of a volume that is in use would stop its users
	}
	return c.stopVolumes(ctx, o.scope(), purged)
}

// disposable lists those of the apps whose data goes with them.
func disposable(k *compile.Compiled, ids []string) (list []string) {
	for _, m := range k.Loaded.Manifests {
		app := m.Document.App
		if slices.Contains(ids, app.ID) && app.Data.Retain != nil && !*app.Data.Retain {
			list = append(list, app.ID)
		}
	}
	return list
}

// removeNetworks removes the networks of apps that are gone, of capabilities that no app
// has to do with any more, and of a version that named them otherwise: ours of which there
// is no file. They hold nothing.
func (c *cli) removeNetworks(ctx context.Context, l *machine.Machine, scope units.Scope) error {
	files, err := durable.Names(l.Paths.Units)
	if err != nil {
		return err
	}
	isLeft := func(name string) bool {
		_, isWanted := slices.BinarySearch(files, units.NetworkFile(name))
		return units.IsNetworkName(name) && !isWanted
	}
	if !slices.ContainsFunc(podman.Networks(scope, paths.Storage(scope, c.getenv)), isLeft) {
		return nil
	}
	// Before Podman 5.3 their units stay active.
	isGone := func(u systemd.Listed) bool { return u.LoadState == "not-found" }
	err = stopUnits(ctx, l, isGone, units.NetworkServices)
	networks, unlisted := c.podman.Lines(ctx, "network", "ls", "--format={{.Name}}={{.Labels}}")
	for _, n := range networks {
		if name, labels, _ := strings.Cut(n, "="); isLeft(name) && strings.Contains(labels, "io.archipelago.") {
			_ = c.podman.Run(ctx, "network", "rm", "--", name) // one that a foreign container uses stays
		}
	}
	return errors.Join(err, unlisted)
}

// stopVolumes stops the units that made the volumes of apps. One that stays active
// would make none when the app is installed again.
func (c *cli) stopVolumes(ctx context.Context, scope units.Scope, ids []string) error {
	patterns := make([]string, 0, len(ids))
	for _, id := range ids {
		patterns = append(patterns, units.VolumeServices(id))
	}
	l, err := c.connect(ctx, scope)
	if err != nil {
		return err
	}
	defer l.Close()
	return stopUnits(ctx, l, func(systemd.Listed) bool { return true }, patterns...)
}

// stopUnits stops the units of some patterns that are meant.
func stopUnits(ctx context.Context, l *machine.Machine, isMeant func(systemd.Listed) bool, patterns ...string) error {
	list, err := l.Services.Manager.ListByPatterns(ctx, patterns...)
	errs := []error{err}
	for _, u := range list {
		if isMeant(u) {
			errs = append(errs, l.Services.Stop(ctx, u.Name))
		}
	}
	return errors.Join(errs...)
}

// removable adds companions, and refuses what other apps require.
func (c *cli) removable(k *compile.Compiled, files map[string]string, ids []string) ([]string, error) {
	ids = slices.Clone(ids)
	for i := 0; i < len(ids); i++ {
		if files[ids[i]] == "" {
			return nil, fmt.Errorf("no app %q is installed; see archgen status", ids[i])
		}
		for _, companion := range companionsOf(k, ids[i]) {
			if files[companion] != "" && !slices.Contains(ids, companion) {
				fmt.Fprintf(c.stderr, "%s goes with %s\n", companion, ids[i])
				ids = append(ids, companion)
			}
		}
	}
	if k.Set == nil {
		return ids, nil
	}
	for _, app := range k.Set.Apps {
		for _, n := range app.Needs {
			if n.Provider != nil && !n.Optional && slices.Contains(ids, n.Provider.ID()) && !slices.Contains(ids, app.ID()) {
				return nil, fmt.Errorf("%s requires %s, which %s provides: remove %s as well, or first", app.ID(), n.Capability, n.Provider.ID(), app.ID())
			}
		}
	}
	return ids, nil
}

// companionsOf is the installed companions of an app, also of one with errors.
func companionsOf(k *compile.Compiled, id string) (ids []string) {
	list := k.Loaded.Manifests
	i := slices.IndexFunc(list, func(m *manifests.Manifest) bool { return manifests.AppOf(m.File) == id })
	if i < 0 {
		return nil
	}
	for _, m := range list {
		if manifests.AreCompanions(&list[i].Document.App, &m.Document.App) {
			ids = append(ids, manifests.AppOf(m.File))
		}
	}
	return ids
}

// forget removes what was rendered for apps that are gone. Of those that were purged the
// record of what was migrated goes as well: installed again, the app has no data that was.
func (c *cli) forget(scope units.Scope, ids, purged []string) error {
	l, err := c.local(scope)
	if err != nil {
		return err
	}
	return l.Renderer().Forget(ids, purged)
}

// leftData is what is left of apps after their removal.
type leftData struct {
	volumes, secrets []string
	// overlays is the apps that have overlays in the directory.
	overlays []string
	dir      installed.Directory
	// values is the secrets that have a value of ours, which Podman may not have.
	values []string
	vault  machine.Secrets
}

// dataOf lists what belongs to apps. Ids hold no dots, so that what begins with
// ID. is nobody else's.
func dataOf(ctx context.Context, v machine.Secrets, ids []string, dir installed.Directory) (d leftData, err error) {
	d.vault, d.dir = v, dir
	volumes, err := v.Podman.Podman.Lines(ctx, "volume", "ls", "--format={{.Name}}")
	if err != nil {
		return d, err
	}
	secrets, err := v.Podman.Podman.Lines(ctx, "secret", "ls", "--format={{.Name}}")
	if err != nil {
		return d, err
	}
	if d.values, err = v.Names(); err != nil {
		return d, err
	}
	own := func(name string) bool {
		id, _, dotted := strings.Cut(name, ".")
		return dotted && slices.Contains(ids, id)
	}
	d.volumes = slices.DeleteFunc(volumes, func(n string) bool { return !own(n) })
	d.secrets = slices.DeleteFunc(secrets, func(n string) bool { return !own(n) })
	d.values = slices.DeleteFunc(d.values, func(n string) bool { return !own(n) })
	for _, id := range ids {
		if dir.Overlays(id) != "" {
			d.overlays = append(d.overlays, id)
		}
	}
	return d, nil
}

// confirm names what is deleted, and asks.
func (c *cli) confirm(d leftData, yes bool) error {
	overlays := make([]string, 0, len(d.overlays))
	for _, id := range d.overlays {
		overlays = append(overlays, d.dir.Overlays(id))
	}
	for _, list := range []struct {
		what  string
		names []string
	}{{"volume", d.volumes}, {"secret", d.allSecrets()}, {"overlays", overlays}} {
		for _, name := range list.names {
			fmt.Fprintf(c.stderr, "deleting the %s %s\n", list.what, name)
		}
	}
	if yes || len(d.volumes)+len(d.allSecrets())+len(d.overlays) == 0 {
		return nil
	}
	if ui.Confirm(c.stdin, c.stderr, "this can't be undone. Delete? [y/N] ") {
		return nil
	}
	return errors.New("nothing was removed or deleted; --yes deletes without asking")
}

// allSecrets is the names of the secrets, whoever keeps them.
func (d leftData) allSecrets() []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(d.secrets, d.values))))
}

// delete deletes what was confirmed.
func (d leftData) delete(ctx context.Context) error {
	var errs []error
	for _, list := range []struct {
		kind  string
		names []string
	}{{"volume", d.volumes}, {"secret", d.secrets}} {
		if len(list.names) > 0 {
			errs = append(errs, d.vault.Podman.Podman.Run(ctx, append([]string{list.kind, "rm", "--"}, list.names...)...))
		}
	}
	for _, name := range d.values {
		errs = append(errs, d.vault.Remove(name))
	}
	for _, id := range d.overlays {
		errs = append(errs, d.dir.RemoveOverlays(id))
	}
	return errors.Join(errs...)
}
