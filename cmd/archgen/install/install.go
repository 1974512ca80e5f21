// Package install owns the manifests and data of apps while they are installed, replaced,
// adopted or removed: which other apps are installed or removed with them, which rights an
// operator must grant, whether the apps match their images, which volumes of a foreign
// container an app keeps, and which data of a removed app is deleted.
//
// It writes manifests through manifests/installed. It never starts or stops an app (the next
// pass does), asks no questions and prints nothing.
package install

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
)

// App is an app to be installed. If it is installed already and is only to be started, it
// has no manifest.
type App struct {
	catalog.Entry
	// before is the manifest that is installed, nil for a new app.
	before *manifests.Manifest
	// grants is the new content of its file of grants, or nil if the file does not change.
	grants []string
}

// IsNew reports whether the app is not installed yet.
func (a *App) IsNew() bool { return a.before == nil }

// Installation is apps to be installed, and the apps that they replace.
type Installation struct {
	// Apps is in the order in which they were chosen.
	Apps []*App
	// AllowStale: apps of catalogs that have expired may be installed.
	AllowStale bool
	// Notes says which other apps are installed or removed with those that were asked for.
	Notes []string

	dir     installed.Directory
	catalog []catalog.Entry
	// installed is the installed apps without the replaced ones.
	installed map[string]*manifests.Manifest
	// replaced is the apps to be removed.
	replaced []*manifests.Manifest
}

// New begins an installation from a catalog that replaces installed apps.
func New(dir installed.Directory, entries []catalog.Entry, replaced []string) (*Installation, error) {
	in := &Installation{dir: dir, catalog: entries, installed: map[string]*manifests.Manifest{}}
	var loaded manifests.Loaded
	_ = loaded.LoadDirs(dir.Paths()) // the errors of installed apps are reported when they are compiled
	for _, m := range loaded.Manifests {
		in.installed[m.Document.App.ID] = m
	}
	for _, id := range replaced {
		m := in.installed[id]
		if m == nil {
			return nil, fmt.Errorf("can't replace %q: no such app is installed; see archgen status", id)
		}
		delete(in.installed, id)
		in.replaced = append(in.replaced, m)
	}
	return in, nil
}

// Choose adds an app of a catalog with its companions, or one that is installed. It is named by
// its id or by CATALOG/ID.
func (in *Installation) Choose(ref string) error {
	e, err := catalog.Find(in.catalog, ref)
	switch isNone := errors.Is(err, catalog.ErrNone); {
	case err == nil:
		in.Add(e)
	case isNone && in.installed[ref] != nil:
		in.Apps = append(in.Apps, &App{Entry: catalog.Entry{ID: ref}, before: in.installed[ref]})
	case isNone:
		return fmt.Errorf("no catalog has an app %q; see archgen catalog, or give the file of a manifest", ref)
	default:
		return err
	}
	return nil
}

// Add adds an app with its companions, which are of the same catalog.
func (in *Installation) Add(e catalog.Entry) {
	if in.isChosen(e.ID) {
		return
	}
	in.Apps = append(in.Apps, &App{Entry: e, before: in.installed[e.ID]})
	of := cmp.Or(e.Catalog, catalog.Own)
	for _, o := range in.catalog {
		if o.Catalog == of && in.mayFollow(o, of) && manifests.AreCompanions(&e.Manifest.Document.App, &o.Manifest.Document.App) {
			in.Add(o)
		}
	}
}

// mayFollow reports whether an app may be installed because one of a catalog is. No catalog of a
// third party provides anything for the apps of another, or replaces an installed app unasked.
func (in *Installation) mayFollow(e catalog.Entry, of string) bool {
	return e.Catalog == catalog.Own || e.Catalog == of && in.installed[e.ID] == nil
}

func (in *Installation) isChosen(id string) bool {
	return slices.ContainsFunc(in.Apps, func(a *App) bool { return a.ID == id })
}

// Complete adds missing providers of the chosen apps if there is only one candidate, and removes
// the companions of replaced apps that the chosen ones do not have. It fails if an app is withdrawn,
// or its catalog is stale.
func (in *Installation) Complete() error {
	for i := 0; i < len(in.Apps); i++ {
		for _, capability := range in.Apps[i].Needs {
			if err := in.provide(in.Apps[i], capability); err != nil {
				return err
			}
		}
		if err := in.isOffered(in.Apps[i]); err != nil {
			return err
		}
	}
	for _, m := range slices.Clone(in.replaced) {
		in.removeCompanions(m)
	}
	return nil
}

// isOffered demands that the author of an app's catalog still offers it.
func (in *Installation) isOffered(a *App) error {
	switch {
	case a.Withdrawn != "":
		return fmt.Errorf("%s can't be installed: the author of the catalog %s has withdrawn it: %s", a.ID, a.Catalog, a.Withdrawn)
	case a.IsStale && !in.AllowStale:
		return fmt.Errorf("%s can't be installed: its catalog %s has expired; run archgen catalog refresh %[2]s, check the clock of the machine, or add --stale", a.ID, a.Catalog)
	}
	return nil
}

