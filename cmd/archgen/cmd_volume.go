package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units/durable"
)

// volumeCommand is for prepare, which runs it in Podman's user namespace.
func (c *cli) volumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "volume VERB DIR [ARGUMENT…]",
		Hidden:  true,
		Short:   "Work on the files of a volume",
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
	case len(args) == 2 && args[0] == "isnew":
		isNew, err := isNewVolume(args[1])
		if err == nil && !isNew {
			return errReported
		}
		return err
	case len(args) == 2 && args[0] == "leave":
		return leaveVolume(args[1])
	case len(args) == 2 && args[0] == "clear":
		return clearVolume(args[1])
	case len(args) == 4 && args[0] == "place":
		uid, gid, err := ownerOf(args[3])
		if err != nil {
			return usageError{err}
		}
		return placeVolume(args[1], args[2], uid, gid)
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
	case len(args) == 4 && args[0] == "overwrite":
		mode, err := strconv.ParseUint(args[3], 8, 12)
		if err != nil {
			return usageError{err}
		}
		content, err := io.ReadAll(c.stdin)
		if err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
		return durable.Overwrite(args[1], args[2], content, fs.FileMode(mode))
	}
	return usageError{errors.New("it is for archgen prepare and archgen files")}
}

// ownerOf reads UID:GID.
func ownerOf(text string) (uid, gid int, err error) {
	user, group, _ := strings.Cut(text, ":")
	uid, errUID := strconv.Atoi(user)
	gid, errGID := strconv.Atoi(group)
	return uid, gid, errors.Join(errUID, errGID)
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
		if isThere, err := hasFile(dir, path); isThere || err != nil {
			return err
		}
	}
}

// hasFile looks for a file below a directory, and never outside of it.
func hasFile(dir, path string) (isThere bool, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	_, err = root.Stat(path)
	err = errors.Join(err, root.Close())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ensureDirectory makes a directory below another, and gives the directories on
// the way, where they are new, and itself their owner. It follows no link: the
// container may have put one there that leads out of its volume.
func ensureDirectory(dir, path string, uid, gid int, mode uint32) error {
	at, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("opening the volume: %w", err)
	}
	names := strings.Split(path, "/")
	for i, name := range names {
		here := strings.Join(names[:i+1], "/")
		next, isNew, err := enter(at, name, mode)
		at.Close()
		if err != nil {
			return fmt.Errorf("%s in the volume is no directory, or a link, which is not followed: %w", here, err)
		}
		at = next
		if isNew || i == len(names)-1 {
			err = errors.Join(at.Chown(uid, gid), at.Chmod(fs.FileMode(mode)))
		}
		if err != nil {
			at.Close()
			return fmt.Errorf("giving %s in the volume its owner: %w", here, err)
		}
	}
	return at.Close()
}

// enter opens a directory within another, and makes it if there is none.
func enter(dir *os.File, name string, mode uint32) (inner *os.File, isNew bool, err error) {
	made := unix.Mkdirat(int(dir.Fd()), name, mode)
	if made != nil && !errors.Is(made, unix.EEXIST) {
		return nil, false, made
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	return os.NewFile(uintptr(fd), name), made == nil, nil
}
