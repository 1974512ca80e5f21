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

// notify sends a message to systemd, and does nothing without a notification socket.
// Package net would wake three threads for it, and on a quiet machine it is all that
// healthd does.
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

// watchdogInterval is how often systemd wants to hear that the loop goes round: twice
// as often as it has to, and now and then where it does not ask.
func watchdogInterval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return time.Minute
	}
	return interval / 2
}

// watchdogTicks ticks until the context ends; a tick that is not received in
// time is dropped. It is a timer of the kernel: for one of Go's a thread waits in epoll, which the
// kernel wakes late by a thousandth of the time (select(2) and epoll_wait(2) do
// not say so, fs/select.c does), and for so long another thread of Go's runtime
// wakes over and over to see whether the timer got stuck.
func watchdogTicks(ctx context.Context, every time.Duration) (<-chan time.Time, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timer")
	period := unix.NsecToTimespec(every.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: period, Value: period}, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("set a timer to %v: %w", every, err), timer.Close())
	}
	context.AfterFunc(ctx, func() { _ = timer.Close() }) // which ends the reading
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

// alive says that the loop goes round. When the program was replaced, as by an
// upgrade, it ends, and systemd starts the new one: two versions of us would
// write each their own files.
func alive(end context.CancelFunc) {
	notify(daemon.SdNotifyWatchdog)
	if path, err := os.Readlink("/proc/self/exe"); err == nil && strings.HasSuffix(path, " (deleted)") {
		end()
	}
}
