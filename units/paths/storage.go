package paths

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/archipelago-os/archipelago/units"
)

// Storage returns the directory in which Podman keeps images, containers and secrets, given the
// environment of its user (containers-storage.conf(5)).
func Storage(scope units.Scope, getenv func(string) string) string {
	e := Env{Scope: scope, Getenv: getenv}
	return cmp.Or(e.storageSetting(), e.defaultStorage())
}

// Volumes returns the directory in which Podman keeps volumes (containers.conf(5)).
func Volumes(scope units.Scope, getenv func(string) string) string {
	e := Env{Scope: scope, Getenv: getenv}
	return cmp.Or(e.containersSetting("engine", "volume_path"), filepath.Join(Storage(scope, getenv), "volumes"))
}

// Networks returns the directory in which Podman keeps its networks, one file each, if its
// storage is in another directory.
func Networks(scope units.Scope, getenv func(string) string, storage string) string {
	e := Env{Scope: scope, Getenv: getenv}
	if dir := e.containersSetting("network", "network_config_dir"); dir != "" || scope == units.System {
		return cmp.Or(dir, units.DefaultPlaces(scope).Networks)
	}
	return filepath.Join(storage, "networks")
}

// Default is where Podman keeps the objects of a scope, as far as no configuration file of the
// machine or the image, and no variable, says otherwise.
func (e Env) Default() units.Places {
	places := units.DefaultPlaces(e.Scope)
	if !e.isStorageDefault() {
		places.Volumes = ""
		if e.Scope == units.User {
			places.Networks = ""
		}
	}
	if e.containersSetting("engine", "volume_path") != "" {
		places.Volumes = ""
	}
	if e.containersSetting("network", "network_config_dir") != "" {
		places.Networks = ""
	}
	return places
}

// isStorageDefault reports whether Podman's storage is where it is without any settings.
func (e Env) isStorageDefault() bool {
	storage := e.storageSetting()
	switch {
	case e.Scope == units.System:
		return storage == "" || storage == e.defaultStorage()
	case e.isOwn():
		return cmp.Or(storage, e.defaultStorage()) == filepath.Join(e.Getenv("HOME"), ".local/share/containers/storage")
	}
	return storage == "" // the users of an image have homes of their own
}

// PodmanConfig lists the files and directories in which Podman finds its settings.
func (e Env) PodmanConfig() []string {
	return slices.Concat(e.storageFiles(), e.containersFiles())
}

func (e Env) defaultStorage() string {
	if e.Scope == units.System {
		return "/var/lib/containers/storage"
	}
	return filepath.Join(e.base("XDG_DATA_HOME", ".local/share"), "containers/storage")
}

// storageFiles are the files of storage.conf, the first of which wins: the user's before the
// machine's.
func (e Env) storageFiles() []string {
	files := []string{filepath.Join(e.Root, "/etc/containers/storage.conf"), filepath.Join(e.Root, "/usr/share/containers/storage.conf")}
	if e.isOwn() {
		files = slices.Insert(files, 0, e.ownContainers("storage.conf"))
	}
	return files
}

// ownContainers is a file of Podman in the user's configuration directory.
func (e Env) ownContainers(name string) string {
	return filepath.Join(e.base("XDG_CONFIG_HOME", ".config"), "containers", name)
}

// storageSetting is the directory that storage.conf names, empty if it names none.
func (e Env) storageSetting() string {
	for i, file := range e.storageFiles() {
		key := "graphroot"
		if isUsers := e.isOwn() && i == 0; e.Scope == units.User && !isUsers {
			key = "rootless_storage_path"
		}
		if dir := setting(file, "storage", key); dir != "" {
			return e.expand(dir)
		}
	}
	return ""
}

// containersFiles are the files of containers.conf and the directories of its drop-ins, the last
// of which wins.
func (e Env) containersFiles() []string {
	files := []string{
		filepath.Join(e.Root, "/usr/share/containers/containers.conf"), filepath.Join(e.Root, "/usr/share/containers/containers.conf.d"),
		filepath.Join(e.Root, "/etc/containers/containers.conf"), filepath.Join(e.Root, "/etc/containers/containers.conf.d"),
	}
	if e.isOwn() {
		files = append(files, e.ownContainers("containers.conf"), e.ownContainers("containers.conf.d"))
	}
	return files
}

// containersSetting is a path of containers.conf, empty if no file sets it.
func (e Env) containersSetting(table, key string) (dir string) {
	for _, file := range e.containersFiles() {
		files := []string{file}
		if strings.HasSuffix(file, ".d") {
			files, _ = filepath.Glob(filepath.Join(file, "*.conf")) // sorted; the pattern is valid
		}
		for _, f := range files {
			dir = cmp.Or(setting(f, table, key), dir)
		}
	}
	return e.expand(dir)
}

// expand replaces the variables in a path. Podman reads the id of its user as one.
func (e Env) expand(path string) string {
	return os.Expand(path, func(name string) string {
		if name == "UID" {
			return strconv.Itoa(os.Getuid())
		}
		return e.Getenv(name)
	})
}

// setting returns a path of a configuration file, empty if it is not set.
func setting(file, table, key string) string {
	text, err := os.ReadFile(file)
	var conf map[string]any
	if err != nil || !mentions(string(text), key) || toml.Unmarshal(text, &conf) != nil {
		return ""
	}
	values, _ := conf[table].(map[string]any)
	path, _ := values[key].(string)
	return path
}

// mentions reports whether a line that is not a comment has a key. The files of distributions have
// comments only, and decoding those takes as long as all else that archgen apply does when there is
// nothing to do.
func mentions(text, key string) bool {
	for line := range strings.Lines(text) {
		if strings.Contains(line, key) && !strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			return true
		}
	}
	return false
}
