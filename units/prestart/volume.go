package prestart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units/durable"
)

// ErrNotNew says that a volume has content or an owner.
var ErrNotNew = errors.New("the volume is not new")

// UsageError says that the arguments of Volume are invalid.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// Volume executes one verb on the directory of a volume, or on that of a part's files:
// isnew, leave, reclaim, clear, seed, place, read, await, ensure, keep or overwrite. It runs as root, or as
// root of Podman's user namespace (podman unshare), where the owners of a container's files are
// known. stdin is the new content for overwrite, and the files for seed; read writes a file to stdout.
//
// The error is ErrNotNew if isnew finds a volume with content or an owner, and a
// *UsageError if the arguments are invalid.
func Volume(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "isnew":
		isNew, err := isNewVolume(args[1])
		if err == nil && !isNew {
			return ErrNotNew
		}
		return err
	case len(args) == 2 && args[0] == "leave":
		return leaveVolume(args[1])
	case len(args) == 2 && args[0] == "reclaim":
		return reclaimVolume(args[1])
	case len(args) == 2 && args[0] == "clear":
		return clearVolume(args[1])
	case len(args) == 4 && args[0] == "place":
		uid, gid, err := ownerOf(args[3])
		if err != nil {
			return &UsageError{err}
		}
		return placeVolume(args[1], args[2], uid, gid)
	case len(args) == 2 && args[0] == "seed":
		return seedVolume(args[1], stdin)
	case len(args) == 3 && args[0] == "read":
		text, err := contentBelow(args[1], args[2])
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the output of a file that is missing is empty
		}
		_, writeErr := io.WriteString(stdout, text)
		return errors.Join(err, writeErr)
	case len(args) == 3 && args[0] == "await":
		return waitForFile(ctx, args[1], args[2])
	case len(args) == 6 && args[0] == "ensure":
		return ensure(args[1], args[2], args[3], args[4], args[5])
	case len(args) == 4 && args[0] == "keep":
		return keep(args[1], args[2], "-1", "-1", args[3])
	case len(args) == 6 && args[0] == "keep":
		return keep(args[1], args[2], args[4], args[5], args[3])
	case len(args) == 4 && args[0] == "overwrite":
		mode, err := strconv.ParseUint(args[3], 8, 12)
		if err != nil {
			return &UsageError{err}
		}
		content, err := io.ReadAll(stdin)
		if err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
		return durable.Overwrite(args[1], args[2], content, fs.FileMode(mode))
	}
	return &UsageError{errors.New("it is for archgen prepare and archgen files")}
}

// ownerOf reads UID:GID, or keepOwner.
func ownerOf(text string) (uid, gid int, err error) {
	if text == keepOwner {
		return -1, -1, nil
	}
	user, group, _ := strings.Cut(text, ":")
	uid, errUID := strconv.Atoi(user)
	gid, errGID := strconv.Atoi(group)
	return uid, gid, errors.Join(errUID, errGID)
}

// waitForFile waits until a file appears in a directory.
func waitForFile(ctx context.Context, dir, path string) error {
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

// keep creates a directory below another unless something is there.
func keep(dir, path, uid, gid, mode string) error {
	if isThere, err := hasFile(dir, path); isThere || err != nil {
		return err
	}
	return ensure(dir, path, uid, gid, mode)
}

// ensure is ensureDirectory with numbers as text.
func ensure(dir, path, uid, gid, mode string) error {
	owner, errUID := strconv.Atoi(uid)
	group, errGID := strconv.Atoi(gid)
	bits, errMode := strconv.ParseUint(mode, 8, 12)
	if err := errors.Join(errUID, errGID, errMode); err != nil {
		return &UsageError{err}
	}
	return ensureDirectory(dir, path, owner, group, uint32(bits))
}

// ensureDirectory creates a directory and its parents below another, and sets the owner and
// mode of the directory and of new parents. With the ids -1, a new directory has the owner of
// the one that it is in. It follows no link, because the container may have made one that leads
// out of its volume.
func ensureDirectory(dir, path string, uid, gid int, mode uint32) error {
	at, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("opening the volume: %w", err)
	}
	names := strings.Split(path, "/")
	for i, name := range names {
		here := strings.Join(names[:i+1], "/")
		next, isNew, err := openOrMake(at, name, mode)
		if isNew && uid < 0 {
			uid, gid = ownerOfFile(at)
		}
		at.Close()
		if err != nil {
			return fmt.Errorf("%s in the volume is not a directory, or is a link, which archgen does not follow: %w", here, err)
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

// ownerOfFile is the owner of an open file, -1 for one that is unknown.
func ownerOfFile(f *os.File) (uid, gid int) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}

// openOrMake opens a directory within another. It creates the directory if there is none.
func openOrMake(dir *os.File, name string, mode uint32) (inner *os.File, isNew bool, err error) {
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

const (
	// dataDir is the subdirectory of a volume's directory where Podman keeps the content.
	dataDir = "_data"
	// ownedMark is the file beside dataDir that says that the volume has its owner, though
	// it may be empty. Podman removes the file with the volume.
	ownedMark = ".archipelago-owner"
)

// isNewVolume reports whether a volume's directory has neither content nor ownedMark. A
// directory that can't be read has an owner already.
func isNewVolume(dir string) (bool, error) {
	if _, err := os.Lstat(filepath.Join(dir, ownedMark)); err == nil {
		return false, nil
	}
	data, err := os.Open(filepath.Join(dir, dataDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case errors.Is(err, fs.ErrPermission):
		return false, nil
	case err != nil:
		return false, err
	}
	defer data.Close()
	names, _ := data.Readdirnames(1) // an empty directory returns EOF
	return len(names) == 0, nil
}

// clearVolume removes the content directory of a volume. It fails if the directory is not
// empty.
func clearVolume(dir string) error {
	err := os.Remove(filepath.Join(dir, dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// placeVolume changes the owner of one volume's content and moves it to another volume,
// which is empty.
func placeVolume(from, to string, uid, gid int) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	err = fs.WalkDir(root.FS(), dataDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return chown(root, path, uid, gid)
	})
	if err != nil {
		return err
	}
	// Podman also changes the owner of the directory around the content. The user that runs
	// Podman then can't read that directory.
	if err := os.Lchown(to, os.Getuid(), os.Getgid()); err != nil {
		return err
	}
	if err := flush(from); err != nil {
		return err
	}
	if err := unix.Rename(filepath.Join(from, dataDir), filepath.Join(to, dataDir)); err != nil { // os.Rename replaces no directory
		return fmt.Errorf("renaming its content into place: %w", err)
	}
	return markOwned(to)
}

// chown changes the owner of a file, and restores the set-user-ID bits, which the kernel
// clears.
func chown(root *os.Root, path string, uid, gid int) error {
	before, err := root.Lstat(path)
	if err != nil {
		return err
	}
	if err := root.Lchown(path, uid, gid); err != nil {
		return err
	}
	if before.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 || !before.Mode().IsRegular() {
		return nil
	}
	return root.Chmod(path, before.Mode())
}

// markOwned records that a volume has its owner.
func markOwned(dir string) error {
	dir, err := filepath.EvalSymlinks(dir) // an administrator may have moved it to another disk
	if err != nil {
		return err
	}
	d, err := durable.Make(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Touch(ownedMark); err != nil && !errors.Is(err, fs.ErrExist) {
		return durable.Failed("marking the volume", dir, err)
	}
	return flush(dir)
}

// flush syncs the file system of a directory to its disk.
func flush(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// leaveVolume records that Podman sets the owner of a volume, if the volume exists.
func leaveVolume(dir string) error {
	err := markOwned(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
