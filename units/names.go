package units

import (
	"slices"
	"strings"
)

// Names on a machine, and what they stand for. Ids and part names contain no dots, so a dot
// between them is unambiguous: the part `b-c` of `a` and the part `c` of `a-b` differ. Only the
// services of containers start with "app@": any other unit with that prefix would be taken for an
// app. All other units start with "archipelago-".
const (
	appPrefix       = "app@"
	ownPrefix       = "archipelago-"
	serviceSuffix   = ".service"
	containerSuffix = ".container"

	// AppServices is a pattern of the services of all apps.
	AppServices = appPrefix + "*" + serviceSuffix
	// NetworkServices is a pattern of the services that make networks.
	NetworkServices = ownPrefix + "*-network" + serviceSuffix
	// ReconcileService runs one pass. NetworkReloadService lets Podman write its firewall rules
	// again.
	ReconcileService     = ownPrefix + "reconcile" + serviceSuffix
	NetworkReloadService = ownPrefix + "netreload" + serviceSuffix
	HealthdService       = ownPrefix + "healthd" + serviceSuffix
	ReconcilePath        = ownPrefix + "reconcile.path"
)

// VolumeBlock is the name of a file in the directory of a volume, beside its data. While it exists, nothing that
// mounts the volume starts. Podman removes it with the volume.
const VolumeBlock = "archipelago.blocked"

// ServiceName is the service of a container, which is named ID or ID.PART.
func ServiceName(container string) string { return appPrefix + container + serviceSuffix }

// ContainerFile is the Quadlet file of a container.
func ContainerFile(container string) string { return appPrefix + container + containerSuffix }

// ServiceOf is the service that Quadlet makes of a container file, empty for any other file.
func ServiceOf(file string) string {
	name, isContainer := strings.CutSuffix(file, containerSuffix)
	if !isContainer {
		return ""
	}
	return name + serviceSuffix
}

// ContainerOf is the container of an app's service: app@ID.PART.service runs ID.PART.
func ContainerOf(service string) string {
	return strings.TrimPrefix(strings.TrimSuffix(service, serviceSuffix), appPrefix)
}

// AppOf is the id of the app that a service belongs to, empty for any other unit.
func AppOf(service string) string {
	name, isApp := strings.CutPrefix(strings.TrimSuffix(service, serviceSuffix), appPrefix)
	if !isApp {
		return ""
	}
	id, _, _ := strings.Cut(name, ".")
	return id
}

// pullPrefix and an id name the unit that acquires the images and secrets that an app lacks before
// it starts.
const pullPrefix = ownPrefix + "pull@"

// PullOf is the unit that acquires what an app lacks.
func PullOf(app string) string { return pullPrefix + app + serviceSuffix }

// AppOfPull is the app of such a unit, empty for any other unit.
func AppOfPull(unit string) string {
	app, isPull := strings.CutPrefix(strings.TrimSuffix(unit, serviceSuffix), pullPrefix)
	if !isPull {
		return ""
	}
	return app
}

// TrialOf is the unit that continues the update of an app, and ends its trial if that is over or something
// failed in it.
func TrialOf(app string) string { return ownPrefix + "trial@" + app + serviceSuffix }

// RecreateOf is the unit that removes a container and starts its service.
func RecreateOf(service string) string {
	return ownPrefix + "recreate@" + strings.TrimPrefix(service, appPrefix)
}

// PrestartName is the recipe of the part with a service.
func PrestartName(service string) string { return ownPrefix + ContainerOf(service) + PrestartSuffix }

// VolumeName is the Podman volume of an app's named volume.
func VolumeName(app, volume string) string { return app + "." + volume }

// VolumeUnitFile is the Quadlet file of an app's named volume.
func VolumeUnitFile(app, volume string) string {
	return ownPrefix + VolumeName(app, volume) + ".volume"
}

// VolumeService is the service that makes a volume of ours.
func VolumeService(volume string) string {
	return ObjectService(ownPrefix+volume+".volume") + serviceSuffix
}

// VolumeServices is a pattern of the services that make the volumes of an app.
func VolumeServices(app string) string {
	return ObjectService(VolumeUnitFile(app, "*")) + serviceSuffix
}

// ObjectService is the service, without its suffix, that Quadlet makes of a file other than a
// container's: NAME-volume for NAME.volume.
func ObjectService(file string) string {
	i := strings.LastIndexByte(file, '.')
	return file[:i] + "-" + file[i+1:]
}

// SecretName is the Podman secret of an app's secret.
func SecretName(app, secret string) string { return app + "." + secret }

// BuildFile is the Quadlet file that builds the image of a container.
func BuildFile(container string) string { return ownPrefix + container + ".build" }

// ImageFile is the Quadlet file that pulls the image of a container.
func ImageFile(container string) string { return ownPrefix + container + ".image" }

// AppNetwork is a network of one app; name is empty for the one that every app has. Before
// networks were isolated that was app.ID: Podman can't change an option of an existing network,
// so the name of an internal one, which leads nowhere else, is another.
func AppNetwork(app, name string, isInternal bool) string {
	kind := "private."
	if isInternal {
		kind = "internal."
	}
	if name != "" {
		app += "." + name
	}
	return kind + app
}

// CapabilityNetwork is the network that the provider of a capability shares with its consumers. It
// was cap.NAME before.
func CapabilityNetwork(capability string) string { return "shared." + capability }

// NetworkFile is the Quadlet file of a network.
func NetworkFile(network string) string { return ownPrefix + network + ".network" }

// IsNetworkName reports whether a network may be ours, judging by its name.
func IsNetworkName(name string) bool {
	kind, _, _ := strings.Cut(name, ".")
	return slices.Contains([]string{"private", "internal", "shared", "app", "cap"}, kind)
}

// ObjectOf is Podman's name of the object that a Quadlet file with a suffix makes. It returns any
// other name unchanged.
func ObjectOf(name, suffix string) string {
	stem, isFile := strings.CutSuffix(name, suffix)
	if !isFile {
		return name
	}
	return strings.TrimPrefix(stem, ownPrefix)
}
