package main

// checks is everything that doctor looks at, in the order in which it is mended:
// what comes later may need what comes before.
var checks = []checkup{
	{name: "podman", what: "the version of Podman", look: checkPodman},
	{name: "generator", what: "Podman's generator", look: checkGenerator},
	{name: "runtime directory", what: "XDG_RUNTIME_DIR", rootless: true, look: checkRuntimeDir},
	{name: "manager", what: "the systemd manager", look: checkManager},
	{name: "lingering", what: "whether apps start at boot", rootless: true, look: checkLingering},
	{name: "user ids", what: "the ids of the user's containers", rootless: true, look: checkSubIDs},
	{name: "pause process", what: "Podman's pause process", rootless: true, look: checkPause},
	{name: "cgroups", what: "control groups", look: checkCgroups},
	{name: "journal", what: "the user's journal", rootless: true, look: checkJournal},
	{name: "disk", what: "the space for images", look: checkDisk},
	{name: "archgen", what: "whether units find archgen", look: checkSelf},
	{name: "manifests", what: "the manifests of the apps", look: checkManifests},
	{name: "unit files", what: "the directory of unit files", look: checkUnitFiles},
	{name: "networks", what: "whether apps reach each other", look: checkNetworks},
	{name: "quadlet", what: "what Podman makes of the unit files", look: checkQuadlet},
	{name: "secrets", what: "how secrets are kept", look: checkSecrets},
	{name: "ports", what: "the ports of the apps", look: checkPorts},
	{name: "healthd", what: "whether healthd runs", look: checkHealthd},
	{name: "users", what: "whether users run the same apps", rootful: true, look: checkUsers},
	{name: "stop timeout", what: "how long a shutdown waits for apps", rootless: true, look: checkStopTimeout},
}
