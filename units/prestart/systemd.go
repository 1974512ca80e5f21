package prestart

import (
	"context"

	"github.com/archipelago-os/archipelago/units/systemd"
)

// Manager is a systemd manager that reports the states of services.
type Manager struct{ *systemd.Manager }

// State returns Stopped for a service that systemd does not know.
func (m Manager) State(ctx context.Context, service string) (ServiceState, error) {
	list, err := m.List(ctx, service)
	switch {
	case err != nil || len(list) != 1:
		return Stopped, err
	case list[0].IsStarted():
		return Running, nil
	case list[0].IsStarting():
		return Starting, nil
	}
	return Stopped, nil
}
