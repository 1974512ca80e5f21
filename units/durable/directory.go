// Package durable owns how files are written: durably, and completely or not at all. It opens a
// directory once and works in it by name, so that no link and no rename leads out of it. It is the
// only package that writes files which outlive a command, except in volumes.
//
// It never decides the content of a file, and knows nothing about units.
package durable

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Directory is an open directory. Names are looked up in it and not by path: links and renames
// outside have no effect, and links inside are not followed (os.Root follows those that stay
// inside).
type Directory struct {
	file *os.File
	fd   int
	path string
}

// Open returns nil for a directory that does not exist. Its parents may be links, but not the
// directory itself: a link could redirect our files and removals.
func Open(path string) (*Directory, error) {
	if path == "" {
		return nil, errors.New("the path of the directory is empty")
	}
	path = filepath.Clean(path)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	switch {
	case err == nil:
		return &Directory{f, int(f.Fd()), path}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // an absent directory is no error and has no handle
	case errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP):
		return nil, blocked(path, err)
	}
	return nil, Failed("opening the directory", path, err)
}

// blocked names what makes a path unusable.
func blocked(path string, err error) error {
	for at := path; ; at = filepath.Dir(at) {
		info, statErr := os.Lstat(at)
		if statErr == nil && info.Mode().Type() == fs.ModeSymlink && at != path {
			info, statErr = os.Stat(at)
			if statErr != nil {
				return fmt.Errorf("%s is a broken link (%w): fix it or move it away", at, reason(statErr))
			}
		}
		switch {
		case statErr == nil && !info.IsDir():
			return fmt.Errorf("%s is a %v, but a directory is needed (%w): move it away, and archgen creates the directory", at, kind(info), reason(err))
		case statErr == nil || at == filepath.Dir(at):
			return Failed("creating the directory", path, err)
		}
	}
}

func kind(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "file"
	case fs.ModeSymlink:
		return "link"
	case fs.ModeNamedPipe:
		return "FIFO"
	default:
		return info.Mode().Type().String()
	}
}

// Make opens a directory. It creates the directory and its parents durably if they are missing.
func Make(path string) (*Directory, error) {
	path = filepath.Clean(path)
	if err := makeDurable(path); err != nil {
		return nil, err
	}
	d, err := Open(path)
	if err == nil && d == nil {
		err = fmt.Errorf("%s was removed while it was created; run the command again", path)
	}
	return d, err
}

// makeDurable creates a directory and its parents, so that they survive a power cut.
func makeDurable(path string) error {
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path) {
		if err := makeDurable(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o755)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrNotExist):
		return blocked(path, err)
	case err != nil:
		return Failed("creating the directory", path, err)
	}
	// Podman may run as another user, who does not have this umask.
	if err := os.Chmod(path, 0o755); err != nil {
		return Failed("setting the mode of", path, err)
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return Failed("opening", path, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return Failed("syncing the directory", path, err)
	}
	return nil
}

// Close closes the directory.
func (d *Directory) Close() { d.file.Close() }

// At returns the path of a name in the directory.
func (d *Directory) At(n string) string { return filepath.Join(d.path, n) }

// Path returns the path of the directory.
func (d *Directory) Path() string { return d.path }

func byName(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) }

