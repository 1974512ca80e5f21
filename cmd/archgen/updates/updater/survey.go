package updater

import (
	"context"
	"os"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
)

// Survey reads the installed apps and the releases of their catalogs.
func (r *Runner) Survey(ctx context.Context) (*updates.Survey, error) {
	k, want, err := r.Source.Installed()
	if err != nil {
		return nil, err
	}
	if k.Result == nil {
		if err := r.Diagnose(k); err != nil {
			return nil, err
		}
	}
	entries, err := r.Entries()
	if err != nil {
		return nil, err
	}
	found, err := r.Machine.Services.Observe(ctx, want.Services(), false)
	if err != nil {
		return nil, err
	}
	machine, _ := os.ReadFile("/etc/machine-id") // without one it takes a release at once
	s := &updates.Survey{
		Dir: r.Dir, Catalogs: entries, Source: r.Source, Compiled: k, Want: want, Store: r.Machine.Store, Units: found,
		Now: r.Machine.Store.Now(), RolledBack: map[string]bool{},
		Machine: string(machine),
	}
	return s, s.Read()
}
