package quadlet

import (
	"path"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
)

// declare adds a volume or network to the tree of Compose, once. It reports whether it is new.
func (u *unit) declare(kind, name, mark string, e entry) bool {
	if u.objects[kind+" "+name] {
		return false
	}
	u.objects[kind+" "+name] = true
	options := child(child(u.tree, kind, e), name, e)
	if mark != "" {
		podmanrun.Put(options, mark, scalar("true", e.at))
	}
	return true
}

// volumeFile is the volume of a .volume file. Podman has the volume already, where the units have
// run, so the app takes it over.
func (u *unit) volumeFile(name string, e entry) string {
	f := u.find(name)
	stem := strings.TrimSuffix(name, ".volume")
	if f != nil && f.isRendered() {
		return u.renderedVolume(f)
	}
	if u.declare("volumes", stem, "external", e) {
		full := "systemd-" + stem
		if f != nil {
			if given := f.value("Volume", "VolumeName"); given != "" {
				full = given
			}
			u.each(f, volumeRows)
		} else {
			u.report(importer.MissingFile, e, "%s does not exist beside the file", name)
		}
		volume := u.tree.Get("volumes").Get(stem)
		podmanrun.Put(volume, "name", scalar(full, e.at))
	}
	return stem
}

// volumeOption is an option of a volume that exists with it already.
func (u *unit) volumeOption(e entry) {
	u.report(importer.NoMeaning, e, "the volume exists with its %s", strings.ToLower(e.key))
}

// networkFile is the network of a .network file.
func (u *unit) networkFile(name string, e entry) string {
	f := u.find(name)
	stem := strings.TrimSuffix(name, ".network")
	if f != nil && f.isRendered() {
		return u.renderedNetwork(f, e)
	}
	if f == nil {
		u.declare("networks", stem, "external", e)
		return stem
	}
	if !u.declare("networks", stem, "", e) {
		return stem
	}
	network := &unit{app: u.app, file: f, name: stem, service: u.tree.Get("networks").Get(stem)}
	network.readVariables()
	network.each(f, networkRows)
	return stem
}

// networkOption is an option of a network. archgen isolates networks from each other.
func (u *unit) networkOption(e entry) {
	if strings.HasPrefix(e.value, "isolate=") {
		u.report(importer.NoMeaning, e, "networks of apps are isolated")
		return
	}
	u.report(importer.NetworkOption, e, lossText[importer.NetworkOption], e.key)
}

// imageFile reads the file that builds or pulls the image.
func (u *unit) imageFile(name string, e entry) {
	f := u.find(name)
	if f == nil {
		u.report(importer.MissingFile, e, "%s does not exist beside the file", name)
		return
	}
	image := &unit{app: u.app, file: f, name: u.name, service: u.service}
	image.readVariables()
	// What the rows set is of this part.
	u.say(func(*importer.Draft) { image.part = u.part })
	if f.kind == ".build" {
		image.build(e)
		image.each(f, buildRows)
		return
	}
	image.each(f, imageRows)
	u.set("prefetch", e, func(c *manifests.Container) { c.Prefetch = true })
}

func (u *unit) pulledImage(e entry) { u.put("image", u.plain(e), e) }

// build says where the image is built. A relative path begins at the files.
func (u *unit) build(e entry) {
	context, containerfile := u.value("Build", "SetWorkingDirectory"), u.specified(u.last("Build", "File"))
	switch context {
	case "", "file", "unit":
		context = "."
		if path.IsAbs(containerfile) {
			context = path.Dir(containerfile)
		}
	default:
		context = u.specified(u.last("Build", "SetWorkingDirectory"))
	}
	if strings.Contains(context, "://") {
		u.report(importer.BuildSource, e, "the image is not built from a directory of this machine")
		return
	}
	if !path.IsAbs(context) {
		context = path.Join(u.Project, context)
	}
	containerfile = strings.TrimPrefix(containerfile, context+"/")
	u.put("image", "localhost/"+u.stem+":latest", e) // which the build replaces
	u.report(importer.LocalBuild, e, "the image is built from %s, which has to stay there", context)
	u.say(func(d *importer.Draft) {
		u.part.Image = ""
		u.part.Build = &manifests.Build{Context: context, Containerfile: containerfile}
		d.Note(u.part.Path+".build", e.at)
		d.Origin(u.part.Path+".build", e.at, e.id())
	})
}

func (u *unit) imageTag(e entry) {
	tag := u.plain(e)
	u.say(func(*importer.Draft) {
		if u.part.Build != nil {
			u.part.Build.Tag = tag
			u.part.Image = ""
		}
	})
}

func (u *unit) buildTarget(e entry) {
	target := u.plain(e)
	u.say(func(*importer.Draft) {
		if u.part.Build != nil {
			u.part.Build.Target = target
		}
	})
}

func (u *unit) buildArg(e entry) {
	name, value, _ := strings.Cut(u.plain(e), "=")
	u.say(func(*importer.Draft) {
		if u.part.Build == nil {
			return
		}
		if u.part.Build.Args == nil {
			u.part.Build.Args = map[string]string{}
		}
		u.part.Build.Args[name] = value
	})
}