func retry(call func() error) (err error) {
	for {
		if err = call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// List returns the entries of the directory, sorted.
func (d *Directory) List() ([]fs.DirEntry, error) {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return nil, Failed("reading the directory", d.path, err)
	}
	entries, err := d.file.ReadDir(-1)
	if err != nil {
		return nil, Failed("reading the directory", d.path, err)
	}
	slices.SortFunc(entries, byName)
	return entries, nil
}

// open opens a file without following a link, without waiting for the other end of a FIFO, and
// without making a terminal the controlling one.
func (d *Directory) open(name string, flags int, mode uint32) (fd int, err error) {
	flags |= syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY | syscall.O_CLOEXEC
	err = retry(func() error {
		fd, err = syscall.Openat(d.fd, name, flags, mode)
		return err
	})
	return fd, err
}

// Read returns the content of a regular file up to most bytes, in the memory of buf if it fits. Of
// a longer file it returns one byte more than that.
func (d *Directory) Read(name string, buf []byte, most int) ([]byte, fs.FileMode, error) {
	fd, err := d.open(name, syscall.O_RDONLY, 0)
	if err != nil {
		return nil, 0, Failed("reading", d.At(name), err)
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, 0, Failed("looking at", d.At(name), err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, 0, Failed("reading", d.At(name), ErrNotRegular)
	}
	buf = slices.Grow(buf[:0], int(min(st.Size, int64(most)))+1)
	for len(buf) <= most {
		buf = slices.Grow(buf, 1)
		n := 0
		err := retry(func() (err error) { n, err = syscall.Read(fd, buf[len(buf):cap(buf)]); return err })
		if err != nil {
			return nil, 0, Failed("reading", d.At(name), err)
		}
		if n == 0 {
			break
		}
		buf = buf[:len(buf)+n]
	}
	return buf, fs.FileMode(st.Mode).Perm(), nil
}

// Create writes a new file durably.
func (d *Directory) Create(name string, content []byte) error {
	return d.create(name, content, 0o644)
}

func (d *Directory) create(name string, content []byte, mode fs.FileMode) error {
	fd, err := d.open(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = fill(fd, content, mode)
	if closeErr := syscall.Close(fd); err == nil {
		err = closeErr
	}
	return err
}

// Touch creates an empty file, not durably.
func (d *Directory) Touch(name string) error {
	fd, err := d.open(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return syscall.Close(fd)
}

func fill(fd int, content []byte, mode fs.FileMode) error {
	for len(content) > 0 {
		n := 0
		err := retry(func() (err error) { n, err = syscall.Write(fd, content); return err })
		if err != nil {
			return err
		}
		if n <= 0 {
			return io.ErrShortWrite
		}
		content = content[n:]
	}
	// Whatever the umask is: Podman may run as another user.
	if err := retry(func() error { return syscall.Fchmod(fd, uint32(mode.Perm())) }); err != nil {
		return err
	}
	return retry(func() error { return syscall.Fsync(fd) })
}

// Identity distinguishes a version of a file from others: whatever changes its content or its mode
// also changes the time of its last change.
type Identity struct {
	inode   uint64
	size    int64
	changed unix.Timespec
	mode    uint32
}

// Identify returns the identity of what has a name.
func (d *Directory) Identify(name string) (Identity, error) {
	return identify(d.fd, name, unix.AT_SYMLINK_NOFOLLOW)
}

func identityOf(st unix.Stat_t) Identity { return Identity{st.Ino, st.Size, st.Ctim, st.Mode} }

// IdentityOf returns the identity of the file at a path, or of what a link there leads to.
func IdentityOf(path string) (Identity, error) {
	return identify(unix.AT_FDCWD, path, 0)
}

func identify(dir int, name string, flags int) (Identity, error) {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, flags)
	for err == unix.EINTR { // a closure for retry would put st on the heap
		err = unix.Fstatat(dir, name, &st, flags)
	}
	return identityOf(st), err
}

// Identity returns the identity of the directory. It changes with the names in it, and not with the
// content of the files.
func (d *Directory) Identity() (Identity, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(d.fd, &st) })
	return identityOf(st), err
}

// Perm returns the permissions of the file.
func (i Identity) Perm() fs.FileMode { return fs.FileMode(i.mode).Perm() }

// Type returns the type of the file.
func (i Identity) Type() fs.FileMode {
	switch i.mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}

// IsSettled reports whether a change from now on changes the identity. The kernel may set the time
// of a change up to 10 ms too early, so a file that has just changed may change again with the same
// time.
func (i Identity) IsSettled(now time.Time) bool {
	kind := i.mode & unix.S_IFMT
	return (kind == unix.S_IFREG || kind == unix.S_IFDIR) && now.Sub(time.Unix(i.changed.Unix())) > settling
}

const settling = 50 * time.Millisecond

// Lacks reports whether no file has a name.
func (d *Directory) Lacks(name string) bool {
	var st unix.Stat_t
	return IsAbsent(retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) }))
}

// Rename renames a file within the directory.
func (d *Directory) Rename(from, to string) error {
	return retry(func() error { return syscall.Renameat(d.fd, from, d.fd, to) })
}

// Remove removes a file or a link, never a directory.
func (d *Directory) Remove(name string) error {
	return retry(func() error { return syscall.Unlinkat(d.fd, name) })
}

// Sync makes changes of names durable.
func (d *Directory) Sync() error {
	if err := d.file.Sync(); err != nil {
		return Failed("syncing the directory", d.path, err)
	}
	return nil
}

// IsAbsent reports whether an error says that a file does not exist.
func IsAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// ErrNotRegular is the error of reading something other than a regular file.
var ErrNotRegular = errors.New("not a regular file")

// IsOdd reports whether reading failed because of the type of the file, and not because of the
// disk.
func IsOdd(err error) bool {
	return errors.Is(err, ErrNotRegular) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EACCES)
}

// reason removes the path from an error, for a message that names the path already.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Failed makes an error of what was being done to what, the cause, and how to fix it.
func Failed(doing, path string, err error) error {
	err = fmt.Errorf("%s %s: %w", doing, path, reason(err))
	for _, m := range mending {
		if errors.Is(err, m.cause) {
			return fmt.Errorf("%w; %s", err, m.hint)
		}
	}
	return err
}

var mending = []struct {
	cause error
	hint  string
}{
	{syscall.ENOSPC, "free some space and run the command again"},
	{syscall.EDQUOT, "the user's disk quota is used up: free some space and run the command again"},
	{syscall.EROFS, "the file system is read-only: mount it writable, or choose another directory"},
	{syscall.EACCES, "the directory must belong to the user who runs the command"},
	{syscall.EPERM, "the file or its directory may be immutable (lsattr) or another user's"},
	{syscall.EMFILE, "too many files are open: raise the limit (ulimit -n)"},
	{syscall.ENFILE, "too many files are open on this machine"},
	{syscall.ELOOP, "it is a link: remove it"},
	{syscall.EISDIR, "it is a directory: move it away"},
	{ErrNotRegular, "move it away"},
	{syscall.EIO, "the disk reports an error: see the kernel's log (dmesg)"},
}
