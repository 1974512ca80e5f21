package generator

import (
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// ContainerName is the name of a part's container: ID or ID.PART.
func ContainerName(app, part string) string { return manifests.ContainerName(app, part) }

// ServiceName is the systemd unit of a part.
func ServiceName(app, part string) string { return units.ServiceName(ContainerName(app, part)) }

// VolumeName is the Podman volume of an app's named volume.
func VolumeName(app, volume string) string { return units.VolumeName(app, volume) }

// VolumeServices is a pattern of the systemd units that make an app's volumes.
func VolumeServices(app string) string { return units.VolumeServices(app) }

// NetworkServices is a pattern of the systemd units that make networks.
const NetworkServices = units.NetworkServices

// NetworkFile is the file of a Podman network of ours.
func NetworkFile(network string) string { return units.NetworkFile(network) }

// IsNetworkName is units.IsNetworkName.
func IsNetworkName(name string) bool { return units.IsNetworkName(name) }

// SecretName is the Podman secret of an app's secret.
func SecretName(app, secret string) string { return units.SecretName(app, secret) }

func containerFile(app, part string) string { return units.ContainerFile(ContainerName(app, part)) }

func recipeFile(app, part string) string { return units.PrestartName(ServiceName(app, part)) }

func appNetwork(app string) network { return networkNamed(units.AppNetwork(app)) }

func capabilityNetwork(name string) network { return networkNamed(units.CapabilityNetwork(name)) }

type network struct{ name, file string }

func networkNamed(name string) network { return network{name, units.NetworkFile(name)} }

// CapabilityNetworkFile is the file of the network of a capability.
func CapabilityNetworkFile(name string) string { return capabilityNetwork(name).file }
