package machine

import (
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// Files is the directory of unit files.
type Files string

// Look returns the files that differ from want, and the content of those that archgen owns.
func (f Files) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	return unitdir.Look(string(f), want)
}

// SeenFiles is the directory of unit files for a daemon, which compares it repeatedly.
type SeenFiles struct {
	Files
	seen *unitdir.Seen
}

// Look is like that of Files, and reads again only files that changed.
func (f SeenFiles) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	return f.seen.Look(string(f.Files), want)
}

// Lost is like that of Files, and lists the directory again only if a name in it changed.
func (f SeenFiles) Lost(want units.Set) units.Set { return f.seen.Lost(string(f.Files), want) }

// Lost returns the files of want that are missing without a trace.
func (f Files) Lost(want units.Set) units.Set { return unitdir.Lost(string(f), want) }

// Sync writes and removes files until the directory matches want.
func (f Files) Sync(want units.Set, owns func(units.Ownership) bool) error {
	_, err := unitdir.Sync(string(f), want, owns)
	return err
}

// Restore writes those of the files that are missing or differ.
func (f Files) Restore(want units.Set) error {
	_, err := unitdir.Restore(string(f), want)
	return err
}

// Read returns the files that archgen owns.
func (f Files) Read() (units.Set, error) {
	entries, err := unitdir.Read(string(f))
	set := make(units.Set, 0, len(entries))
	for _, e := range entries {
		set = append(set, e.File)
	}
	return set, err
}

// Rendered returns apps from their unit files, such as apps whose manifests can't be
// compiled, so that they can still be stopped. A directory that can't be read has none.
func (f Files) Rendered(ids []string) []units.App {
	if len(ids) == 0 {
		return nil
	}
	var list []units.App
	files, _ := f.Read() // a pass has the same error, and reports it
	for _, id := range ids {
		if app := units.AsRendered(id, files.Of(id)); len(app.Parts) > 0 {
			list = append(list, app)
		}
	}
	return list
}
