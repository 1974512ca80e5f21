package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
)

// podmanVolumes tells of every volume whether it is anonymous.
func (l legacy) podmanVolumes(ctx context.Context) (map[string]bool, error) {
	var list []struct {
		Name      string
		Anonymous bool
	}
	if err := l.podman.JSON(ctx, &list, "volume", "ls", "--format=json"); err != nil {
		return nil, err
	}
	volumes := make(map[string]bool, len(list))
	for _, v := range list {
		volumes[v.Name] = v.Anonymous
	}
	return volumes, nil
}

// mapping finds for what a container has mounted the place in a manifest.
type mapping struct {
	set  *manifests.Set
	app  *manifests.Resolved
	part *manifests.Part
	// volumes is all there are, and whether each is anonymous.
	volumes map[string]bool
}

// mounts goes through everything that a container has mounted. What the manifest
// has no use for is a problem: the app would run without its data.
func (m mapping) mounts(d podmanContainer, problems []string) ([]legacyMount, []string) {
	list := make([]legacyMount, 0, len(d.Mounts))
	var homeless []string
	for _, mounted := range d.Mounts {
		lm := legacyMount{Source: mounted.Source, Target: path.Clean(mounted.Destination)}
		if mounted.Type == "volume" {
			lm.Source = mounted.Name
		}
		anonymous := mounted.Type == "volume" && m.volumes[mounted.Name]
		v, known := m.at(lm.Target)
		switch {
		case !known && anonymous:
			// Nobody chose it: the image asks for it, and the manifest does without.
		case !known:
			homeless = append(homeless, lm.Source+" at "+lm.Target)
		case v.Disposable:
		case anonymous:
			problems = append(problems, m.copyFirst(d.Name, lm, v))
		default:
			var problem string
			if lm, problem = m.use(lm, v); problem != "" {
				problems = append(problems, problem)
			}
		}
		list = append(list, lm)
	}
	if len(homeless) > 0 {
		problems = append(problems, fmt.Sprintf("the manifest has nothing at the places where it mounts %s; give them one under volumes, an overlay in %s.d/ will do, or remove the container if the app does without",
			strings.Join(homeless, ", "), m.app.ID()))
	}
	return list, problems
}

// at is the volume that the manifest mounts at a place. Rendered files and
// secrets are known places, too, and need nothing of what was there.
func (m mapping) at(target string) (manifests.Volume, bool) {
	for _, v := range m.part.Volumes {
		if v.Target == target {
			return v, true
		}
	}
	isFile := slices.ContainsFunc(m.part.Files, func(f manifests.File) bool { return f.Target == target })
	isSecret := slices.ContainsFunc(m.part.Secrets, func(s manifests.SecretMount) bool { return s.Target == target })
	return manifests.Volume{Disposable: true}, isFile || isSecret
}

// use lets the app's volume be what the container has mounted in its place.
func (m mapping) use(lm legacyMount, v manifests.Volume) (legacyMount, string) {
	have, isOwn := m.source(v)
	existing := ""
	if isOwn {
		existing = m.app.Existing(v.Name)
	}
	_, isThere := m.volumes[have]
	switch {
	case have == lm.Source:
		if existing != "" {
			lm.Volume = v.Name
		}
	case existing != "": // a person decided
	case !isOwn:
		return lm, fmt.Sprintf("it mounts %s at %s, where the manifest has %s", lm.Source, lm.Target, have)
	case isThere:
		return lm, fmt.Sprintf("it mounts %s at %s, and the app has data of its own already, in the volume %s: say which one counts, in %s.d/NAME.yaml: app: {volumes: {%s: {existing: %s}}}",
			lm.Source, lm.Target, have, m.app.ID(), v.Name, lm.Source)
	case !manifests.Fits("source", lm.Source):
		return lm, fmt.Sprintf("it mounts %s at %s, and a manifest takes only %s", lm.Source, lm.Target, manifests.PatternText("source"))
	default:
		lm.Volume, lm.isNew = v.Name, true
	}
	return lm, ""
}

// source is what the manifest mounts, and whether that is a named volume of the
// app itself.
func (m mapping) source(v manifests.Volume) (source string, isOwn bool) {
	if v.Name == "" {
		return v.Path, false
	}
	owner := m.app
	if v.App != "" {
		owner = m.set.App(v.App)
	}
	if existing := owner.Existing(v.Name); existing != "" {
		return existing, owner == m.app
	}
	return generator.VolumeName(owner.ID(), v.Name), owner == m.app
}

// copyFirst says how to keep what is in an anonymous volume. Podman deletes such
// a volume with each container that has it mounted and was made with --rm, as
// those of units are.
func (m mapping) copyFirst(container string, lm legacyMount, v manifests.Volume) string {
	to, _ := m.source(v)
	if v.Name == "" {
		return fmt.Sprintf("its data at %s is in the anonymous volume %s, and the manifest has %s there: copy it first", lm.Target, lm.Source, to)
	}
	return fmt.Sprintf("its data at %s is in an anonymous volume, which Podman would delete with the app's container; copy it first: "+
		"podman stop %s; podman volume create %s; podman volume export %s | podman volume import %s -; podman rename %s %s.old",
		lm.Target, container, to, lm.Source, to, container, container)
}
