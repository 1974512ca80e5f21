package machine

import (
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// Files is the unit files of a directory.
type Files string

// Look says which files are not as they should be, and what those that are ours
// are like.
func (f Files) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	return unitdir.Look(string(f), want)
}

// Lost is those of which nothing is left.
func (f Files) Lost(want units.Set) units.Set { return unitdir.Lost(string(f), want) }

// Sync makes them so.
func (f Files) Sync(want units.Set, owns func(units.Ownership) bool) error {
	_, err := unitdir.Sync(string(f), want, owns)
	return err
}

// Read lists the files that are ours.
func (f Files) Read() (units.Set, error) {
	entries, err := unitdir.Read(string(f))
	set := make(units.Set, 0, len(entries))
	for _, e := range entries {
		set = append(set, e.File)
	}
	return set, err
}

// Rendered returns apps as they were rendered last, such as those whose manifests can't be
// compiled: they can still be stopped. Directories that can't be read have none.
func (f Files) Rendered(ids []string) []units.App {
	var list []units.App
	files, _ := f.Read() // a pass has the same error, and reports it
	for _, id := range ids {
		if app := units.AsRendered(id, files.Of(id)); len(app.Parts) > 0 {
			list = append(list, app)
		}
	}
	return list
}
