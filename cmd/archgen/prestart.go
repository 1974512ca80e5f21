package main

import (
	"context"
	"os"
	"strconv"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// part is a part of an app, as its recipe describes it.
func (c *cli) part(scope units.Scope, id string) (*prestart.Part, error) {
	recipe, err := c.rendered(scope).Recipe(id)
	if err != nil {
		return nil, err
	}
	l, err := c.local(scope)
	if err != nil {
		return nil, err
	}
	return &prestart.Part{Env: c.prestartEnv(scope), ID: id, Scope: scope, Recipe: recipe, Renderer: l.Renderer()}, nil
}

func (c *cli) rendered(scope units.Scope) prestart.Rendered {
	return paths.Env{Scope: scope, Getenv: c.getenv}.Rendered()
}

// prestartEnv is this machine, for the commands that systemd runs around a start.
func (c *cli) prestartEnv(scope units.Scope) prestart.Env {
	return prestart.Env{
		Podman: c.podman,
		Systemd: func(ctx context.Context) (prestart.Systemd, error) {
			manager, err := systemd.Connect(ctx, systemd.Options{Scope: scope})
			return prestart.Manager{Manager: manager}, err
		},
		IDs:         machine.PodmanIDs(scope, c.getenv),
		Target:      c.rendered(scope).Target,
		Credentials: podmancli.Secrets{Storage: paths.Storage(scope, c.getenv), Podman: c.podman}.Secret, NotifySocket: c.getenv("NOTIFY_SOCKET"), Stderr: c.stderr,
	}
}

// runBySystemd reports whether systemd runs this command for a unit. Only then may it
// write what the container is started with.
func (c *cli) runBySystemd() bool { return c.getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) }
