package manifests

import (
	"path"
	"strings"
)

// EngineSocket is where a container with `engine` finds the socket.
const EngineSocket = "/var/run/docker.sock"

// engineSockets is where Podman and Docker listen, below /run; `*` is the number of a user.
var engineSockets = []string{"docker.sock", "podman/podman.sock", "user/*/docker.sock", "user/*/podman/podman.sock"}

// IsEngineSocket reports whether a path of the host is the socket of Podman or Docker.
func IsEngineSocket(name string) bool {
	below, ok := strings.CutPrefix(strings.TrimPrefix(path.Clean(name), "/var"), "/run/")
	if !ok {
		return false
	}
	for _, pattern := range engineSockets {
		if is, _ := path.Match(pattern, below); is { // the patterns are right
			return true
		}
	}
	return false
}
