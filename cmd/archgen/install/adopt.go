package install

import (
	"cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/adopt"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Adopter adopts foreign containers for the apps that were compiled last. It writes their
// overlays to the directory of manifests.
func Adopter(podman podmancli.Runner, dir installed.Directory, compiled func() (*compile.Compiled, error)) adopt.Adopter {
	return adopt.Adopter{
		Podman: podman,
		Apps: func() ([]adopt.App, error) {
			k, err := compiled()
			if err != nil {
				return nil, err
			}
			return adoptApps(k.Set), nil
		},
		Source: adopt.Pattern{
			Text: manifests.PatternText("source"),
			Fits: func(text string) bool { return manifests.Fits("source", text) },
		},
		WriteOverlay: func(app string, text []byte) error { return dir.WriteOverlay(app, adopt.OverlayName, text) },
	}
}

// adoptApps is what units/adopt needs from the manifests.
func adoptApps(set *manifests.Set) []adopt.App {
	list := make([]adopt.App, 0, len(set.Apps))
	for _, app := range set.Apps {
		a := adopt.App{ID: app.ID()}
		for _, p := range app.Parts {
			part := adopt.Part{Name: p.Name, Container: manifests.ContainerName(app.ID(), p.Name), Image: p.Image}
			for _, v := range p.Volumes {
				part.Volumes = append(part.Volumes, adoptVolume(set, app, v))
			}
			for _, f := range p.Files {
				part.Rendered = append(part.Rendered, f.Target)
			}
			for _, s := range p.Secrets {
				part.Rendered = append(part.Rendered, s.Target)
			}
			if p.Timezone != "" { // Podman makes these files
				part.Rendered = append(part.Rendered, "/etc/localtime", "/etc/timezone")
			}
			if p.Engine != "" {
				part.Rendered = append(part.Rendered, manifests.EngineSocket)
			}
			a.Parts = append(a.Parts, part)
		}
		list = append(list, a)
	}
	return list
}

func adoptVolume(set *manifests.Set, app *manifests.Resolved, v manifests.Volume) adopt.Volume {
	volume := adopt.Volume{Target: v.Target, Source: v.Path, Name: v.Name, Disposable: v.Disposable}
	if v.Name == "" {
		return volume
	}
	owner := app
	if v.App != "" {
		owner = set.App(v.App)
	}
	if owner == nil { // the manifest has an error, and its app is not started
		volume.Source = units.VolumeName(v.App, v.Name)
		return volume
	}
	existing := owner.Existing(v.Name)
	volume.Source = cmp.Or(existing, units.VolumeName(owner.ID(), v.Name))
	if v.Subpath != "" { // what a container has there can't replace the whole volume
		return adopt.Volume{Target: v.Target, Source: volume.Source + "/" + v.Subpath}
	}
	if volume.Own = owner == app; volume.Own {
		volume.Existing = existing
	}
	return volume
}
