package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notify sends a message to systemd, and does nothing without a notification socket. It does
// not use package net, which would wake three threads for it: on a quiet machine this is all
// that healthd does.
func notify(state string) {
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

// watchdogInterval is how often healthd reports to systemd that the loop runs: twice per
// WatchdogSec, and rarely if systemd has no watchdog for it.
func watchdogInterval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return time.Minute
	}
	return interval / 2
}

// watchdogTicks ticks until the context ends; a tick that is not received in time is
// dropped. It uses a timer of the kernel. For a timer of Go, a thread waits in epoll, and the
// kernel wakes it late by a thousandth of the time (select(2) and epoll_wait(2) do not
// mention it, fs/select.c does). During that delay another thread of Go's runtime wakes
// repeatedly to check whether the timer is stuck.
func watchdogTicks(ctx context.Context, every time.Duration) (<-chan time.Time, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating a timer: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timer")
	period := unix.NsecToTimespec(every.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: period, Value: period}, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("setting a timer to %v: %w", every, err), timer.Close())
	}
	context.AfterFunc(ctx, func() { _ = timer.Close() }) // this ends the read
	ticks := make(chan time.Time, 1)
	go func() {
		expirations := make([]byte, 8)
		for {
			if _, err := timer.Read(expirations); err != nil {
				return
			}
			select {
			case ticks <- time.Now():
			default:
			}
		}
	}()
	return ticks, nil
}

// alive reports that the loop runs. If the program was replaced, as by an upgrade, healthd
// exits and systemd starts the new version: two versions would overwrite each other's files.
func alive(end context.CancelFunc) {
	notify(daemon.SdNotifyWatchdog)
	if path, err := os.Readlink("/proc/self/exe"); err == nil && strings.HasSuffix(path, " (deleted)") {
		end()
	}
}
