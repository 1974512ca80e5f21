package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tell says something to systemd. Where nobody listens that is in vain.
func tell(state string) { _, _ = daemon.SdNotify(false, state) }

// heartbeat is how often systemd wants to hear that the loop goes round: twice
// as often as it has to, and now and then where it does not ask.
func heartbeat() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return time.Minute
	}
	return interval / 2
}

// beat says that the loop goes round. When the program was replaced, as by an
// upgrade, it ends, and systemd starts the new one: two versions of us would
// write each their own files.
func beat(end context.CancelFunc) {
	tell(daemon.SdNotifyWatchdog)
	if path, err := os.Readlink("/proc/self/exe"); err == nil && strings.HasSuffix(path, " (deleted)") {
		end()
	}
}
