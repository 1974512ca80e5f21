package machine

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// Watches returns the units that should watch the files of apps and do not watch all of them.
// A unit that does not run is none of them. dir is a directory that the path unit watches.
func (s Services) Watches(ctx context.Context, dir string) ([]status.Watch, error) {
	found, err := s.Manager.Units(ctx, units.HealthdService, units.ReconcilePath)
	if err != nil {
		return nil, err
	}
	var list []status.Watch
	for _, u := range found {
		if errno, detail := watchError(u, dir); errno != 0 {
			limit := Limits{Root: "/"}.setting(status.WatchLimits[status.WatchReason(errno)].Name)
			list = append(list, status.WatchOf(u.Name, errno, detail, limit, s.Scope))
		}
	}
	return list, nil
}

// watchError is the error of a unit's watch. healthd reports it. systemd does not say which
// limit ended a path unit, so it is what a watch by this program fails with.
func watchError(u systemd.Unit, dir string) (errno syscall.Errno, detail string) {
	switch {
	case u.ActiveState == "active" && u.StatusErrno != 0:
		return syscall.Errno(u.StatusErrno), u.StatusText
	case u.ActiveState != "failed" || !strings.HasSuffix(u.Name, ".path"):
		return 0, ""
	}
	detail = "systemd ended it (" + u.Result + ")"
	if errno := tryWatch(dir); errno != 0 {
		return errno, detail
	}
	return syscall.EIO, detail
}

// tryWatch watches a directory for a moment.
func tryWatch(dir string) (errno syscall.Errno) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		defer func() { _ = unix.Close(fd) }()
		_, err = unix.InotifyAddWatch(fd, dir, unix.IN_DELETE_SELF)
	}
	if errors.Is(err, syscall.ENOENT) {
		return 0
	}
	errno, _ = errors.AsType[syscall.Errno](err) // of a system call
	return errno
}
