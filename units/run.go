package units

import "time"

// Run is what systemd and Podman tell of a service beyond what a pass decides by. Only a
// status shows it.
type Run struct {
	// Since is when the service came to be in its state.
	Since time.Time
	// Restarts is systemd's NRestarts: its automatic restarts since the last start by a job.
	Restarts uint32
	// Exited: its process has ended as it should, and the unit stays active.
	Exited bool
	// HasExitCode: ExitCode is how the main process ended, 128 and the signal that killed it.
	HasExitCode bool
	ExitCode    int
	// Result is systemd's word for how the last start went wrong, such as "oom-kill".
	Result string
	// StatusText is what a service that starts last said of itself.
	StatusText string
	// Created is when the container was made, CheckOutput what the last check said that Podman
	// ran in it.
	Created     time.Time
	CheckOutput string
}
