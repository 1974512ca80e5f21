// Package durable owns how files are written: durably, and as a whole or not at all.
// It opens a directory once and works in it by name, so that no link and no rename
// leads out of it. It is the only package that writes files which outlive a command.
//
// It never decides what a file holds, and knows no unit.
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

	"golang.org/x/sys/unix"
)

// Directory is an open directory. Names are looked up in it and not by path:
// links and renames outside change nothing, and links inside are not followed
// (os.Root follows those that stay inside).
type Directory struct {
	file *os.File
	fd   int
	path string
}

// Open returns nil for a directory that is not there. Its parents may
// be links; a link in its own place could lead our files and removals anywhere.
func Open(path string) (*Directory, error) {
	if path == "" {
		return nil, errors.New("the unit directory has no name")
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
	return nil, Failed("opening the unit directory", path, err)
}

// blocked names what is in the way of a path.
func blocked(path string, err error) error {
	for at := path; ; at = filepath.Dir(at) {
		info, statErr := os.Lstat(at)
		if statErr == nil && info.Mode().Type() == fs.ModeSymlink && at != path {
			info, statErr = os.Stat(at)
			if statErr != nil {
				return fmt.Errorf("%s is a link that leads nowhere (%w): mend it or move it away", at, reason(statErr))
			}
		}
		switch {
		case statErr == nil && !info.IsDir():
			return fmt.Errorf("%s is a %v in the place of a directory (%w): move it away; the directory will be made", at, kind(info), reason(err))
		case statErr == nil || at == filepath.Dir(at):
			return Failed("making the unit directory", path, err)
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

// Make opens a directory, and makes it and its parents durably where they are missing.
func Make(path string) (*Directory, error) {
	path = filepath.Clean(path)
	if err := makeDurable(path); err != nil {
		return nil, err
	}
	d, err := Open(path)
	if err == nil && d == nil {
		err = fmt.Errorf("%s vanished while it was made; run it again", path)
	}
	return d, err
}

// makeDurable makes a directory and its parents, so that they survive a power cut.
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
		return Failed("making the directory", path, err)
	}
	// Podman may run as another user than the one whose umask this is.
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
		return Failed("making durable what is new in", path, err)
	}
	return nil
}

// Close closes the directory.
func (d *Directory) Close() { d.file.Close() }

// At is the path of a name in the directory.
func (d *Directory) At(n string) string { return filepath.Join(d.path, n) }

// Path is the path of the directory.
func (d *Directory) Path() string { return d.path }

func byName(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) }

func retry(call func() error) (err error) {
	for {
		if err = call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// List returns what is in the directory, sorted.
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

// open opens a file without following a link, waiting for a FIFO's other end,
// or becoming a terminal's owner.
func (d *Directory) open(name string, flags int, mode uint32) (fd int, err error) {
	flags |= syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY | syscall.O_CLOEXEC
	err = retry(func() error {
		fd, err = syscall.Openat(d.fd, name, flags, mode)
		return err
	})
	return fd, err
}

// Read returns a regular file up to a number of bytes, in the room of buf if it fits. Of a
// longer one it returns one byte more than that.
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
	fd, err := d.open(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = fill(fd, content, 0o644)
	if closeErr := syscall.Close(fd); err == nil {
		err = closeErr
	}
	return err
}

// Touch makes an empty file; a power cut may take it away.
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
	// Whatever the umask: Podman may run as another user.
	if err := retry(func() error { return syscall.Fchmod(fd, uint32(mode.Perm())) }); err != nil {
		return err
	}
	return retry(func() error { return syscall.Fsync(fd) })
}

// Lacks reports whether there is nothing of a name.
func (d *Directory) Lacks(name string) bool {
	var st unix.Stat_t
	return IsAbsent(retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) }))
}

// Rename gives a file another name in the same directory.
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
		return Failed("making durable the changes in", d.path, err)
	}
	return nil
}

// IsAbsent reports whether an error says that there is no such file.
func IsAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// ErrNotRegular is what reading something other than a regular file gives.
var ErrNotRegular = errors.New("not a regular file")

// IsOdd reports whether reading Failed because of what lies there, and not
// because of the disk.
func IsOdd(err error) bool {
	return errors.Is(err, ErrNotRegular) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EACCES)
}

// reason takes the path out of an error that is put next to one.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Failed says what was being done to what, and how to mend it.
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
	{syscall.ENOSPC, "free some space and run it again"},
	{syscall.EDQUOT, "the user's disk quota is used up: free some space and run it again"},
	{syscall.EROFS, "the file system is read-only: mount it writable, or choose another directory"},
	{syscall.EACCES, "the directory must belong to the user who runs this"},
	{syscall.EPERM, "the file or its directory may be immutable (lsattr) or another user's"},
	{syscall.EMFILE, "too many files are open: raise the limit (ulimit -n)"},
	{syscall.ENFILE, "too many files are open on this machine"},
	{syscall.ELOOP, "a link is in its place: remove the link"},
	{syscall.EISDIR, "a directory is in its place: move it away"},
	{ErrNotRegular, "it is in the place of a file: move it away"},
	{syscall.EIO, "the disk reports an error: see the kernel's log (dmesg)"},
}
