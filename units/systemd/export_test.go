package systemd

import "time"

// SetRecheck has jobs that are waited for looked at more often.
func (m *Manager) SetRecheck(every time.Duration) { m.recheck = every }

// MaxQueued is how many events may wait.
const MaxQueued = maxQueued

// What is tested by itself.
var (
	BusSockets = busSockets
	Forward    = forward
	UnitName   = unitName
)
