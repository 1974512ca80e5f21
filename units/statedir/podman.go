package statedir

import (
	"encoding/json"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

const podmanFile = "podman.json"

// Podman is what Podman said about itself.
type Podman struct {
	// Version is the Podman that was asked, Config identifies its configuration files.
	Version string `json:"version"`
	Config  string `json:"config"`
	// Places is where it keeps networks and volumes.
	Places units.Places `json:"places"`
}

// Podman reads what Podman said when it was last asked. A damaged file counts as none: Podman is
// asked again.
func (s Store) Podman() (p Podman, ok bool) {
	data, err := durable.ReadFile(s.State, podmanFile)
	if err != nil || data == nil || json.Unmarshal(data, &p) != nil {
		return Podman{}, false
	}
	return p, true
}

// SavePodman stores what Podman said.
func (s Store) SavePodman(p Podman) error { return save(s.State, podmanFile, p) }
