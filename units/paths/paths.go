// Package paths owns where files are: manifests and settings, unit files, the state and runtime
// directories, Podman's storage, and the sockets of systemd's manager and the bus. It follows the
// XDG base directories of the environment that it is given.
//
// It creates nothing, and reads nothing but storage.conf.
package paths

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/archipelago-os/archipelago/units"
)

// Env determines whose paths they are.
type Env struct {
	Scope units.Scope
	// Root is a system image; empty means this machine.
	Root string
	// Getenv reads the environment of that user.
	Getenv func(string) string
}

// Directories in which Podman's generator or archgen finds the files of apps.
const (
	systemUnits = "/etc/containers/systemd/archipelago"
	imageUnits  = "/usr/share/containers/systemd/archipelago"
	// Not /usr/share/containers/systemd/users: root's generator takes the files in there for
	// root's own units (Podman 5.8 and 6.0).
	usersUnits = "/etc/containers/systemd/users/archipelago"
	ownUnits   = "containers/systemd/archipelago"

	systemState = "/var/lib/archipelago"
)

// SharedApps is the directories of manifests for the apps of both scopes.
var SharedApps = []string{"/etc/archipelago/apps", "/usr/share/archipelago/apps"}

// SharedCatalogs is the directories of sources of catalogs for both scopes.
var SharedCatalogs = []string{"/etc/archipelago/catalogs", "/usr/share/archipelago/catalogs"}

// base is a base directory of the XDG specification, empty if neither it nor HOME is set.
func (e Env) base(variable, fallback string) string {
	if dir := e.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	if home := e.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, fallback)
	}
	return ""
}

// ConfigHome is the user's configuration directory.
func (e Env) ConfigHome() (string, error) {
	dir := e.base("XDG_CONFIG_HOME", ".config")
	if dir == "" {
		return "", errors.New("HOME is not set, so the directory of the user's apps is unknown: set HOME, use --root DIR, or give --out DIR and the paths of the manifests")
	}
	return dir, nil
}

// isOwn reports whether a user's own directories count.
func (e Env) isOwn() bool { return e.Scope == units.User && e.Root == "" }

// Apps returns the directories of installed manifests; the first one that has an app wins.
func (e Env) Apps() ([]string, error) {
	var dirs []string
	if e.isOwn() {
		config, err := e.ConfigHome()
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, filepath.Join(config, "archipelago/apps"))
	}
	for _, dir := range SharedApps {
		dirs = append(dirs, filepath.Join(e.Root, dir))
	}
	return dirs, nil
}

// Catalogs returns the directories of the files that name the sources of catalogs; the first one
// that has a file wins.
func (e Env) Catalogs() []string {
	var dirs []string
	if config, err := e.ConfigHome(); err == nil && e.isOwn() {
		dirs = append(dirs, filepath.Join(config, "archipelago/catalogs"))
	}
	for _, dir := range SharedCatalogs {
		dirs = append(dirs, filepath.Join(e.Root, dir))
	}
	return dirs
}

// Settings returns the files of settings; the first one that exists wins.
func (e Env) Settings() []string {
	var files []string
	if config, err := e.ConfigHome(); err == nil && e.isOwn() {
		files = append(files, filepath.Join(config, "archipelago/archipelago.toml"))
	}
	return append(files, filepath.Join(e.Root, "/etc/archipelago/archipelago.toml"))
}

// Catalog returns the directories of catalogs; the last one that has an app wins.
func (e Env) Catalog() []string {
	dirs := []string{"/usr/share/archipelago/catalog", "/etc/archipelago/catalog"}
	if config, err := e.ConfigHome(); err == nil {
		dirs = append(dirs, filepath.Join(config, "archipelago/catalog"))
	}
	return dirs
}

// State returns the directory for what outlives a boot, empty if it is unknown because HOME is not
// set.
func (e Env) State() string {
	if e.Scope == units.System {
		return systemState
	}
	if dir := e.base("XDG_STATE_HOME", ".local/state"); dir != "" {
		return filepath.Join(dir, "archipelago")
	}
	return ""
}

// Units returns the directory that unit files are written to.
func (e Env) Units() (string, error) {
	switch {
	case e.Root != "" && e.Scope == units.System:
		return filepath.Join(e.Root, imageUnits), nil
	case e.Root != "":
		return filepath.Join(e.Root, usersUnits), nil
	case e.Scope == units.System:
		return systemUnits, nil
	}
	config, err := e.ConfigHome()
	if err != nil {
		return "", err
	}
	return filepath.Join(config, ownUnits), nil
}

// Rendered returns the directories that may contain unit files of this machine; the first one that
// has a file wins. Those of a system image are in the last one.
func (e Env) Rendered() []string {
	if e.Scope == units.System {
		return []string{systemUnits, imageUnits}
	}
	var dirs []string
	if config, err := e.ConfigHome(); err == nil {
		dirs = append(dirs, filepath.Join(config, ownUnits))
	}
	return append(dirs, usersUnits)
}

// Paths is the directories of a scope that archgen and healthd write to.
type Paths struct {
	// Units is the directory of rendered unit files.
	Units string
	// State is for what outlives a boot, Runtime for what does not.
	State, Runtime string
}

// Secrets is the directory of secret values.
func (p Paths) Secrets() string { return filepath.Join(p.State, "secrets") }

// SecretsLock is the directory of the lock that every change of secrets needs.
func (p Paths) SecretsLock() string { return filepath.Join(p.Runtime, "secrets") }

// Of returns the paths of a scope.
func Of(scope units.Scope, getenv func(string) string) (Paths, error) {
	if scope == units.System {
		return Paths{Units: systemUnits, State: systemState, Runtime: "/run/archipelago"}, nil
	}
	e := Env{Scope: scope, Getenv: getenv}
	runtime := getenv("XDG_RUNTIME_DIR")
	switch {
	case !filepath.IsAbs(getenv("HOME")):
		return Paths{}, errors.New("HOME is not set, so the directory of the user's units is unknown: set HOME")
	case !filepath.IsAbs(runtime):
		return Paths{}, errors.New("XDG_RUNTIME_DIR is not set, so the user's systemd can't be found: log in as the user " +
			"(ssh, `machinectl shell`, or `systemd-run --user -M USER@`), or set it to /run/user/UID; use --system for the apps of the system")
	}
	return Paths{
		Units:   filepath.Join(e.base("XDG_CONFIG_HOME", ".config"), ownUnits),
		State:   e.State(),
		Runtime: filepath.Join(runtime, "archipelago"),
	}, nil
}

// Sockets returns the socket of the manager of a scope itself, and the one of its bus.
func Sockets(scope units.Scope, getenv func(string) string) (manager, bus string) {
	if scope == units.System {
		return "/run/systemd/private", "/run/dbus/system_bus_socket"
	}
	// A shell made by su or sudo has no XDG_RUNTIME_DIR.
	runtime := cmp.Or(getenv("XDG_RUNTIME_DIR"), filepath.Join("/run/user", strconv.Itoa(os.Getuid())))
	return filepath.Join(runtime, "systemd/private"), filepath.Join(runtime, "bus")
}

// BusVariable is the environment variable with the bus address of a scope.
func BusVariable(scope units.Scope) string {
	if scope == units.System {
		return "DBUS_SYSTEM_BUS_ADDRESS"
	}
	return "DBUS_SESSION_BUS_ADDRESS"
}
