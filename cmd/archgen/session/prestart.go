package session

import (
	"context"
	"os"
	"strconv"

	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// Part is a part of an app, as its recipe describes it.
func (s *Session) Part(id string) (*prestart.Part, error) {
	recipe, err := s.rendered().Recipe(id)
	if err != nil {
		return nil, err
	}
	l, err := s.Local()
	if err != nil {
		return nil, err
	}
	return &prestart.Part{Env: s.Prestart(), ID: id, Scope: s.Scope, Recipe: recipe, Renderer: l.Renderer()}, nil
}

func (s *Session) rendered() prestart.Rendered {
	return paths.Env{Scope: s.Scope, Getenv: s.Getenv}.Rendered()
}

// Prestart is this machine, for the commands that systemd runs around a start.
func (s *Session) Prestart() prestart.Env {
	return prestart.Env{
		Podman: s.Podman,
		Systemd: func(ctx context.Context) (prestart.Systemd, error) {
			manager, err := systemd.Connect(ctx, systemd.Options{Scope: s.Scope})
			return prestart.Manager{Manager: manager}, err
		},
		IDs:         machine.PodmanIDs(s.Scope, s.Getenv),
		PauseFile:   machine.PodmanPause(s.Scope, s.Getenv),
		Target:      s.rendered().Target,
		Credentials: podmancli.Secrets{Storage: paths.Storage(s.Scope, s.Getenv), Podman: s.Podman}.Secret, NotifySocket: s.Getenv("NOTIFY_SOCKET"), Stderr: s.Stderr,
	}
}

// IsRunBySystemd reports whether systemd runs this command for a unit. Only then may it
// write what the container is started with.
func (s *Session) IsRunBySystemd() bool {
	return s.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid())
}
