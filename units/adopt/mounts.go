package adopt

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// mapping matches the mounts of a container with a part of the manifest.
type mapping struct {
	app  string
	part Part
	// volumes is all that Podman has, and whether each is anonymous.
	volumes map[string]bool
	source  Pattern
}

// mounts matches every mount. One that the manifest has no place for is a problem:
// the app would run without its data.
func (m mapping) mounts(d inspected, problems []string) ([]Mount, []string) {
	list := make([]Mount, 0, len(d.Mounts))
	var homeless []string
	for _, mounted := range d.Mounts {
		has := Mount{Source: mounted.Source, Target: path.Clean(mounted.Destination)}
		if mounted.Type == "volume" {
			has.Source = mounted.Name
		}
		anonymous := mounted.Type == "volume" && m.volumes[mounted.Name]
		v, known := m.at(has.Target)
		switch {
		case !known && anonymous:
			// The image declares it, and the manifest does without.
		case !known:
			homeless = append(homeless, has.Source+" at "+has.Target)
		case v.Disposable:
		case anonymous:
			problems = append(problems, copyFirst(d.Name, has, v))
		default:
			var problem string
			if has, problem = m.use(has, v); problem != "" {
				problems = append(problems, problem)
			}
		}
		list = append(list, has)
	}
	if len(homeless) > 0 {
		problems = append(problems, fmt.Sprintf("the manifest has nothing at the places where it mounts %s; give them one under volumes, an overlay in %s.d/ will do, or remove the container if the app does without",
			strings.Join(homeless, ", "), m.app))
	}
	return list, problems
}

// at is the volume that the manifest mounts at a target. Rendered files and secrets
// have known targets too, and replace what was there.
func (m mapping) at(target string) (Volume, bool) {
	for _, v := range m.part.Volumes {
		if v.Target == target {
			return v, true
		}
	}
	return Volume{Disposable: true}, slices.Contains(m.part.Rendered, target)
}

// use makes the source of a mount the app's volume at that target.
func (m mapping) use(has Mount, v Volume) (Mount, string) {
	_, isThere := m.volumes[v.Source]
	switch {
	case v.Source == has.Source:
		if v.Existing != "" {
			has.Volume = v.Name
		}
	case v.Existing != "": // the operator decided
	case !v.Own:
		return has, fmt.Sprintf("it mounts %s at %s, where the manifest has %s", has.Source, has.Target, v.Source)
	case isThere:
		return has, fmt.Sprintf("it mounts %s at %s, and the app has data of its own already, in the volume %s: say which one counts, in %s.d/NAME.yaml: app: {volumes: {%s: {existing: %s}}}",
			has.Source, has.Target, v.Source, m.app, v.Name, has.Source)
	case !m.source.Fits(has.Source):
		return has, fmt.Sprintf("it mounts %s at %s, and a manifest takes only %s", has.Source, has.Target, m.source.Text)
	default:
		has.Volume, has.isNew = v.Name, true
	}
	return has, ""
}

// copyFirst says how to keep what is in an anonymous volume. Podman deletes such
// a volume with each container that has it mounted and was made with --rm, as
// those of units are.
func copyFirst(container string, has Mount, v Volume) string {
	if v.Name == "" {
		return fmt.Sprintf("its data at %s is in the anonymous volume %s, and the manifest has %s there: copy it first", has.Target, has.Source, v.Source)
	}
	return fmt.Sprintf("its data at %s is in an anonymous volume, which Podman would delete with the app's container; copy it first: "+
		"podman stop %s; podman volume create %s; podman volume export %s | podman volume import %s -; podman rename %s %s.old",
		has.Target, container, v.Source, has.Source, v.Source, container, container)
}
