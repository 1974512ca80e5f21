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
	// volumes is all volumes of Podman, and whether each is anonymous.
	volumes map[string]bool
	source  Pattern
}

// mounts matches every mount. A mount for which the manifest has no volume is a problem: the app
// would run without its data.
func (m mapping) mounts(d inspected, problems []string) ([]Mount, []string) {
	list := make([]Mount, 0, len(d.Mounts))
	var homeless []string
	for _, mounted := range d.Mounts {
		has := Mount{Source: mounted.Source, Target: path.Clean(mounted.Destination)}
		if mounted.Type == "volume" {
			has.Source = path.Join(mounted.Name, mounted.SubPath)
		}
		anonymous := mounted.Type == "volume" && m.volumes[mounted.Name]
		v, known := m.at(has.Target)
		switch {
		case !known && anonymous:
			// The image declares it, and the manifest does not use it.
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
		problems = append(problems, fmt.Sprintf("the manifest has no volume for %s; add one under volumes, for example in an overlay in %s.d/, or remove the container if the app does not need it",
			strings.Join(homeless, ", "), m.app))
	}
	return list, problems
}

// at is the volume that the manifest mounts at a target. The targets of rendered files and secrets
// are known, too; these replace what the container mounted.
func (m mapping) at(target string) (Volume, bool) {
	for _, v := range m.part.Volumes {
		if v.Target == target {
			return v, true
		}
	}
	return Volume{Disposable: true}, slices.Contains(m.part.Rendered, target)
}

// use makes the source of a mount the source of the app's volume at that target.
func (m mapping) use(has Mount, v Volume) (Mount, string) {
	_, isThere := m.volumes[v.Source]
	switch {
	case v.Source == has.Source:
		if v.Existing != "" {
			has.Volume = v.Name
		}
	case v.Existing != "": // the operator has decided
	case !v.Own:
		return has, fmt.Sprintf("it mounts %s at %s, but the manifest mounts %s there", has.Source, has.Target, v.Source)
	case isThere:
		return has, fmt.Sprintf("it mounts %s at %s, but the app already has data in the volume %s; choose one of them in %s.d/NAME.yaml: app: {volumes: {%s: {existing: %s}}}",
			has.Source, has.Target, v.Source, m.app, v.Name, has.Source)
	case !m.source.Fits(has.Source):
		return has, fmt.Sprintf("it mounts %s at %s, but a manifest accepts only %s", has.Source, has.Target, m.source.Text)
	default:
		has.Volume, has.isNew = v.Name, true
	}
	return has, ""
}

// copyFirst says how to keep the data of an anonymous volume. Podman deletes such a volume with
// each container that mounts it and was created with --rm, which those of units are.
func copyFirst(container string, has Mount, v Volume) string {
	if v.Name == "" {
		return fmt.Sprintf("its data at %s is in the anonymous volume %s, but the manifest mounts %s there; copy the data first", has.Target, has.Source, v.Source)
	}
	return fmt.Sprintf("its data at %s is in an anonymous volume, which Podman would delete with the app's container; copy the data first: "+
		"podman stop %s; podman volume create %s; podman volume export %s | podman volume import %s -; podman rename %s %s.old",
		has.Target, container, v.Source, has.Source, v.Source, container, container)
}
