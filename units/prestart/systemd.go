package prestart

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units/systemd"
)

// Manager is a systemd manager that reports the states of services.
type Manager struct{ *systemd.Manager }

// Ran returns no times for a service that systemd does not know.
func (m Manager) Ran(ctx context.Context, service string) (start, end time.Time, err error) {
	list, err := m.Units(ctx, service)
	if err != nil || len(list) != 1 || list[0].ExecMainExitMonotonic == 0 {
		return start, end, err
	}
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &since); err != nil {
		return start, end, err
	}
	boot := time.Now().Add(-time.Duration(since.Nano()))
	at := func(microseconds uint64) time.Time { return boot.Add(time.Duration(microseconds) * time.Microsecond) } //nolint:gosec // microseconds since boot
	return at(list[0].ExecMainStartMonotonic), at(list[0].ExecMainExitMonotonic), nil
}

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
