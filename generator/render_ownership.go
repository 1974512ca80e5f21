package generator

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// newVolumes is the named volumes of the part, grouped by the container whose user owns them
// while they are new. Podman would give them the owner of the image's directory at the mount
// point. Quadlet's User= and Group= in [Volume] take numbers only, do not cover the content
// that the image includes, and ignore the user namespace.
// Each comes with its seed: the first part that starts makes the volume, also one of another app.
func (c *container) newVolumes() (list []units.NewVolumes, seeds []units.Seed) {
	for i := range c.part.Volumes {
		v := &c.part.Volumes[i]
		owner := c.r.set.App(cmp.Or(v.App, c.app.ID()))
		if v.Name == "" || owner == nil || !c.r.set.Mounts(c.app, v) || owner.Existing(v.Name) != "" || isElsewhere(owner.Document.App.Volumes[v.Name]) {
			continue
		}
		part, mount := firstWriter(owner, v.Name)
		// With chown Podman does it at each start; the ids of userns auto are others
		// each time.
		if part == nil || mount.Chown || strings.HasPrefix(part.UserNS, "auto") {
			continue
		}
		list = addVolume(list, owner, part, mount)
		seeds = addSeed(seeds, owner, v.Name)
	}
	return list, seeds
}

// addSeed adds the seed of a volume.
func addSeed(list []units.Seed, app *manifests.Resolved, volume string) []units.Seed {
	name := units.VolumeName(app.ID(), volume)
	if slices.ContainsFunc(list, func(s units.Seed) bool { return s.Volume == name }) {
		return list
	}
	for _, f := range app.Seeds[volume] {
		s := units.Seed{Volume: name, Path: f.Path, Mode: 0o644, Content: f.Data}
		if f.IsExecutable {
			s.Mode = 0o755
		}
		list = append(list, s)
	}
	return list
}

// isElsewhere reports whether a volume is a separate file system, which has its own owners.
func isElsewhere(o *manifests.VolumeOptions) bool {
	return o != nil && (o.Device != "" || o.Type != "" || o.Options != "")
}

// firstWriter is the part of an app whose user owns a new volume: the first one that can write
// to it, main before the others, or else the first one that mounts it. Mounts of the whole
// volume precede those of a subpath.
func firstWriter(app *manifests.Resolved, volume string) (part *manifests.Part, mount *manifests.Volume) {
	for i := range app.Parts {
		for j := range app.Parts[i].Volumes {
			v := &app.Parts[i].Volumes[j]
			if v.Name != volume || v.App != "" && v.App != app.ID() {
				continue
			}
			if part == nil || rank(v) < rank(mount) {
				part, mount = &app.Parts[i], v
			}
		}
	}
	return part, mount
}

// rank orders mounts of a volume: the lowest decides who owns it.
func rank(v *manifests.Volume) (n int) {
	if v.ReadOnly {
		n++
	}
	if v.Subpath != "" {
		n += 2
	}
	return n
}

// addVolume adds a volume to those of the same container.
func addVolume(list []units.NewVolumes, app *manifests.Resolved, part *manifests.Part, mount *manifests.Volume) []units.NewVolumes {
	by := units.NewVolumes{Image: ImageOf(part), IsNamed: part.User != ""}
	if part.User != "" {
		by.Podman = append(by.Podman, "--user="+part.User)
	}
	if part.UserNS != "" {
		by.Podman = append(by.Podman, "--userns="+part.UserNS)
	}
	v := units.NewVolume{Name: units.VolumeName(app.ID(), mount.Name), Target: mount.Target, Labels: volumeLabels(app, mount.Name), IsOwn: hasOneMount(app, mount.Name)}
	if mount.Subpath != "" { // the image has no content for the volume itself
		v.Target = "/.archipelago/" + mount.Name
	}
	i := slices.IndexFunc(list, func(o units.NewVolumes) bool {
		return o.Image == by.Image && o.IsNamed == by.IsNamed && slices.Equal(o.Podman, by.Podman)
	})
	if i < 0 {
		by.List = []units.NewVolume{v}
		return append(list, by)
	}
	if !slices.ContainsFunc(list[i].List, func(o units.NewVolume) bool { return o.Name == v.Name }) {
		list[i].List = append(list[i].List, v)
	}
	return list
}

// hasOneMount reports whether one part mounts a volume, as a whole, and no other app may mount it.
func hasOneMount(app *manifests.Resolved, volume string) bool {
	if slices.ContainsFunc(app.Shares(), func(s manifests.Share) bool { return s.Volume == volume }) {
		return false
	}
	mounts := 0
	for i := range app.Parts {
		for _, v := range app.Parts[i].Volumes {
			if v.Name != volume || v.App != "" && v.App != app.ID() {
				continue
			}
			if mounts++; v.Subpath != "" {
				return false
			}
		}
	}
	return mounts == 1
}

// volumeLabels is what the unit of a volume puts on it.
func volumeLabels(app *manifests.Resolved, volume string) (list []string) {
	if o := app.Document.App.Volumes[volume]; o != nil {
		for _, k := range slices.Sorted(maps.Keys(o.Labels)) {
			list = append(list, k+"="+o.Labels[k])
		}
	}
	return append(list, "io.archipelago.app="+app.ID())
}

// ImageOf is the name of the image that a part runs.
func ImageOf(part *manifests.Part) string {
	if part.Build != nil {
		return part.Build.Tag
	}
	return part.Image
}
