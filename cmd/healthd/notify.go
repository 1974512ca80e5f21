package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tell says something to systemd. Where nobody listens that is in vain. By way of
// package net it would wake three threads, and it is all that happens on a quiet
// machine.
func tell(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	_ = syscall.Sendto(fd, []byte(state), syscall.MSG_NOSIGNAL, &syscall.SockaddrUnix{Name: path})
}

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
