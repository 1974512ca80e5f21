// Package installed owns the directory of installed manifests. It installs, replaces and
// removes an app's manifest with its templates and seeds, and writes the overlays and grants that
// archgen keeps beside it. A change of several files is undone as a whole when a part of
// it fails.
//
// It writes only to the first of the directories that manifests are read from: what the
// image of an operating system ships in the others is masked, never changed. It never
// decides which apps may be installed or removed, and compiles nothing.
package installed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/paths"
)

// EnabledOverlay is the overlay that says whether an app starts at boot. Its name sorts
// late, so that it takes precedence over other overlays.
const EnabledOverlay = "90-enabled.yaml"

// EditedOverlay is the overlay that holds what was edited in the manifests of earlier releases. Its name
// sorts early, so that other overlays take precedence over it, as they did over the manifest.
const EditedOverlay = "00-edited.yaml"

// PinOverlay is the overlay that holds the images that archgen update has taken for a manifest of an
// operator's own. Other overlays take precedence over it but EditedOverlay.
const PinOverlay = "00-pin.yaml"

// HoldOverlay is the overlay that keeps an app at its version.
const HoldOverlay = "hold.yaml"

// App is an app to install.
type App struct {
	ID string
	// File is the name of the manifest's file and Manifest its content. Without content
	// the app is installed already, and only its grants are written.
	File     string
	Manifest []byte
	// Templates is the content of the app's templates, by name.
	Templates map[string][]byte
	// Seeds is the files of the app's seeds, by their paths in ID.files/.
	Seeds []manifests.SeedFile
	// Grants is the rights that the app is granted from now on. If nil, its grants stay.
	Grants []string
}

// Directory is the directory of installed manifests, and those that it takes precedence
// over.
type Directory struct {
	root  string
	paths []string
	// disk is for tests.
	disk *disk
}

// Of returns the directory of a user, of the system or of a system image.
func Of(env paths.Env) (Directory, error) {
	list, err := env.Apps()
	return Directory{root: env.Root, paths: list}, err
}

// At returns a directory of its own, such as one in which an installation is staged.
func At(path string) Directory { return Directory{paths: []string{path}} }

// Path is the directory that is written to.
func (d Directory) Path() string { return d.paths[0] }

// Paths is the directories that manifests are read from; the first that has an app wins.
func (d Directory) Paths() []string { return slices.Clone(d.paths) }

// Files is the manifests of the installed apps by id, including those with errors. What
// can't be read holds no manifest.
func (d Directory) Files() map[string]string {
	loaded := manifests.Loaded{Root: d.root}
	list, _ := loaded.Files(d.paths)
	files := make(map[string]string, len(list))
	for _, file := range list {
		files[manifests.AppOf(file)] = file
	}
	return files
}

// Find is the manifest of an installed app, empty if it is not installed. The error says that this can't be
// told, because a directory can't be read, or the one that is written to does not exist.
func (d Directory) Find(id string) (file string, err error) {
	loaded := manifests.Loaded{Root: d.root}
	list, diags := loaded.Files(d.paths)
	switch {
	case diags.HasErrors():
		return "", fmt.Errorf("looking for the manifest of %s: %v", id, diags[0])
	case slices.Contains(loaded.Absent, d.Path()):
		return "", fmt.Errorf("looking for the manifest of %s: %s does not exist", id, d.Path())
	}
	if i := slices.IndexFunc(list, func(file string) bool { return manifests.AppOf(file) == id }); i >= 0 {
		return list[i], nil
	}
	return "", nil
}

// Install installs apps: all, or on an error none. undo removes them again and restores
// what they replaced. Of an app that is installed with the same content nothing is written.
func (d Directory) Install(apps ...App) (undo func() error, err error) {
	return d.Replace(nil, apps...)
}

