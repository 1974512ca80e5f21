package generator

import (
	"maps"
	"path"
	"slices"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// appLabel names the app of a Podman object for other tools.
func appLabel(w *writer, app string) {
	w.put(origin{index: -1}, "Label", "io.archipelago.app="+app)
}

// perStart is the first version of which the service of a network or a volume may run
// at each start: before, it has RemainAfterExit=yes whatever its file says.
var perStart = Version{5, 3}

// object writes the head of a file of a network or a volume. Each start of an app that requires
// the object may start its service, so the service has no limit of starts.
func object(w *writer, d description) {
	w.begin("Unit")
	w.put(d.origin, "Description", d.text)
	w.put(origin{index: -1}, "StartLimitIntervalSec", "0")
}

// unless keeps a service from starting while a file exists in a directory that is known: condition is the
// directive of systemd. A network or volume that exists is so not made again, since Podman would do nothing
// for it.
func unless(w *writer, condition, dir, name string) {
	if at := dir + "/" + name; dir != "" && representable(absentPath, at) == nil {
		w.assign(origin{index: -1}, condition, absentPath, at)
	}
}

// eachStart makes a service run at each start of an app that requires it, including automatic
// restarts. It so recreates an object that was removed while the app was stopped, for example
// by podman system prune.
func eachStart(w *writer) {
	if w.target.Podman.before(perStart) {
		return
	}
	none := origin{index: -1}
	w.begin("Service")
	w.put(none, "RemainAfterExit", "no")
	w.put(none, "TimeoutStartSec", "5m0s")
}

// tolerateFailure lets an app start although its network or volume could not be created. The
// app then fails, and systemd restarts it, which it does not do for a unit whose requirement
// failed. 125 is Podman's own error; 203 is that of systemd without Podman.
func tolerateFailure(w *writer) {
	if !w.target.Podman.before(perStart) {
		w.put(origin{index: -1}, "SuccessExitStatus", "125 203")
	}
}

// network renders a private network of an app.
func (r *renderer) network(app *manifests.Resolved, name string) {
	described := description{origin{base: "app", field: "name", index: -1}, "Network of " + app.Document.App.Name}
	if name != manifests.OwnNetwork {
		described.text = "Network " + name + " of " + app.Document.App.Name
	}
	settings := func(w *writer) {
		if app.IsInternal(name) {
			w.put(origin{base: "app", field: "internal_networks", index: -1}, "Internal", "true")
		}
		appLabel(w, app.ID())
	}
	r.networkFile(app, appNetwork(app, name), described, settings, noMark)
}

// capability renders the network on which a capability is offered and used.
func (r *renderer) capability(name string) {
	none := origin{index: -1}
	r.networkFile(nil, capabilityNetwork(name), description{none, "Network of the capability " + name},
		func(w *writer) { w.put(none, "Label", "io.archipelago.capability="+name) },
		func(w *writer) { w.put(none, "Capability", name) })
}

// description is the description of a unit and its origin.
type description struct {
	origin origin
	text   string
}

// networkFile renders a .network file. settings writes the keys of the network with its label,
// mark its ownership section.
func (r *renderer) networkFile(app *manifests.Resolved, n network, d description, settings, mark func(*writer)) {
	w := r.file(app)
	none := origin{index: -1}
	object(w, d)
	// A file that lost its content in a power cut is no network: Podman writes it again.
	unless(w, "ConditionFileNotEmpty", w.target.Places.Networks, n.name+".json")
	w.begin("Network")
	w.put(none, "NetworkName", n.name)
	w.put(none, "ServiceName", units.ObjectService(n.file)) // the default, which a later Podman may change
	// Without it Podman routes between its networks: every container reaches every port of
	// every other one, published or not.
	w.put(none, "Options", "isolate=strict")
	settings(w)
	eachStart(w)
	tolerateFailure(w)
	quadlet(w, false)
	r.close(n.file, "Network", app, mark)
}

// volume renders a .volume file.
func (r *renderer) volume(app *manifests.Resolved, name string) {
	w := r.file(app)
	none := origin{index: -1}
	at := origin{base: "app.volumes." + name, index: -1}
	file := units.VolumeUnitFile(app.ID(), name)
	object(w, description{none, "Volume " + name + " of " + app.Document.App.Name})
	o := app.Document.App.Volumes[name]
	if !isElsewhere(o) {
		unless(w, "ConditionPathExists", w.target.Places.Volumes, units.VolumeName(app.ID(), name))
	}
	w.begin("Volume")
	w.put(at, "VolumeName", units.VolumeName(app.ID(), name))
	w.put(none, "ServiceName", units.ObjectService(file))
	if o != nil {
		optional(w, at, "device", "Device", o.Device)
		optional(w, at, "type", "Type", o.Type)
		optional(w, at, "options", "Options", o.Options)
		for _, k := range slices.Sorted(maps.Keys(o.Labels)) {
			w.put(origin{base: at.base, field: "labels." + k, index: -1}, "Label", k+"="+o.Labels[k])
		}
	}
	appLabel(w, app.ID())
	eachStart(w)
	if !isElsewhere(o) { // else Podman would make another one with the container
		tolerateFailure(w)
	}
	quadlet(w, false)
	r.close(file, "Volume", app, noMark)
}

// optional writes a value that may have been left out.
func optional(w *writer, at origin, field, key, value string) {
	if value != "" {
		at.field = field
		w.put(at, key, value)
	}
}

// build renders the .build file of a part and returns its digest.
func (r *renderer) build(app *manifests.Resolved, p *manifests.Part) string {
	w := r.file(app)
	at := origin{base: p.Path + ".build", index: -1}
	file := units.BuildFile(manifests.ContainerName(app.ID(), p.Name))
	context := p.Build.Context
	if !path.IsAbs(context) {
		context = path.Join(app.Dir, context)
	}
	w.begin("Unit")
	w.put(at, "Description", "Image of "+app.Document.App.Name)
	w.begin("Build")
	w.put(at, "ImageTag", p.Build.Tag)
	w.put(origin{index: -1}, "ServiceName", units.ObjectService(file))
	w.put(origin{base: at.base, field: "context", index: -1}, "SetWorkingDirectory", context)
	w.put(origin{base: at.base, field: "containerfile", index: -1}, "File", path.Join(context, p.Build.Containerfile))
	optional(w, at, "target", "Target", p.Build.Target)
	for _, k := range slices.Sorted(maps.Keys(p.Build.Args)) {
		w.put(origin{base: at.base, field: "args." + k, index: -1}, "BuildArg", k+"="+p.Build.Args[k])
	}
	quadlet(w, app.Document.App.WaitOnline)
	return r.close(file, "Build", app, noMark)
}

// image renders the .image file of a part and returns its digest. It pulls only
// what is missing: a node that is offline has to be able to start what it has.
func (r *renderer) image(app *manifests.Resolved, p *manifests.Part) string {
	w := r.file(app)
	at := origin{base: p.Path, index: -1}
	file := units.ImageFile(manifests.ContainerName(app.ID(), p.Name))
	w.begin("Unit")
	w.put(at, "Description", "Image of "+app.Document.App.Name)
	w.begin("Image")
	w.put(origin{base: p.Path, field: "image", index: -1}, "Image", p.Image)
	w.put(origin{base: p.Path, field: "prefetch", index: -1}, "Policy", p.Pull)
	w.put(origin{index: -1}, "ServiceName", units.ObjectService(file))
	quadlet(w, app.Document.App.WaitOnline)
	return r.close(file, "Image", app, noMark)
}
