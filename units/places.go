package units

// Places is where Podman keeps the objects of a scope: the directory with a file NAME.json for
// each network, and the one with a directory NAME for each volume. `~/` at the beginning stands
// for the home directory of the user who runs the apps. A place that is unknown is empty.
type Places struct {
	Networks string `json:"networks"`
	Volumes  string `json:"volumes"`
}

// DefaultPlaces is where Podman keeps the objects of a scope unless a setting says otherwise.
func DefaultPlaces(s Scope) Places {
	if s == System {
		return Places{Networks: "/etc/containers/networks", Volumes: "/var/lib/containers/storage/volumes"}
	}
	return Places{Networks: "~/.local/share/containers/storage/networks", Volumes: "~/.local/share/containers/storage/volumes"}
}
