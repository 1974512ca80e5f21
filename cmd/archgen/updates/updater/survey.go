package updater

import (
	"context"
	"os"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
)

// Survey reads the installed apps and the releases of their catalogs.
func (r *Runner) Survey(ctx context.Context) (*updates.Survey, error) {
	k, want, err := r.installed()
	if err != nil {
		return nil, err
	}
	entries, err := r.Entries()
	if err != nil {
		return nil, err
	}
	machine, _ := os.ReadFile("/etc/machine-id") // without one it takes a release at once
	s := &updates.Survey{
		Dir: r.Dir, Catalogs: entries, Source: r.Source, Want: want, Store: r.Machine.Store,
		Now: r.Machine.Store.Now(), RolledBack: map[string]bool{},
		Machine: string(machine),
		Inspect: func(want units.Desired) (*compile.Compiled, map[string]units.Unit, error) {
			services := want.Services()
			for id := range want.Refused() { // an app with errors may run with its earlier files
				services = append(services, units.ServiceName(id))
			}
			found, err := r.Machine.Services.Observe(ctx, services, false)
			if err == nil && k == nil {
				k, _, err = r.compiled()
			}
			return k, found, err
		},
	}
	return s, s.Read()
}

// installed is what an earlier pass has compiled, without manifests, or compiles the installed apps.
func (r *Runner) installed() (k *compile.Compiled, want units.Desired, err error) {
	if want, isKept := r.Kept(); isKept {
		return nil, want, nil
	}
	return r.compiled()
}

// compiled compiles the installed apps.
func (r *Runner) compiled() (*compile.Compiled, units.Desired, error) {
	k, want, err := r.Source.Installed()
	if err == nil && k.Result == nil {
		err = r.Diagnose(k)
	}
	return k, want, err
}
