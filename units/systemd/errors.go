package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units"
)

// The errors that a caller may need to distinguish.
var (
	// ErrUnreachable: no manager answers.
	ErrUnreachable = errors.New("cannot reach the systemd manager")
	// ErrNoSuchUnit: the manager knows no such unit.
	ErrNoSuchUnit = errors.New("no such unit")
	// ErrDenied: the manager refuses this user.
	ErrDenied = errors.New("permission denied")
	// ErrClosed: the Manager was closed.
	ErrClosed = errors.New("the connection was closed")

	errNoAnswer = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
)

// explain adds to an error what was being done, with which manager, and how to fix it.
func (m *Manager) explain(what string, err error) error {
	if kind := kindOf(err); kind != nil {
		err = fmt.Errorf("%w: %s", kind, strings.TrimSuffix(err.Error(), "."))
	}
	err = fmt.Errorf("%s (%s manager): %w", what, m.scope, err)
	if hint := m.hint(err); hint != "" {
		err = fmt.Errorf("%w: %s", err, hint)
	}
	return err
}

func kindOf(err error) error {
	reply, _ := errors.AsType[dbus.Error](err)
	switch reply.Name {
	case "org.freedesktop.systemd1.NoSuchUnit":
		return ErrNoSuchUnit
	case "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired":
		return ErrDenied
	}
	return nil
}

func (m *Manager) hint(err error) string {
	switch {
	case errors.Is(err, ErrNoSuchUnit):
		return "check that its file exists, and reload the manager with " + m.scope.Systemctl("daemon-reload")
	case errors.Is(err, ErrDenied), errors.Is(err, fs.ErrPermission):
		return m.denied()
	case errors.Is(err, ErrUnreachable):
		return m.missing()
	case errors.Is(err, errNoAnswer):
		return "the manager hangs or is overloaded: see " + m.scope.Systemctl("list-jobs")
	}
	return ""
}

func (m *Manager) denied() string {
	if m.scope == units.System {
		return "run it as root"
	}
	return "run it as the user who owns the manager"
}

func (m *Manager) missing() string {
	if m.scope == units.System {
		return "check that systemd runs as process 1"
	}
	return "check that it runs: `loginctl enable-linger` starts it now and at boot; XDG_RUNTIME_DIR, if set, must be /run/user/UID"
}
