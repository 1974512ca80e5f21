package doctor

import "slices"

// checks is all checks, in the order in which to fix their problems: a later one may
// depend on an earlier one.
var checks = slices.Concat([]check{
	{name: "podman", about: "the version of Podman", run: checkPodman},
	{name: "generator", about: "Podman's generator", run: checkGenerator},
	{name: "systemd", about: "the version of systemd", run: checkSystemd},
	{name: "runtime directory", about: "XDG_RUNTIME_DIR", rootless: true, run: checkRuntimeDir},
	{name: "manager", about: "the systemd manager", run: checkManager},
	{name: "lingering", about: "whether apps start at boot", rootless: true, run: checkLingering},
	{name: "user ids", about: "the ids of the user's containers", rootless: true, run: checkSubIDs},
	{name: "pause process", about: "Podman's pause process", rootless: true, run: checkPause},
	{name: "cgroups", about: "control groups", run: checkCgroups},
	{name: "journal", about: "the user's journal", rootless: true, run: checkJournal},
	{name: "disk", about: "the space for images", run: checkDisk},
	{name: "archgen", about: "whether units can find archgen", run: checkSelf},
	{name: "manifests", about: "the manifests of the apps", run: checkManifests},
	{name: "unit files", about: "the directory of unit files", run: checkUnitFiles},
	{name: "networks", about: "whether apps are isolated from each other", run: checkNetworks},
	{name: "objects", about: "whether Podman's networks and volumes are as in the unit files", run: checkObjects},
	{name: "quadlet", about: "whether Podman accepts the unit files", run: checkQuadlet},
	{name: "secrets", about: "how secrets are stored", run: checkSecrets},
	{name: "ports", about: "the ports of the apps", run: checkPorts},
	{name: "healthd", about: "whether healthd runs", run: checkHealthd},
	{name: "watches", about: "whether changes are noticed immediately", run: checkWatches},
	{name: "users", about: "whether users run the same apps", rootful: true, run: checkUsers},
	{name: "stop timeout", about: "how long a shutdown waits for apps", rootless: true, run: checkStopTimeout},
}, limitChecks())
