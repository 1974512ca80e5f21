package updates

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// Conversion is what a release does to the data of its app. The zero value is that it converts none.
type Conversion struct {
	// Converts: afterwards the installed release can't read the data.
	Converts bool
	// Writers is the images with which the release writes the data, and the installed one does not, if it
	// declares no format: it may convert the data.
	Writers []string
	// Format is the format of the data now, 0 if it is unknown, and Reads the newest one that the
	// installed release reads.
	Format, Reads int
	// Volumes is the volumes that have the data.
	Volumes []string
	// OneWay is why they are not saved before, empty if they are. Unsaved is the same for data that the release
	// may convert.
	OneWay, Unsaved string
}

// Harm is why the data of some apps is not restored.
const Harm = "older data would do harm (update.restore: never)"

// IsHarmed reports whether the installed manifest or the release to install says that older data does harm.
func (s *Survey) IsHarmed(a *App) bool {
	return isHarmed(a.Staged.Set.App(a.ID)) || isHarmed(s.Compiled.Set.App(a.ID))
}

// HarmsWhenRestored reports whether the installed manifest of an app says that older data does harm.
func (s *Survey) HarmsWhenRestored(id string) bool {
	return isHarmed(s.Compiled.Set.App(id))
}

func isHarmed(app *manifests.Resolved) bool {
	return app != nil && app.Document.App.Update.Restore == "never"
}

// Conversion returns what the release to install does to the data. An app that has never declared a
// format counts as one of format 1: to declare that one converts nothing.
func (s *Survey) Conversion(a *App) (c Conversion) {
	is, was := a.Staged.Set.App(a.ID), s.Compiled.Set.App(a.ID)
	if is == nil || was == nil {
		return c
	}
	c.Reads = max(was.Document.App.Data.Format, 1)
	format, err := s.Store.DataFormat(a.ID)
	c.Format = format
	switch declared := is.Document.App.Data.Format; {
	case err != nil:
		return c
	case declared == 0:
		c.Writers = newWriters(is, was)
	default:
		c.Converts = declared > max(format, 1)
	}
	if !c.Converts && len(c.Writers) == 0 {
		return c
	}
	why := ""
	for _, name := range was.VolumeNames() {
		c.Volumes = append(c.Volumes, units.VolumeName(a.ID, name))
		if was.Existing(name) != "" {
			why = "the volume " + name + " is not archgen's, so it takes no snapshot"
		}
	}
	switch {
	case s.IsHarmed(a):
		why = Harm
	case len(c.Volumes) == 0 && c.Converts:
		why = "it has no volume of which there could be a snapshot"
	case len(c.Volumes) == 0: // nor any data
		c.Writers = nil
	}
	if c.Converts {
		c.OneWay = why
	} else {
		c.Unsaved = cmp.Or(why, s.keptOf(a))
	}
	return c
}

// newWriters is the images with which a release writes to volumes of its app, and the one before does not.
func newWriters(is, was *manifests.Resolved) []string {
	earlier := writers(was)
	return slices.DeleteFunc(writers(is), func(image string) bool { return slices.Contains(earlier, image) })
}

func writers(app *manifests.Resolved) (images []string) {
	for i := range app.Parts {
		p := &app.Parts[i]
		writes := func(v manifests.Volume) bool { return app.IsOwn(v) && !v.ReadOnly }
		if image := generator.ImageOf(p); slices.ContainsFunc(p.Volumes, writes) && !slices.Contains(images, image) {
			images = append(images, image)
		}
	}
	return images
}

// keptOf is why no other snapshot replaces the one that is kept: it is of the data of the installed
// release, which does not serve with what a later one has left.
func (s *Survey) keptOf(a *App) string {
	app, _ := s.Want.Find(a.ID)
	if a.Origin == nil || app.IsUp(s.Units) {
		return ""
	}
	k, err := s.Store.KeptSnapshot(a.ID)
	if err != nil || k == nil || !k.IsOf(*a.Origin) {
		return ""
	}
	return fmt.Sprintf("it does not serve, and the snapshot of %s is of its data (archgen update --undo --with-data %s)", k.At.Local().Format(time.DateTime), a.ID)
}
