package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// measure is how many bytes a snapshot of a volume takes.
func measure(ctx context.Context, c calls, volumes, name string) (int64, error) {
	v, err := openVolume(ctx, c, volumes, name)
	if err != nil {
		return 0, doing("measuring", name, err)
	}
	defer v.dir.Close()
	if v.shares() {
		return 0, nil
	}
	size, err := (&copier{calls: c}).size(v.dir, dataDir, filepath.Join(v.dir.Name(), dataDir), map[inode]bool{})
	return size, doing("measuring", name, err)
}

// shares reports whether files of the file system can share their data.
func (v *volume) shares() bool {
	var files [2]*os.File
	for i := range files {
		fd, err := unix.Openat(int(v.dir.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return false
		}
		files[i] = os.NewFile(uintptr(fd), "")
		defer files[i].Close()
	}
	return unix.IoctlFileClone(int(files[0].Fd()), int(files[1].Fd())) == nil
}

// save takes a snapshot of a volume.
func save(ctx context.Context, c calls, volumes, name string, most int64) (r Record, err error) {
	v, err := openVolume(ctx, c, volumes, name)
	if err != nil {
		return r, doing("saving", name, err)
	}
	defer v.dir.Close()
	r, err = v.save(ctx, most)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = refused(NoRoom, "%v", err)
	}
	return r, doing("saving", name, err)
}

// swap exchanges the data of a volume with its snapshot.
func swap(ctx context.Context, c calls, volumes, name string, r Record) error {
	v, err := openVolume(ctx, c, volumes, name)
	if err != nil {
		return doing("restoring", name, err)
	}
	defer v.dir.Close()
	return doing("restoring", name, v.swap(r))
}

// check demands that the snapshot of a record can be exchanged with the data.
func check(ctx context.Context, c calls, volumes, name string, r Record) error {
	v, err := openVolume(ctx, c, volumes, name)
	if err != nil {
		return doing("looking at", name, err)
	}
	defer v.dir.Close()
	_, err = v.compare(r)
	return doing("looking at", name, err)
}

// drop removes the snapshot of a volume.
func drop(ctx context.Context, c calls, volumes, name string) error {
	v, err := openVolume(ctx, c, volumes, name)
	if err != nil {
		if reason, ok := errors.AsType[*Error](err); ok && reason.Reason == Gone {
			return nil // with its snapshot
		}
		return doing("removing the snapshot of", name, err)
	}
	defer v.dir.Close()
	return doing("removing the snapshot of", name, v.drop())
}

// volume is the directory of a volume.
type volume struct {
	calls
	// dir is open and locked. A run whose archgen was killed may still be at work: it is a process
	// of its own in Podman's user namespace.
	dir *os.File
}

// volumeName is the names that Podman accepts.
var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// openVolume opens the directory of a volume and waits for its lock. The path to Podman's volumes
// may have links, the rest may not.
func openVolume(ctx context.Context, c calls, volumes, name string) (*volume, error) {
	if !volumeName.MatchString(name) || !filepath.IsAbs(volumes) {
		return nil, fmt.Errorf("%q in %q: %w", name, volumes, ErrUsage)
	}
	path := filepath.Join(volumes, name)
	dir, err := c.openBelow(volumes, name, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refused(Gone, "there is no %s", path)
	}
	if err != nil {
		return nil, err
	}
	v := &volume{c, dir}
	if err := v.lock(ctx); err != nil {
		dir.Close()
		return nil, err
	}
	return v, nil
}

