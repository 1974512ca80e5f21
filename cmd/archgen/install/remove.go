package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/adopt"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Removable adds the companions of the apps to be removed, with a note for each, and
// refuses to remove an app that others require.
func Removable(k *compile.Compiled, dir installed.Directory, ids []string) (all, notes []string, err error) {
	files := dir.Files()
	all = slices.Clone(ids)
	for i := 0; i < len(all); i++ {
		if files[all[i]] == "" {
			return nil, notes, fmt.Errorf("no app %q is installed; see archgen status", all[i])
		}
		for _, companion := range companionsOf(k, all[i]) {
			if files[companion] != "" && !slices.Contains(all, companion) {
				notes = append(notes, companion+" is removed with "+all[i])
				all = append(all, companion)
			}
		}
	}
	return all, notes, stillRequired(k, all)
}

// companionsOf is the installed companions of an app, even if it has errors.
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

// stillRequired returns an error if an app that stays requires one of the removed apps.
func stillRequired(k *compile.Compiled, ids []string) error {
	if k.Set == nil {
		return nil
	}
	for _, app := range k.Set.Apps {
		for _, n := range app.Needs {
			if n.Provider != nil && !n.Optional && slices.Contains(ids, n.Provider.ID()) && !slices.Contains(ids, app.ID()) {
				return fmt.Errorf("%s requires %s, which %s provides: remove %s as well, or first", app.ID(), n.Capability, n.Provider.ID(), app.ID())
			}
		}
	}
	return nil
}

// Disposable is the apps whose data is deleted with them.
func Disposable(k *compile.Compiled, ids []string) (list []string) {
	for _, m := range k.Loaded.Manifests {
		app := m.Document.App
		if slices.Contains(ids, app.ID) && !app.Data.Retain {
			list = append(list, app.ID)
		}
	}
	return list
}

// Data is the data of apps after their removal. Secrets has each name once, whether Podman
// or archgen stores it; Overlays is directories.
type Data struct {
	Volumes, Secrets, Overlays []string

	secrets machine.Secrets
	dir     installed.Directory
	// kept is the secrets that Podman stores, values those that archgen stores.
	kept, values []string
	// ids is the apps, overlaid those that have overlays.
	ids, overlaid []string
}

// List is all of the data, each with its kind.
func (d *Data) List() (all []string) {
	for _, kind := range []struct {
		what  string
		names []string
	}{{"volume", d.Volumes}, {"secret", d.Secrets}, {"overlays", d.Overlays}} {
		for _, name := range kind.names {
			all = append(all, kind.what+" "+name)
		}
	}
	return all
}

// DataOf lists what belongs to apps.
func DataOf(ctx context.Context, secrets machine.Secrets, dir installed.Directory, ids []string) (*Data, error) {
	d := &Data{secrets: secrets, dir: dir, ids: ids}
	for _, list := range []struct {
		of   *[]string
		find func() ([]string, error)
	}{
		{&d.Volumes, func() ([]string, error) {
			return secrets.Podman.Podman.Lines(ctx, "volume", "ls", "--format={{.Name}}")
		}},
		{&d.kept, func() ([]string, error) {
			return secrets.Podman.Podman.Lines(ctx, "secret", "ls", "--format={{.Name}}")
		}},
		{&d.values, secrets.Names},
	} {
		names, err := list.find()
		if err != nil {
			return nil, err
		}
		*list.of = slices.DeleteFunc(names, func(name string) bool { return !belongs(name, ids) })
	}
	d.Secrets = slices.Compact(slices.Sorted(slices.Values(slices.Concat(d.kept, d.values))))
	for _, id := range ids {
		if overlays := dir.Overlays(id); overlays != "" {
			d.overlaid, d.Overlays = append(d.overlaid, id), append(d.Overlays, overlays)
		}
	}
	return d, nil
}

// belongs reports whether a volume or secret belongs to one of the apps. An id has no dots,
// so a name that begins with ID. belongs to no other app.
func belongs(name string, ids []string) bool {
	id, _, isDotted := strings.Cut(name, ".")
	return isDotted && slices.Contains(ids, id)
}

// IsEmpty reports whether there is no data.
func (d *Data) IsEmpty() bool { return len(d.Volumes)+len(d.Secrets)+len(d.Overlays) == 0 }

// Delete deletes the data. The services of the apps have to be down.
func (d *Data) Delete(ctx context.Context) error {
	errs := []error{d.deleteVolumes(ctx)}
	if len(d.kept) > 0 {
		errs = append(errs, d.podman().Run(ctx, append([]string{"secret", "rm", "--"}, d.kept...)...))
	}
	for _, name := range d.values {
		errs = append(errs, d.secrets.Remove(name))
	}
	for _, id := range d.overlaid {
		errs = append(errs, d.dir.RemoveOverlays(id))
	}
	return errors.Join(errs...)
}

func (d *Data) podman() podmancli.Runner { return d.secrets.Podman.Podman }

// mostTries is how often volumes are deleted while containers of their apps keep them.
const mostTries = 3

// deleteVolumes deletes the volumes. A container of the apps may keep one: a start that was stopped has
// left it, or it still ends. It is removed then; that waits until it has ended. A container of another
// keeps its volumes.
func (d *Data) deleteVolumes(ctx context.Context) error {
	volumes := d.Volumes
	for tries := 1; len(volumes) > 0; tries++ {
		err := d.podman().Run(ctx, append([]string{"volume", "rm", "--"}, volumes...)...)
		if err == nil {
			return nil
		}
		isRemoved, failure := d.removeContainers(ctx)
		if failure != nil || !isRemoved || tries == mostTries {
			return errors.Join(err, failure)
		}
		if volumes, failure = d.left(ctx); failure != nil {
			return errors.Join(err, failure)
		}
	}
	return nil
}

// removeContainers removes what containers of the apps are left, and reports whether there were any.
func (d *Data) removeContainers(ctx context.Context) (isRemoved bool, err error) {
	for _, id := range d.ids {
		found, err := d.podman().Lines(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter=label="+adopt.AppLabel+"="+id)
		if err != nil {
			return isRemoved, err
		}
		if len(found) == 0 {
			continue
		}
		if err := d.podman().Run(ctx, append([]string{"rm", "--force", "--ignore", "--"}, found...)...); err != nil {
			return isRemoved, err
		}
		isRemoved = true
	}
	return isRemoved, nil
}

// left is the volumes that are not deleted yet: Podman deletes some of a list if it can't delete all.
func (d *Data) left(ctx context.Context) ([]string, error) {
	names, err := d.podman().Lines(ctx, "volume", "ls", "--format={{.Name}}")
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(d.Volumes, name) }), err
}
