package units

// Limit is a limit of the machine that many containers reach. Its text is part of the contract of
// archgen doctor.
type Limit string

// The limits.
const (
	LimitKeys      Limit = "kernel keys"
	LimitKeyBytes  Limit = "kernel key bytes"
	LimitInotify   Limit = "inotify instances"
	LimitWatches   Limit = "inotify watches"
	LimitProcesses Limit = "processes"
	LimitThreads   Limit = "threads"
	LimitFiles     Limit = "open files"
	LimitLocks     Limit = "podman locks"
	LimitSubnets   Limit = "subnets"
)