// openBelow opens the directory of a volume. It may be a mount.
func (c calls) openBelow(volumes, name, path string) (*os.File, error) {
	var above *os.File
	err := c.try("open", volumes, func() (err error) {
		above, err = os.Open(volumes)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer above.Close()
	var fd int
	err = c.try("open", path, func() (err error) {
		fd, err = unix.Openat(int(above.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return nil, refused(Unsupported, "%s is a link or no directory, and archgen follows no link to a volume", path)
	case err != nil:
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// lockPause is the pause between two attempts to get the lock.
const lockPause = 50 * time.Millisecond

func (v *volume) lock(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for another archgen in %s: %w", v.dir.Name(), context.Cause(ctx))
		case <-timer.C:
			timer.Reset(lockPause)
		}
		err := v.try("flock", v.dir.Name(), func() error { return unix.Flock(int(v.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
	}
}

// at is the path of a name in the directory.
func (v *volume) at(name string) string { return filepath.Join(v.dir.Name(), name) }

// save copies the data to partialDir, and gives the copy its name when it is on the disk.
func (v *volume) save(ctx context.Context, most int64) (r Record, err error) {
	if has, err := v.has(dataDir); err != nil || !has {
		return r, cmp.Or(err, refused(Gone, "there is no %s", v.at(dataDir)))
	}
	if err := v.clear(); err != nil {
		return r, err
	}
	if err := v.demandExchange(); err != nil {
		return r, v.cleared(err)
	}
	c := copier{calls: v.calls, root: v.dir, most: most, links: map[inode]string{}}
	err = c.entry(ctx, file{from: v.dir, to: v.dir, name: dataDir, copy: partialDir, path: v.at(dataDir), place: partialDir})
	if err == nil {
		err = v.try("syncfs", v.dir.Name(), func() error { return unix.Syncfs(int(v.dir.Fd())) })
	}
	if err == nil {
		r.Copied = c.copied
		r.Data, err = v.identify(v.dir, dataDir, v.at(dataDir))
	}
	if err == nil {
		r.Snapshot, err = v.identify(v.dir, partialDir, v.at(partialDir))
	}
	if err == nil {
		err = v.publish()
	}
	if err != nil {
		return Record{}, v.cleared(err)
	}
	return r, nil
}

// publish gives a complete snapshot its name. It replaces an earlier one in one step.
func (v *volume) publish() error {
	has, err := v.has(Name)
	if err != nil {
		return err
	}
	if !has {
		err := v.rename(partialDir, Name, unix.RENAME_NOREPLACE)
		if err == nil {
			err = v.sync(v.dir)
		}
		return err
	}
	if err := v.rename(partialDir, Name, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	if err := v.sync(v.dir); err != nil {
		return err
	}
	return v.clear()
}

// cleared removes what is left of a snapshot that could not be taken for a reason.
func (v *volume) cleared(reason error) error {
	if err := v.clear(); err != nil {
		return fmt.Errorf("%w; the next run removes the incomplete copy: %w", reason, err)
	}
	return reason
}

// swap exchanges the data and the snapshot, unless the snapshot is the data already.
func (v *volume) swap(r Record) error {
	isDone, err := v.compare(r)
	if err == nil && !isDone {
		err = v.rename(Name, dataDir, unix.RENAME_EXCHANGE)
	}
	if err != nil {
		return err
	}
	return v.sync(v.dir)
}

// compare demands that the data and the snapshot are those of a record, and reports whether the snapshot
// is the data already.
func (v *volume) compare(r Record) (isDone bool, err error) {
	data, err := v.idOf(dataDir)
	if err != nil {
		return false, err
	}
	snapshot, err := v.idOf(Name)
	if err != nil {
		return false, err
	}
	switch {
	case data == r.Snapshot && (snapshot == r.Data || snapshot == ID{}): // after Drop there is none
		return true, nil
	case data != r.Data:
		return false, refused(Gone, "%s is not the directory that the snapshot was taken of", v.at(dataDir))
	case snapshot != r.Snapshot:
		return false, refused(Gone, "%s is not the snapshot that was taken", v.at(Name))
	}
	return false, nil
}

// idOf is the ID of a directory of the volume, none if it does not exist.
func (v *volume) idOf(name string) (ID, error) {
	has, err := v.has(name)
	if err != nil || !has {
		return ID{}, err
	}
	return v.identify(v.dir, name, v.at(name))
}

// drop removes the snapshot. Its name goes first, so that no part of one has it.
func (v *volume) drop() error {
	if err := v.clear(); err != nil {
		return err
	}
	has, err := v.has(Name)
	if err != nil || !has {
		return err
	}
	if err := v.rename(Name, partialDir, unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	if err := v.sync(v.dir); err != nil {
		return err
	}
	return v.clear()
}

// has reports whether the volume has a directory of a name.
func (v *volume) has(name string) (bool, error) {
	st, err := v.stat(v.dir, name, v.at(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return false, refused(Unsupported, "%s is a link or no directory", v.at(name))
	}
	return err == nil, err
}

// clear removes partialDir.
func (v *volume) clear() error {
	if has, err := v.has(partialDir); err != nil || !has {
		return err
	}
	err := v.try("remove", v.at(partialDir), func() error {
		root, err := os.OpenRoot(handle(v.dir))
		if err != nil {
			return err
		}
		defer func() { _ = root.Close() }() // nothing was written
		return root.RemoveAll(partialDir)
	})
	if err != nil {
		return err
	}
	return v.sync(v.dir)
}

// handle is a path to an open file, whatever its name has become.
func handle(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

func (v *volume) rename(from, to string, flags uint) error {
	return v.try("rename", v.at(from), func() error {
		return unix.Renameat2(int(v.dir.Fd()), from, int(v.dir.Fd()), to, flags)
	})
}

// demandExchange demands that the file system can exchange two directories, which a way back needs.
func (v *volume) demandExchange() error {
	one, other := partialDir+"/one", partialDir+"/other"
	for _, name := range []string{partialDir, one, other} {
		if err := v.try("mkdir", v.at(name), func() error { return unix.Mkdirat(int(v.dir.Fd()), name, 0o700) }); err != nil {
			return err
		}
	}
	err := v.rename(one, other, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return refused(Unsupported, "the file system of %s can't exchange two directories, so nothing could restore a snapshot", v.dir.Name())
	}
	if err != nil {
		return err
	}
	return v.clear()
}
