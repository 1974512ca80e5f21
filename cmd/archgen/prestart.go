package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// part is a part of an app, as its recipe describes it.
func (c *cli) part(scope units.Scope, app string) (*prestart.Part, error) {
	recipe, err := c.recipeOf(scope, app)
	if err != nil {
		return nil, err
	}
	l, err := c.local(scope)
	if err != nil {
		return nil, err
	}
	return &prestart.Part{Env: c.prestartEnv(scope), ID: app, Scope: scope, Recipe: recipe, Renderer: l.Renderer()}, nil
}

// prestartEnv is this machine, for the commands that systemd runs around a start.
func (c *cli) prestartEnv(scope units.Scope) prestart.Env {
	return prestart.Env{
		Podman: c.podman,
		Systemd: func(ctx context.Context) (prestart.Systemd, error) {
			manager, err := systemd.Connect(ctx, systemd.Options{Scope: scope})
			return serviceStates{manager}, err
		},
		Target:      func(container, level string) (*probe.Target, error) { return c.targetOf(scope, container, level) },
		Credentials: podmancli.Secrets{Storage: paths.Storage(scope, c.getenv), Podman: c.podman}.Secret, NotifySocket: c.getenv("NOTIFY_SOCKET"), Stderr: c.stderr,
	}
}

// serviceStates answers what systemd does with services.
type serviceStates struct{ *systemd.Manager }

// State is Stopped for a service that systemd does not know.
func (s serviceStates) State(ctx context.Context, service string) (prestart.ServiceState, error) {
	list, err := s.List(ctx, service)
	switch {
	case err != nil || len(list) != 1:
		return prestart.Stopped, err
	case list[0].IsStarted():
		return prestart.Running, nil
	case list[0].IsStarting():
		return prestart.Starting, nil
	}
	return prestart.Stopped, nil
}

// recipeOf reads the recipe of a part.
func (c *cli) recipeOf(scope units.Scope, app string) (units.Prestart, error) {
	name := units.PrestartName(units.ServiceName(app))
	content, err := c.renderedFile(scope, app, name)
	if err != nil {
		return units.Prestart{}, err
	}
	if _, ours := units.ReadOwnership(content); !ours {
		return units.Prestart{}, fmt.Errorf("%s is not a whole file of archgen's; archgen apply writes it anew", name)
	}
	return units.ReadPrestart(content)
}

// runBySystemd tells a command of a unit from one that a person types: what the
// latter does is not what the container was started with.
func (c *cli) runBySystemd() bool { return c.getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) }

// targetOf reads the check of an app from its unit file. It is nil where there
// is none of that level.
func (c *cli) targetOf(scope units.Scope, app, level string) (*probe.Target, error) {
	content, err := c.renderedFile(scope, app, units.ContainerFile(app))
	if err != nil {
		return nil, err
	}
	mark, ours := units.ReadOwnership(content)
	if !ours {
		return nil, fmt.Errorf("app@%s.container is not a file of archgen's; archgen apply writes it anew", app)
	}
	text := mark.Probe(level)
	if text == "" {
		return nil, nil
	}
	target, err := probe.Parse([]byte(text))
	return &target, err
}

// renderedFile reads a file of an app that archgen rendered, the user's before the
// image's.
func (c *cli) renderedFile(scope units.Scope, app, name string) ([]byte, error) {
	if filepath.Base(name) != name {
		return nil, fmt.Errorf("%q is not an app: give its id, such as lnd, or a part's, such as ledger.db", app)
	}
	dirs := paths.Env{Scope: scope, Getenv: c.getenv}.Rendered()
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular() || info.Size() > units.MaxFile: // opening a pipe could wait for ever
			return nil, fmt.Errorf("%s is not a file that archgen writes", path)
		}
		return os.ReadFile(path)
	}
	return nil, fmt.Errorf("there is no %s in %s: install the app, then archgen apply", name, strings.Join(dirs, " or "))
}
