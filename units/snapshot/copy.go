package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// copier copies the data of a volume as cp -a does, and fails where cp would leave something out.
type copier struct {
	calls
	// root is the directory of the volume.
	root *os.File
	// most is the bytes that may be copied, copied those that were, or are about to be.
	most, copied int64
	// isCopying: the file system shares no data between files, and there is room for all of it.
	isCopying bool
	// links is where the copies of the files with several names are, below root.
	links  map[inode]string
	buffer []byte
}

// inode identifies a file during a copy.
type inode struct{ device, number uint64 }

// file is a file to copy.
type file struct {
	// from and to are the directories of the file and of its copy, name and copy the names there.
	from, to   *os.File
	name, copy string
	// path is the path of the file, for messages. place is that of the copy, below the root.
	path, place string
	st          unix.Stat_t
}

func (f file) inode() inode { return inode{f.st.Dev, f.st.Ino} }

func (f file) kind() uint32 { return f.st.Mode & unix.S_IFMT }

// entry copies one file, with what is below it.
func (c *copier) entry(ctx context.Context, f file) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.st, err = c.stat(f.from, f.name, f.path); err != nil {
		return c.vanished(f.path, err)
	}
	if place, isCopied := c.links[f.inode()]; isCopied {
		return c.try("link", f.path, func() error { return unix.Linkat(int(c.root.Fd()), place, int(f.to.Fd()), f.copy, 0) })
	}
	in, err := c.open(f.from, f.name, f.path, openFlags(f.kind()))
	if err != nil {
		return c.vanished(f.path, err)
	}
	defer in.Close()
	if err := c.demandSame(in, f); err != nil {
		return err
	}
	if err := c.make(ctx, in, f); err != nil {
		return err
	}
	if err := c.describe(f); err != nil {
		return err
	}
	if f.st.Nlink > 1 && f.kind() != unix.S_IFDIR {
		c.links[f.inode()] = f.place
	}
	return c.demandSame(in, f)
}

// openFlags is how a file of a kind is opened. Nothing is opened that waits for another program.
func openFlags(kind uint32) uint64 {
	switch kind {
	case unix.S_IFREG:
		return unix.O_RDONLY | unix.O_NONBLOCK
	case unix.S_IFDIR:
		return unix.O_RDONLY | unix.O_DIRECTORY
	}
	return unix.O_PATH
}

// make makes the copy of a file.
func (c *copier) make(ctx context.Context, in *os.File, f file) error {
	switch f.kind() {
	case unix.S_IFREG:
		return c.regular(ctx, in, f)
	case unix.S_IFDIR:
		return c.directory(ctx, in, f)
	case unix.S_IFLNK:
		return c.link(in, f)
	}
	err := c.try("mknod", f.path, func() error { return unix.Mknodat(int(f.to.Fd()), f.copy, f.st.Mode, int(f.st.Rdev)) })
	if errors.Is(err, unix.EPERM) {
		return refused(Unsupported, "%s is a device, which only root of the system can copy", f.path)
	}
	return err
}

