package systemd

import "time"

// SetRecheck sets the interval at which pending jobs are checked.
func (m *Manager) SetRecheck(every time.Duration) { m.recheck = every }

// MaxQueued is the maximum number of unread events.
const MaxQueued = maxQueued

// What is tested separately.
var (
	BusSockets = busSockets
	Forward    = forward
	UnitName   = unitName
)
