package paths

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/BurntSushi/toml"

	"github.com/archipelago-os/archipelago/units"
)

// Storage returns the directory in which Podman keeps images, containers and secrets, given the
// environment of its user (containers-storage.conf(5)).
func Storage(scope units.Scope, getenv func(string) string) string {
	root, key, files := "/var/lib/containers/storage", "graphroot", []string{"/etc/containers/storage.conf", "/usr/share/containers/storage.conf"}
	if scope == units.User {
		e := Env{Scope: scope, Getenv: getenv}
		root, key = filepath.Join(e.base("XDG_DATA_HOME", ".local/share"), "containers/storage"), "rootless_storage_path"
		own := filepath.Join(e.base("XDG_CONFIG_HOME", ".config"), "containers/storage.conf")
		if path := storageSetting(own, "graphroot"); path != "" {
			return os.Expand(path, getenv)
		}
	}
	for _, file := range files {
		if path := storageSetting(file, key); path != "" {
			return os.Expand(path, func(name string) string {
				if name == "UID" {
					return strconv.Itoa(os.Getuid())
				}
				return getenv(name)
			})
		}
	}
	return root
}

// storageSetting returns a path of storage.conf, empty if it is not set.
func storageSetting(file, key string) string {
	var conf struct {
		Storage map[string]any `toml:"storage"`
	}
	if _, err := toml.DecodeFile(file, &conf); err != nil {
		return ""
	}
	path, _ := conf.Storage[key].(string)
	return path
}
