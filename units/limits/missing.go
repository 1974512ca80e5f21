package limits

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// Missing is the objects of apps that do not exist yet, or not any more: the containers that
// are down or that systemd starts again after an exit, and the volumes and networks that exists
// does not know. shared is the networks that several apps use.
func Missing(apps []units.App, shared units.Set, have map[string]units.Unit, exists func(kind, name string) bool) Objects {
	var o Objects
	files := slices.Clone(shared)
	for _, app := range apps {
		files = append(files, app.Files...)
		for _, p := range app.Parts {
			if u := have[p.Service]; u.Active != units.Active && (!u.IsComing() || u.IsRetried()) {
				file, _ := app.Files.Find(p.File)
				o.Containers++
				o.Volumes += anonymous(file)
			}
		}
	}
	for _, f := range files {
		switch kind, name := ObjectOf(f); {
		case kind == "" || exists(kind, name):
		case kind == Volume:
			o.Volumes++
		case kind == Network:
			o.Networks++
		}
	}
	return o
}

// ObjectOf is the kind and the name of the object that a file describes, empty if it describes none.
func ObjectOf(f units.File) (kind, name string) {
	switch filepath.Ext(f.Name) {
	case ".volume":
		return Volume, f.Value("VolumeName")
	case ".network":
		return Network, f.Value("NetworkName")
	}
	return "", ""
}

// anonymous is the number of volumes without a name that Podman makes for a container.
func anonymous(file units.File) (n int) {
	for _, mount := range file.Values("Volume") {
		if !strings.Contains(mount, ":") {
			n++
		}
	}
	return n
}

// The kinds of objects.
const (
	Volume  = "volume"
	Network = "network"
)
