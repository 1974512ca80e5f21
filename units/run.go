package units

import "time"

// Run is what systemd and Podman report about a service for a status only. No decision depends on
// it.
type Run struct {
	// Since is when the service entered its state.
	Since time.Time
	// Exited: its process ended successfully, and the unit stays active.
	Exited bool
	// HasExitCode: ExitCode is that of the main process, or 128 plus the signal that killed it.
	HasExitCode bool
	ExitCode    int
	// Result is systemd's word for how the last start failed, such as "oom-kill".
	Result string
	// StatusText is the last status that the starting service reported.
	StatusText string
	// Created is when the container was created. CheckOutput is the output of the last check that
	// Podman ran in it.
	Created     time.Time
	CheckOutput string
}
