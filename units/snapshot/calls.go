package snapshot

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// calls makes the calls to the file system, and adds to their errors what was done to which file.
type calls struct {
	// fail, unless nil, is asked before each call. Its error is the result of the call, which is not
	// made then. It is for tests.
	fail func(call, path string) error
}

// try makes one call.
func (c calls) try(name, path string, call func() error) error {
	err := error(nil)
	if c.fail != nil {
		err = c.fail(name, path)
	}
	if err == nil {
		for err = call(); errors.Is(err, unix.EINTR); {
			err = call()
		}
	}
	if err == nil {
		return nil
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err // of package os
	}
	return &fs.PathError{Op: name, Path: path, Err: err}
}

// open opens a file of a directory, and no link and nothing of another mount. Others are refused.
func (c calls) open(dir *os.File, name, path string, flags uint64) (*os.File, error) {
	var fd int
	how := unix.OpenHow{
		Flags:   flags | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	err := c.try("open", path, func() (err error) {
		fd, err = unix.Openat2(int(dir.Fd()), name, &how)
		return err
	})
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), path), nil
	case errors.Is(err, unix.EXDEV):
		return nil, refused(Unsupported, "another file system is mounted at %s", path)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return nil, refused(Unsupported, "%s is a link or no directory", path)
	}
	return nil, err
}

// stat is the status of a file of a directory. A link is not followed.
func (c calls) stat(dir *os.File, name, path string) (st unix.Stat_t, err error) {
	err = c.try("stat", path, func() error { return unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// fstat is the status of an open file.
func (c calls) fstat(f *os.File) (st unix.Stat_t, err error) {
	err = c.try("fstat", f.Name(), func() error { return unix.Fstat(int(f.Fd()), &st) })
	return st, err
}

// identify is the ID of a file of a directory.
func (c calls) identify(dir *os.File, name, path string) (ID, error) {
	var st unix.Statx_t
	const mask = unix.STATX_INO | unix.STATX_BTIME
	err := c.try("statx", path, func() error { return unix.Statx(int(dir.Fd()), name, unix.AT_SYMLINK_NOFOLLOW, mask, &st) })
	if err != nil {
		return ID{}, err
	}
	id := ID{Inode: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return id, nil
}

// sync makes changes of names in a directory durable.
func (c calls) sync(dir *os.File) error {
	return c.try("fsync", dir.Name(), dir.Sync)
}
