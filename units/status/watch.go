package status

import (
	"fmt"
	"syscall"

	"github.com/archipelago-os/archipelago/units"
)

// Watch is a unit that does not watch all files of apps: changes are found late, by the timer
// and by every command. The names of the fields are a contract.
type Watch struct {
	Unit    string       `json:"unit"`
	Reason  units.Reason `json:"reason"`
	Meaning string       `json:"meaning"`
	// Mend is the command that fixes the reason.
	Mend  string `json:"mend"`
	Error string `json:"error"`
}

// String is the unit, the reason and what it means.
func (w Watch) String() string {
	return fmt.Sprintf("%s (%s): %s: %s", w.Unit, w.Reason, w.Meaning, w.Error)
}

// watchReasons is the reasons for errors of the kernel.
var watchReasons = map[syscall.Errno]units.Reason{0: "", syscall.EMFILE: units.ReasonNoWatchInstance, syscall.ENOSPC: units.ReasonNoWatch}

// WatchReason is the reason why files are not watched, by the error of the kernel. It is empty
// without an error.
func WatchReason(e syscall.Errno) units.Reason {
	if why, isKnown := watchReasons[e]; isKnown {
		return why
	}
	return units.ReasonNotWatched
}

// WatchLimit is a limit of the kernel on watches.
type WatchLimit struct {
	// Name is its name for sysctl.
	Name string
	// Ample is a value that is high enough for hundreds of programs.
	Ample int
}

// WatchLimits is the limits that the reasons are about.
var WatchLimits = map[units.Reason]WatchLimit{
	units.ReasonNoWatchInstance: {"fs.inotify.max_user_instances", 3000},
	units.ReasonNoWatch:         {"fs.inotify.max_user_watches", 524288},
}

// WatchOf is the watch of a unit that failed with an error. limit is the current value of the
// limit for the reason, 0 if it is unknown.
func WatchOf(unit string, e syscall.Errno, detail string, limit int, scope units.Scope) Watch {
	why := WatchReason(e)
	w := Watch{Unit: unit, Reason: why, Meaning: why.Meaning(), Error: oneLine(detail), Mend: scope.Systemctl("restart " + unit)}
	l, isLimited := WatchLimits[why]
	if !isLimited {
		return w
	}
	raise := fmt.Sprintf("sudo sysctl %s=%d", l.Name, max(l.Ample, 2*limit))
	if unit == units.HealthdService { // it tries again by itself
		w.Mend = raise
	} else {
		w.Mend = raise + " && " + w.Mend
	}
	return w
}