// provide adds the app that provides a capability for another, unless one is installed. It is of
// the same catalog or of archgen's own.
func (in *Installation) provide(a *App, capability string) error {
	provides := func(a *manifests.App) bool {
		return slices.ContainsFunc(a.Provides, func(p manifests.Provide) bool { return p.Capability == capability })
	}
	for _, m := range in.installed {
		if provides(&m.Document.App) {
			return nil
		}
	}
	if slices.ContainsFunc(in.Apps, func(a *App) bool { return slices.Contains(a.Provides, capability) }) {
		return nil
	}
	var offers []catalog.Entry
	for _, e := range in.catalog {
		if slices.Contains(e.Provides, capability) && in.mayFollow(e, a.Catalog) {
			offers = append(offers, e)
		}
	}
	if len(offers) != 1 {
		return fmt.Errorf("%s requires %s, %s", a.ID, capability, choice(offers))
	}
	in.note("%s requires %s: installing %s as well", a.ID, capability, offers[0].ID)
	in.Add(offers[0])
	return nil
}

func choice(offers []catalog.Entry) string {
	if len(offers) == 0 {
		return "which no app provides, neither an installed one nor one of the catalog"
	}
	ids := make([]string, 0, len(offers))
	for _, e := range offers {
		name := e.ID
		if e.Catalog != catalog.Own {
			name = e.Ref()
		}
		ids = append(ids, name)
	}
	return "which several apps of the catalog provide: install one of " + strings.Join(ids, ", ") + " first"
}

// removeCompanions removes the companions of a replaced app that are not chosen.
func (in *Installation) removeCompanions(m *manifests.Manifest) {
	for _, id := range slices.Sorted(maps.Keys(in.installed)) {
		companion := in.installed[id]
		if manifests.AreCompanions(&m.Document.App, &companion.Document.App) && !in.isChosen(id) && !slices.Contains(in.replaced, companion) {
			in.note("%s is removed with %s", id, m.Document.App.ID)
			in.replaced = append(in.replaced, companion)
		}
	}
}

func (in *Installation) note(format string, args ...any) {
	in.Notes = append(in.Notes, fmt.Sprintf(format, args...))
}

// IDs is the apps that are installed.
func (in *Installation) IDs() []string {
	ids := make([]string, 0, len(in.Apps))
	for _, a := range in.Apps {
		ids = append(ids, a.ID)
	}
	return ids
}

// Replaced is the apps to be removed.
func (in *Installation) Replaced() []string {
	ids := make([]string, 0, len(in.replaced))
	for _, m := range in.replaced {
		ids = append(ids, m.Document.App.ID)
	}
	return ids
}

// Notices is the notices of the new apps.
func (in *Installation) Notices() (lines []string) {
	for _, a := range in.Apps {
		for _, text := range a.Notices {
			if a.IsNew() {
				lines = append(lines, a.ID+": "+text)
			}
		}
	}
	return lines
}

// SecretHints is the commands that show the secrets that a user needs, such as a first
// password.
func (in *Installation) SecretHints() (lines []string) {
	for _, a := range in.Apps {
		if a.Manifest == nil { // it was installed before
			continue
		}
		for _, s := range a.Manifest.Document.App.Secrets {
			if s.Show {
				lines = append(lines, cmp.Or(s.Description, s.Name)+": archgen secret show "+units.SecretName(a.ID, s.Name))
			}
		}
	}
	return lines
}

// Write installs the apps, and removes those that they replace: all, or on an error none.
// undo restores the previous manifests.
func (in *Installation) Write() (undo func() error, err error) {
	return in.dir.Replace(in.Replaced(), in.files()...)
}

// files is the apps as they are installed.
func (in *Installation) files() []installed.App {
	list := make([]installed.App, 0, len(in.Apps))
	for _, a := range in.Apps {
		list = append(list, installed.App{ID: a.ID, File: a.File, Manifest: a.Text, Templates: a.Templates, Seeds: a.Seeds, Grants: a.grants})
	}
	return list
}

// MustCompile is the apps that must have no errors afterwards: the chosen ones, and if
// others are removed, those that had no errors before.
func (in *Installation) MustCompile(before units.Desired) []string {
	ids := in.IDs()
	if len(in.replaced) == 0 {
		return ids
	}
	refused := before.Refused()
	return append(ids, slices.DeleteFunc(slices.Sorted(maps.Keys(in.installed)), func(id string) bool { return refused[id] != "" })...)
}

// Rerendered is the other apps whose files differ because of the new manifests, such as Tor,
// which has the onion services of other apps in its configuration.
func (in *Installation) Rerendered(before, after units.Desired) (ids []string) {
	for _, app := range after.Apps {
		was, isOld := before.Find(app.ID)
		if isOld && !in.isChosen(app.ID) && !app.Files.Equal(was.Files) {
			ids = append(ids, app.ID)
		}
	}
	return ids
}