// Replace removes apps and installs others in one change. The overlays of a removed app
// stay.
func (d Directory) Replace(removed []string, apps ...App) (undo func() error, err error) {
	return d.change(func(c *change) error {
		files := d.Files()
		for _, id := range removed {
			if err := c.uninstall(files[id], id); err != nil {
				return err
			}
		}
		for _, app := range apps {
			if err := c.install(app); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove removes apps with their templates and grants: all, or on an error none. It
// deletes a manifest of the directory that is written to, and masks any other. Overlays
// stay.
func (d Directory) Remove(ids ...string) error {
	_, err := d.Replace(ids)
	return err
}

// install writes the manifest of an app last: only then is the app installed.
func (c *change) install(app App) error {
	if err := fits(app.ID); err != nil {
		return err
	}
	if app.Grants != nil {
		if err := c.write(manifests.OverlaysDir(app.ID), manifests.GrantsFile, manifests.Grants{Allow: app.Grants}.Text()); err != nil {
			return err
		}
	}
	if app.Manifest == nil {
		return nil
	}
	if manifests.AppOf(app.File) != app.ID {
		return fmt.Errorf("%q can't be the manifest of %s: name the file %s.yaml or %[2]s.toml", app.File, app.ID, app.ID)
	}
	for _, name := range sortedKeys(app.Templates) {
		if err := c.write(manifests.FilesDir(app.ID), name, app.Templates[name]); err != nil {
			return err
		}
	}
	if err := c.seeds(app); err != nil {
		return err
	}
	if err := c.unpin(app); err != nil {
		return err
	}
	return c.write("", app.File, app.Manifest)
}

// unpin removes the images that were taken for another text of the manifest.
func (c *change) unpin(app App) error {
	dir, overlays := c.dir.Path(), manifests.OverlaysDir(app.ID)
	pin, err := look(filepath.Join(dir, overlays), PinOverlay)
	if err != nil || pin.isAbsent {
		return err
	}
	was, err := look(dir, app.File)
	if err != nil || was.has(dir, app.File, app.Manifest, false) {
		return err
	}
	return c.remove(overlays, PinOverlay)
}

// seeds writes the seeds of an app, and removes what an earlier version had in their folders: all
// that is in a folder is the seed.
func (c *change) seeds(app App) error {
	dir := manifests.FilesDir(app.ID)
	isWanted, names := map[string]bool{}, map[string]bool{}
	for _, f := range app.Seeds {
		name, _, _ := strings.Cut(f.Path, "/")
		isWanted[filepath.Join(dir, f.Path)], names[filepath.Join(dir, name)] = true, true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, path := range c.filesIn(name) {
			if isWanted[path] {
				continue
			}
			if err := c.remove(filepath.Dir(path), filepath.Base(path)); err != nil {
				return err
			}
		}
	}
	for _, f := range app.Seeds {
		path := filepath.Join(dir, f.Path)
		if err := c.writeFile(filepath.Dir(path), filepath.Base(path), f.Data, f.IsExecutable); err != nil {
			return err
		}
	}
	return nil
}

// uninstall removes what is installed of an app. Its grants were for this app; the next
// one with the id may be another. They are restored before the manifest, since an app
// without its grants is stopped.
func (c *change) uninstall(file, id string) error {
	if err := fits(id); err != nil {
		return err
	}
	remove := func() error { return c.removeTree(manifests.FilesDir(id)) }
	switch {
	case file == "":
	case filepath.Dir(file) != filepath.Clean(c.dir.Path()):
		remove = func() error { return nil } // they belong to the manifest that is masked
		if err := c.mask(filepath.Base(file)); err != nil {
			return err
		}
	default:
		if err := c.remove("", filepath.Base(file)); err != nil {
			return err
		}
	}
	if err := remove(); err != nil {
		return err
	}
	return c.remove(manifests.OverlaysDir(id), manifests.GrantsFile)
}

// SetEnabled says in an overlay whether an app starts at boot.
func (d Directory) SetEnabled(id string, on bool) error {
	return d.WriteOverlay(id, EnabledOverlay, fmt.Appendf(nil, "# Written by archgen enable and disable.\napp: {enabled: %v}\n", on))
}

// Hold says in an overlay that an app stays at its version, until a day or forever if until is empty,
// and why.
func (d Directory) Hold(id, until, why string) error {
	var keys []string
	for _, key := range []struct{ name, value string }{{"until", until}, {"why", why}} {
		if key.value != "" {
			quoted, err := json.Marshal(key.value)
			if err != nil {
				return fmt.Errorf("writing %s of the hold of %s: %w", key.name, id, err)
			}
			keys = append(keys, key.name+": "+string(quoted))
		}
	}
	return d.WriteOverlay(id, HoldOverlay, fmt.Appendf(nil, "# Written by archgen hold. archgen unhold removes it.\napp: {update: {hold: {%s}}}\n", strings.Join(keys, ", ")))
}

// Unhold removes the overlay that Hold writes, if there is one.
func (d Directory) Unhold(id string) error { return d.removeOverlay(id, HoldOverlay) }

// Edits is the text of the overlay EditedOverlay of an app, nil without one.
func (d Directory) Edits(id string) ([]byte, error) { return d.overlay(id, EditedOverlay) }

// Pin is the text of the overlay PinOverlay of an app, nil without one.
func (d Directory) Pin(id string) ([]byte, error) { return d.overlay(id, PinOverlay) }

func (d Directory) overlay(id, name string) ([]byte, error) {
	path := filepath.Join(d.Path(), manifests.OverlaysDir(id), name)
	text, err := manifests.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s can't be read: %w", path, manifests.CauseOf(err))
	}
	return text, nil
}

// SetEdits writes the overlay EditedOverlay of an app, or removes it if the text is empty.
func (d Directory) SetEdits(id string, text []byte) error {
	return d.setOverlay(id, EditedOverlay, text)
}

// SetPin writes the overlay PinOverlay of an app, or removes it if the text is empty.
func (d Directory) SetPin(id string, text []byte) error { return d.setOverlay(id, PinOverlay, text) }

func (d Directory) setOverlay(id, name string, text []byte) error {
	if len(text) == 0 {
		return d.removeOverlay(id, name)
	}
	return d.WriteOverlay(id, name, text)
}

// SetGrants writes which rights an app is granted, installed or not.
func (d Directory) SetGrants(id string, rights []string) error {
	return d.WriteOverlay(id, manifests.GrantsFile, manifests.Grants{Allow: rights}.Text())
}

// WriteOverlay writes an overlay of an app.
func (d Directory) WriteOverlay(id, name string, text []byte) error {
	if err := fits(id); err != nil {
		return err
	}
	_, err := d.change(func(c *change) error { return c.write(manifests.OverlaysDir(id), name, text) })
	return err
}

func (d Directory) removeOverlay(id, name string) error {
	if err := fits(id); err != nil {
		return err
	}
	_, err := d.change(func(c *change) error { return c.remove(manifests.OverlaysDir(id), name) })
	return err
}

// Record writes an overlay by the path of the app's directory of overlays, which is all that a
// pass knows of a file that is missing.
func Record(overlays, name string, text []byte) error {
	id, isOverlays := strings.CutSuffix(filepath.Base(overlays), manifests.OverlaysDir(""))
	if !isOverlays {
		return fmt.Errorf("%s holds no overlays of an app", overlays)
	}
	return At(filepath.Dir(overlays)).WriteOverlay(id, name, text)
}

// Overlays is the directory of an app's overlays, empty if it has none but grants.
func (d Directory) Overlays(id string) string {
	path := filepath.Join(d.Path(), manifests.OverlaysDir(id))
	entries, _ := os.ReadDir(path) // it mostly is absent
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != manifests.GrantsFile }) {
		return ""
	}
	return path
}

// RemoveOverlays removes all overlays of an app.
func (d Directory) RemoveOverlays(id string) error {
	if err := fits(id); err != nil {
		return err
	}
	return durable.RemoveTree(d.Path(), manifests.OverlaysDir(id))
}
