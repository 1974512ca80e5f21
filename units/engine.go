package units

// Engine is how a container reaches Podman's API: the unit of systemd that listens, and where it
// does below the manager's runtime directory.
type Engine struct{ Unit, Path string }

// Engines is the ways, by the word of the manifest.
var Engines = map[string]Engine{
	"read": {"archipelago-engine.socket", "archipelago-engine/podman.sock"},
	"full": {"podman.socket", "podman/podman.sock"},
}
