package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// volumeCommand is for prepare, which runs it in Podman's user namespace.
func (c *cli) volumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "volume ensure|await DIR PATH [UID GID MODE]",
		Hidden:  true,
		Short:   "Make a directory in a volume, or wait for a file in it",
		Example: `  podman unshare archgen volume ensure DIR wallets 1000 1000 700`,
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := interruptible()
			defer stop()
			return c.volume(ctx, args)
		},
	}
}

func (c *cli) volume(ctx context.Context, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "await":
		return awaitFile(ctx, args[1], args[2])
	case len(args) == 6 && args[0] == "ensure":
		uid, errUID := strconv.Atoi(args[3])
		gid, errGID := strconv.Atoi(args[4])
		mode, errMode := strconv.ParseUint(args[5], 8, 12)
		if err := errors.Join(errUID, errGID, errMode); err != nil {
			return usageError{err}
		}
		return ensureDirectory(args[1], args[2], uid, gid, uint32(mode))
	}
	return usageError{errors.New("it is for archgen prepare")}
}

// awaitFile waits until there is a file in a directory.
func awaitFile(ctx context.Context, dir, path string) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("there is no %s", path)
		case <-timer.C:
			timer.Reset(200 * time.Millisecond)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		_, err = root.Stat(path)
		root.Close()
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// ensureDirectory makes a directory below another, and gives the directories on
// the way, where they are new, and itself their owner. It follows no link: the
// container may have put one there that leads out of its volume.
func ensureDirectory(dir, path string, uid, gid int, mode uint32) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the volume %s: %w", dir, err)
	}
	names := strings.Split(path, "/")
	for i, name := range names {
		made := unix.Mkdirat(fd, name, mode)
		if made != nil && !errors.Is(made, unix.EEXIST) {
			unix.Close(fd)
			return fmt.Errorf("making %s in the volume: %w", strings.Join(names[:i+1], "/"), made)
		}
		next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("%s in the volume is no directory, or a link, which is not followed: %w", strings.Join(names[:i+1], "/"), err)
		}
		fd = next
		if made == nil || i == len(names)-1 {
			err = errors.Join(unix.Fchown(fd, uid, gid), unix.Fchmod(fd, mode))
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("giving %s in the volume its owner: %w", strings.Join(names[:i+1], "/"), err)
		}
	}
	return unix.Close(fd)
}
