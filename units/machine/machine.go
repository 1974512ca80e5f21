// Package machine owns the view of the real machine that a pass needs: it puts
// the owner of the unit files, the owner of systemd's bus, and what is known of
// containers together into one reconcile.Host.
//
// It never decides anything, and never runs Podman: what needs Podman is handed
// in by its caller.
package machine

import (
	"errors"
	"path/filepath"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/config"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// Places is where things lie on a machine.
type Places struct {
	// Units is the directory of rendered unit files.
	Units string
	// State is what outlives a boot, Runtime what does not.
	State, Runtime string
}

// Secrets is where the secrets of a scope are kept.
func (p Places) Secrets(scope units.Scope) secret.Store {
	return secret.Store{Dir: filepath.Join(p.State, "secrets"), Runtime: filepath.Join(p.Runtime, "secrets"), Scope: scope}
}

// Config is where the configuration of apps comes from and goes to, with the secrets
// and volumes of Podman's storage. started is config.Host's.
func (p Places) Config(storage string, started func(container string) (invocation string, err error)) config.Host {
	return config.Host{
		State: p.State, Runtime: p.Runtime, Storage: storage, Started: started, Machine: config.ThisMachine,
		Secret: func(name string) (string, error) { return podman.Secret(storage, name) },
	}
}

// PlacesOf returns the places of a scope, from the environment of whoever asks.
func PlacesOf(scope units.Scope, getenv func(string) string) (Places, error) {
	if scope == units.System {
		return Places{
			Units: "/etc/containers/systemd/archipelago", State: "/var/lib/archipelago", Runtime: "/run/archipelago",
		}, nil
	}
	home := getenv("HOME")
	runtime := getenv("XDG_RUNTIME_DIR")
	switch {
	case !filepath.IsAbs(home):
		return Places{}, errors.New("HOME is not set: there is no place for a user's units")
	case !filepath.IsAbs(runtime):
		return Places{}, errors.New("XDG_RUNTIME_DIR is not set, so the user's systemd can't be found: log in as the user " +
			"(ssh, `machinectl shell`, or `systemd-run --user -M USER@`), or set it to /run/user/UID; --system means the apps of the system")
	}
	return Places{
		Units:   filepath.Join(base(getenv("XDG_CONFIG_HOME"), home, ".config"), "containers/systemd/archipelago"),
		State:   filepath.Join(base(getenv("XDG_STATE_HOME"), home, ".local/state"), "archipelago"),
		Runtime: filepath.Join(runtime, "archipelago"),
	}, nil
}

// base is a base directory of the XDG specification.
func base(given, home, fallback string) string {
	if filepath.IsAbs(given) {
		return given
	}
	return filepath.Join(home, fallback)
}

// Files is the unit files of a directory.
type Files string

// Look says which files are not as they should be, and what those that are ours
// are like.
func (f Files) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	return unitdir.Look(string(f), want)
}

// Lost is those of which nothing is left.
func (f Files) Lost(want units.Set) units.Set { return unitdir.Lost(string(f), want) }

// Sync makes them so.
func (f Files) Sync(want units.Set, owns func(units.Mark) bool) error {
	_, err := unitdir.Sync(string(f), want, owns)
	return err
}

// Read lists the files that are ours.
func (f Files) Read() (units.Set, error) {
	entries, err := unitdir.Read(string(f))
	set := make(units.Set, 0, len(entries))
	for _, e := range entries {
		set = append(set, e.File)
	}
	return set, err
}
