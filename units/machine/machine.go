// Package machine owns the view of the real machine that a pass needs: it puts
// the owner of the unit files, the owner of systemd's bus, and what is known of
// containers together into one reconcile.Host.
//
// It never decides anything, and never runs Podman: what needs Podman is handed
// in by its caller.
package machine

import (
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// Secrets is where the secrets of a scope are kept.
func Secrets(p paths.Paths, scope units.Scope) secret.Store {
	return secret.Store{Dir: p.Secrets(), Runtime: p.SecretsLock(), Scope: scope}
}

// Config renders and compares the configuration of apps, with the secrets
// and volumes of Podman's storage. started is prestart.Renderer's.
func Config(p paths.Paths, storage string, started func(container string) (invocation string, err error)) prestart.Renderer {
	return prestart.Renderer{
		State: p.State, Runtime: p.Runtime, Storage: storage, Started: started, Machine: prestart.ThisMachine,
		Secret: func(name string) (string, error) { return podman.Secret(storage, name) },
	}
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
func (f Files) Sync(want units.Set, owns func(units.Ownership) bool) error {
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
