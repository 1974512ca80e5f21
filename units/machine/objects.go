package machine

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// manyObjects is from how many missing objects on one process of Podman creates them. It takes as
// long to start as the commands of two units.
const manyObjects = 4

// create creates the networks and volumes that apps lack, all by one process. Those that it leaves
// out or fails to create, their units create when the apps start, with a process each.
func (m *Machine) create(ctx context.Context, apps []units.App) {
	missing := m.missing(apps)
	if len(missing) < manyObjects || !m.hasPodmanDirs() {
		return
	}
	_ = m.Podman.Serve(ctx, filepath.Join(m.Paths.Runtime, "podman.sock"), func(s podmancli.Service) error {
		var volumes []string
		for _, f := range missing {
			err := createObject(ctx, s, f) // its unit reports why it can't be created
			if kind, name := limits.ObjectOf(f); err == nil && kind == limits.Volume {
				volumes = append(volumes, name)
			}
		}
		return m.Renderer().RecordMade(volumes) // else Podman is asked about each
	})
}

// hasPodmanDirs reports whether a command of Podman ran before. The service would create directories
// that only it can read (Podman 5.8, cmd/podman/system/service.go).
func (m *Machine) hasPodmanDirs() bool {
	for _, dir := range []string{m.Networks, m.Volumes, m.Paths.Runtime} {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// missing returns the files of the objects that do not exist and that create can create.
func (m *Machine) missing(apps []units.App) (list units.Set) {
	exists := m.Limits().Exists
	for _, app := range apps {
		for _, f := range app.Files {
			if isPlainObject(f) && !exists(limits.ObjectOf(f)) {
				list = append(list, f)
			}
		}
	}
	return list
}

// isPlainObject reports whether a file is of a network, or of a volume in Podman's own directory, and
// none of its values is quoted.
func isPlainObject(f units.File) bool {
	switch kind, _ := limits.ObjectOf(f); {
	case kind == "":
		return false
	case kind == limits.Volume && (f.Value("Device") != "" || f.Value("Type") != "" || f.Value("Options") != ""):
		return false
	}
	for _, word := range append(f.Values("Options"), f.Values("Label")...) {
		if strings.HasPrefix(word, `"`) {
			return false
		}
	}
	return true
}

// createObject creates what a file describes, as the command in its unit does.
func createObject(ctx context.Context, s podmancli.Service, f units.File) error {
	kind, name := limits.ObjectOf(f)
	labels := pairs(f.Values("Label"))
	if kind == limits.Volume {
		return s.CreateVolume(ctx, podmancli.Volume{Name: name, Labels: labels})
	}
	return s.CreateNetwork(ctx, podmancli.Network{
		Name: name, Internal: f.Value("Internal") == "true", Options: pairs(f.Values("Options")), Labels: labels,
	})
}

// pairs splits words NAME=VALUE.
func pairs(words []string) map[string]string {
	all := make(map[string]string, len(words))
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		all[name] = value
	}
	return all
}
