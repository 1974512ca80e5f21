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
	"github.com/archipelago-os/archipelago/units/machine"
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
	// apps is those that have overlays.
	apps []string
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
	d := &Data{secrets: secrets, dir: dir}
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
			d.apps, d.Overlays = append(d.apps, id), append(d.Overlays, overlays)
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

// Delete deletes the data.
func (d *Data) Delete(ctx context.Context) error {
	var errs []error
	for _, list := range []struct {
		kind  string
		names []string
	}{{"volume", d.Volumes}, {"secret", d.kept}} {
		if len(list.names) > 0 {
			errs = append(errs, d.secrets.Podman.Podman.Run(ctx, append([]string{list.kind, "rm", "--"}, list.names...)...))
		}
	}
	for _, name := range d.values {
		errs = append(errs, d.secrets.Remove(name))
	}
	for _, id := range d.apps {
		errs = append(errs, d.dir.RemoveOverlays(id))
	}
	return errors.Join(errs...)
}
