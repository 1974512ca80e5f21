package systemd

import (
	"context"
	"strconv"
	"time"
)

// bootPause is the time between two looks at whether a boot is over.
const bootPause = 250 * time.Millisecond

// IsBooting reports whether the manager still starts what it starts at a boot.
func (m *Manager) IsBooting(ctx context.Context) (bool, error) {
	return call(ctx, m, "reading the state of the manager", callTimeout, func(ctx context.Context, l *conn) (bool, error) {
		p, err := l.calls.SystemStateContext(ctx)
		if err != nil {
			return false, err
		}
		state, _ := strconv.Unquote(p.Value.String())
		return state == "initializing" || state == "starting", nil
	})
}

// AwaitBoot waits until the manager has started what it starts at a boot, or the context ends. It
// calls waiting before it waits. It is connected for each look only: a manager sends a signal about each
// change of a unit to all connections.
func AwaitBoot(ctx context.Context, options Options, waiting func()) {
	for i := 0; isBooting(ctx, options); i++ {
		if i == 0 {
			waiting()
		}
		select {
		case <-time.After(bootPause):
		case <-ctx.Done():
			return
		}
	}
}

func isBooting(ctx context.Context, options Options) bool {
	m, err := Connect(ctx, options)
	if err != nil {
		return false
	}
	defer m.Close()
	is, err := m.IsBooting(ctx)
	return err == nil && is
}
