package generator

import (
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// Names on a machine. Ids and part names hold no dots, so a dot between them
// keeps two apps from ever meeting: `a` with `b-c` and `a-b` with `c` differ.
// Only containers start with "app@": systemd would take any other unit of that
// prefix for an app.

// ContainerName is the name of a part's container: ID or ID.PART.
func ContainerName(app, part string) string { return manifests.ContainerName(app, part) }

// ServiceName is the systemd unit of a part.
func ServiceName(app, part string) string { return "app@" + ContainerName(app, part) + ".service" }

// VolumeName is the Podman volume of an app's named volume.
func VolumeName(app, volume string) string { return app + "." + volume }

// VolumeServices is a pattern of the systemd units that make an app's volumes.
func VolumeServices(app string) string { return serviceOf(volumeFile(app, "*")) + ".service" }

// NetworkServices is a pattern of the systemd units that make networks.
const NetworkServices = "archipelago-*-network.service"

// NetworkFile is the file of a Podman network of ours.
func NetworkFile(network string) string { return "archipelago-" + network + ".network" }

// IsNetworkName reports whether a network may be ours by its name. Those of app.ID and
// cap.NAME are of a version that did not isolate them.
func IsNetworkName(name string) bool {
	kind, _, _ := strings.Cut(name, ".")
	return slices.Contains([]string{"private", "shared", "app", "cap"}, kind)
}

// SecretName is the Podman secret of an app's secret.
func SecretName(app, secret string) string { return app + "." + secret }

func containerFile(app, part string) string { return "app@" + ContainerName(app, part) + ".container" }

func recipeFile(app, part string) string { return units.RecipeName(ServiceName(app, part)) }

func volumeFile(app, volume string) string { return "archipelago-" + app + "." + volume + ".volume" }

func buildFile(app, part string) string {
	return "archipelago-" + ContainerName(app, part) + ".build"
}

func imageFile(app, part string) string {
	return "archipelago-" + ContainerName(app, part) + ".image"
}

// appNetwork is the network of an app alone. It was app.ID before networks were isolated:
// Podman gives no network that exists another option.
func appNetwork(app string) network {
	return network{"private." + app, NetworkFile("private." + app)}
}

// capabilityNetwork is the network that the provider of a capability shares with those
// that require it. It was cap.NAME before.
func capabilityNetwork(name string) network {
	return network{"shared." + name, NetworkFile("shared." + name)}
}

type network struct{ name, file string }

// imageTag is the name of an image that is built for a part.
func imageTag(app *manifests.Resolved, p *manifests.Part) string {
	if p.Build.Tag != "" {
		return p.Build.Tag
	}
	return "localhost/" + ContainerName(app.ID(), p.Name) + ":" + app.Document.App.Version
}

// CapabilityNetworkFile is the file of the network of a capability.
func CapabilityNetworkFile(name string) string { return capabilityNetwork(name).file }