func (c *copier) directory(ctx context.Context, in *os.File, f file) error {
	if err := c.try("mkdir", f.path, func() error { return unix.Mkdirat(int(f.to.Fd()), f.copy, 0o700) }); err != nil {
		return err
	}
	out, err := c.open(f.to, f.copy, f.path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer out.Close()
	likeOriginal(in, out)
	names, err := c.names(in)
	if err != nil {
		return err
	}
	for _, name := range names {
		below := file{from: in, to: out, name: name, copy: name, path: filepath.Join(f.path, name), place: filepath.Join(f.place, name)}
		if err := c.entry(ctx, below); err != nil {
			return err
		}
	}
	return nil
}

// names is the names in a directory, sorted.
func (c *copier) names(dir *os.File) (names []string, err error) {
	err = c.try("readdir", dir.Name(), func() error {
		names, err = dir.Readdirnames(-1)
		return err
	})
	slices.Sort(names)
	return names, err
}

func (c *copier) link(in *os.File, f file) error {
	target := make([]byte, unix.PathMax)
	err := c.try("readlink", f.path, func() error {
		n, err := unix.Readlinkat(int(in.Fd()), "", target)
		target = target[:max(n, 0)]
		return err
	})
	if err != nil {
		return err
	}
	return c.try("symlink", f.path, func() error { return unix.Symlinkat(string(target), int(f.to.Fd()), f.copy) })
}

func (c *copier) regular(ctx context.Context, in *os.File, f file) error {
	var out *os.File
	err := c.try("create", f.path, func() error {
		fd, err := unix.Openat(int(f.to.Fd()), f.copy, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			out = os.NewFile(uintptr(fd), f.path)
		}
		return err
	})
	if err != nil {
		return err
	}
	likeOriginal(in, out)
	if f.st.Size > 0 {
		err = c.content(ctx, in, out, f)
	}
	if closed := c.try("close", f.path, out.Close); err == nil {
		err = closed
	}
	return err
}

// likeOriginal gives an empty file or a directory the attribute of its original that it is not copied on
// write (chattr +C), which what is made in a directory inherits. Files of Btrfs that differ in it can't
// share their data. If that fails, the data is copied.
func likeOriginal(in, out *os.File) {
	const noCOW = 0x00800000 // FS_NOCOW_FL
	original, err := unix.IoctlGetUint32(int(in.Fd()), unix.FS_IOC_GETFLAGS)
	now, unknown := unix.IoctlGetUint32(int(out.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || unknown != nil || (original^now)&noCOW == 0 {
		return
	}
	_ = unix.IoctlSetPointerInt(int(out.Fd()), unix.FS_IOC_SETFLAGS, int(now^noCOW))
}

// content makes two files share their data, or copies it.
func (c *copier) content(ctx context.Context, in, out *os.File, f file) error {
	if !c.isCopying {
		err := c.try("clone", f.path, func() error { return unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) })
		if err == nil {
			return nil
		}
		if err := c.copyInstead(f, err); err != nil {
			return err
		}
	}
	for offset := int64(0); offset < f.st.Size; {
		start, end, err := c.extent(in, f, offset)
		if err == nil {
			err = c.bytes(ctx, in, out, f, start, end)
		}
		if err != nil {
			return err
		}
		offset = end
	}
	return c.try("truncate", f.path, func() error { return unix.Ftruncate(int(out.Fd()), f.st.Size) })
}

// copyInstead decides what an error of a clone means: that of the disk is returned, others are
// about this file, such as one that is not copied on write in btrfs, or about the file system.
func (c *copier) copyInstead(f file, err error) error {
	for _, about := range []error{unix.EOPNOTSUPP, unix.ENOTTY, unix.ENOSYS, unix.EXDEV} {
		if errors.Is(err, about) {
			size, err := c.size(c.root, dataDir, filepath.Join(c.root.Name(), dataDir), map[inode]bool{})
			if err != nil {
				return err
			}
			c.isCopying = true
			return c.demandRoom(size)
		}
	}
	for _, about := range []error{unix.EINVAL, unix.ETXTBSY, unix.EPERM} {
		if errors.Is(err, about) {
			return c.demandRoom(allocated(f.st))
		}
	}
	return err
}

// size is how many bytes a copy of a file, with what is below it, takes.
func (c *copier) size(dir *os.File, name, path string, counted map[inode]bool) (sum int64, err error) {
	st, err := c.stat(dir, name, path)
	if err != nil {
		return 0, c.vanished(path, err)
	}
	f := file{st: st}
	if f.kind() != unix.S_IFDIR {
		if f.kind() == unix.S_IFREG && !counted[f.inode()] {
			sum = allocated(st)
		}
		counted[f.inode()] = true
		return sum, nil
	}
	in, err := c.open(dir, name, path, openFlags(f.kind()))
	if err != nil {
		return 0, c.vanished(path, err)
	}
	defer in.Close()
	names, err := c.names(in)
	for _, name := range names {
		below, err := c.size(in, name, filepath.Join(path, name), counted)
		if err != nil {
			return 0, err
		}
		sum += below
	}
	return sum, err
}

// allocated is the bytes of a file that are not holes, at most.
func allocated(st unix.Stat_t) int64 {
	const block = 512 // whatever the file system has
	return min(st.Size, st.Blocks*block)
}

// demandRoom demands that so many more bytes may be copied, and that there is room for them.
func (c *copier) demandRoom(size int64) error {
	c.copied += size
	if c.copied > c.most {
		return &Error{TooLarge, Excess(c.copied, c.most)}
	}
	var st unix.Statfs_t
	if err := c.try("statfs", c.root.Name(), func() error { return unix.Fstatfs(int(c.root.Fd()), &st) }); err != nil {
		return err
	}
	if free := st.Bavail * uint64(st.Bsize); uint64(size) > free {
		return refused(NoRoom, "a copy takes %s, and the file system has %s free", readable(size), readable(int64(free)))
	}
	return nil
}

// readable is a number of bytes in the largest unit of which it is at least one.
func readable(bytes int64) string {
	value, unit := float64(bytes), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for ; value >= 1024 && unit < len(units)-1; unit++ {
		value /= 1024
	}
	return fmt.Sprintf("%.4g %s", value, units[unit])
}

// extent is the next part of a file from an offset that is not a hole. Both are the size at the end.
func (c *copier) extent(in *os.File, f file, offset int64) (start, end int64, err error) {
	err = c.try("seek", f.path, func() error {
		if start, err = unix.Seek(int(in.Fd()), offset, unix.SEEK_DATA); err == nil {
			end, err = unix.Seek(int(in.Fd()), start, unix.SEEK_HOLE)
		}
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO): // a hole up to the end
		return f.st.Size, f.st.Size, nil
	case errors.Is(err, unix.EINVAL): // the file system knows no holes
		return offset, f.st.Size, nil
	}
	return start, min(end, f.st.Size), err
}

// bytes copies a part of a file.
func (c *copier) bytes(ctx context.Context, in, out *os.File, f file, start, end int64) error {
	if c.buffer == nil {
		c.buffer = make([]byte, 1<<20)
	}
	for start < end {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		chunk := c.buffer[:min(end-start, int64(len(c.buffer)))]
		err := c.try("read", f.path, func() error {
			n, err := in.ReadAt(chunk, start)
			chunk = chunk[:n]
			if n > 0 || errors.Is(err, io.EOF) {
				return nil
			}
			return err
		})
		if err == nil && len(chunk) == 0 {
			return c.changed(f.path)
		}
		if err == nil {
			err = c.try("write", f.path, func() error { _, err := out.WriteAt(chunk, start); return err })
		}
		if err != nil {
			return err
		}
		start += int64(len(chunk))
	}
	return nil
}

// demandSame demands that an open file is the one that was found, and has not changed since.
func (c *copier) demandSame(in *os.File, f file) error {
	now, err := c.fstat(in)
	if err == nil && (now.Dev != f.st.Dev || now.Ino != f.st.Ino || now.Ctim != f.st.Ctim || now.Size != f.st.Size) {
		err = c.changed(f.path)
	}
	return err
}

// vanished is the error of a call for a file that was there before.
func (c *copier) vanished(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return c.changed(path)
	}
	return err
}

func (c *copier) changed(path string) error {
	return refused(InUse, "%s changed while it was copied: stop what uses the volume, see podman ps --filter volume=%s", path, filepath.Base(c.root.Name()))
}
