package doctor

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/status"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// ThisMachine is this machine for the checks. It reads what several checks need once, when
// the first of them asks for it. installed compiles the installed apps.
func ThisMachine(ctx context.Context, o machine.Options, installed func() (*compile.Compiled, units.Desired, error)) *Env {
	storage := paths.Storage(o.Scope, o.Getenv)
	e := &Env{
		Scope: o.Scope, Root: "/", Getenv: o.Getenv, UID: os.Getuid(), User: o.Getenv("USER"),
		Self: "archgen", Podman: o.Podman,
		Storage: storage, Volumes: paths.Volumes(o.Scope, o.Getenv), Networks: paths.Networks(o.Scope, o.Getenv, storage),
		Exec: execute, LookPath: exec.LookPath, Statfs: statfs,
	}
	if self, err := os.Executable(); err == nil {
		e.Self = self
	}
	if who, err := user.Current(); err == nil {
		e.User = who.Username
	}
	connect := sync.OnceValues(func() (*systemd.Manager, error) {
		return systemd.Connect(ctx, systemd.Options{Scope: o.Scope})
	})
	e.Manager = func() (Manager, error) { return connect() }
	base, err := machine.Find(o)
	e.Limits = base.Limits()
	e.Findings = sync.OnceValues(e.findings)
	e.Secrets = func() (Secrets, error) { return base.Secrets, err }
	e.Services = sync.OnceValues(func() (map[string]machine.Service, error) {
		manager, err := connect()
		if err != nil {
			return nil, err
		}
		return machine.Services{Manager: manager, Scope: o.Scope}.All(ctx, nil)
	})
	e.Watches = func() ([]status.Watch, error) {
		manager, err := connect()
		if err != nil {
			return nil, err
		}
		places, err := paths.Of(o.Scope, o.Getenv)
		if err != nil {
			return nil, err
		}
		return machine.Services{Manager: manager, Scope: o.Scope}.Watches(ctx, places.Units)
	}
	e.Apps = sync.OnceValues(func() (Apps, error) {
		compiled, want, err := installed()
		if err != nil {
			return Apps{}, err
		}
		places, err := paths.Of(o.Scope, o.Getenv)
		return Apps{Diags: compiled.Diags, Want: want, Paths: places}, err
	})
	return e
}

func statfs(path string) (st unix.Statfs_t, err error) {
	err = unix.Statfs(path, &st)
	return st, err
}
