package generator

import (
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// serviceName is the systemd unit of a part.
func serviceName(app, part string) string {
	return units.ServiceName(manifests.ContainerName(app, part))
}

func containerFile(app, part string) string {
	return units.ContainerFile(manifests.ContainerName(app, part))
}

func recipeFile(app, part string) string { return units.PrestartName(serviceName(app, part)) }

// appNetwork is a private network of an app, by its name in the manifest.
func appNetwork(app *manifests.Resolved, name string) network {
	isInternal := app.IsInternal(name)
	if name == manifests.OwnNetwork {
		name = ""
	}
	return networkNamed(units.AppNetwork(app.ID(), name, isInternal))
}

func capabilityNetwork(name string) network { return networkNamed(units.CapabilityNetwork(name)) }

type network struct{ name, file string }

func networkNamed(name string) network { return network{name, units.NetworkFile(name)} }
