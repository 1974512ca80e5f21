package durable

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// ReplacePrivate is Replace for a file that only some users may read: the file has its mode from
// the beginning, and its directory is for its owner only.
func ReplacePrivate(dir, name string, content []byte, mode fs.FileMode) error {
	temp := TempName(name)
	return withTemp(dir, name, temp, content, mode, func(d *Directory) error { return d.Rename(temp, name) })
}

// CreatePrivate is ReplacePrivate for a file that must not exist yet: the error is fs.ErrExist if
// it does.
func CreatePrivate(dir, name string, content []byte, mode fs.FileMode) error {
	temp := TempName(rand.Text()) // another program may be creating it, too
	return withTemp(dir, name, temp, content, mode, func(d *Directory) error {
		if err := os.Link(d.At(temp), d.At(name)); err != nil {
			return err
		}
		return d.Remove(temp)
	})
}

// Overwrite writes the content of an existing file in place, so that a container that has mounted
// the file itself sees it. It is not atomic: readers have to be notified afterwards.
func Overwrite(dir, name string, content []byte, mode fs.FileMode) error {
	d, err := Open(dir)
	if err != nil {
		return err
	}
	if d == nil {
		return Failed("opening", dir, fs.ErrNotExist)
	}
	defer d.Close()
	fd, err := d.open(name, syscall.O_WRONLY, 0)
	if err != nil {
		return Failed("overwriting", d.At(name), err)
	}
	if err = overwrite(fd, content, mode); err != nil {
		err = Failed("overwriting", d.At(name), err)
	}
	return errors.Join(err, syscall.Close(fd))
}

func overwrite(fd int, content []byte, mode fs.FileMode) error {
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil {
		return err
	}
	if info.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return errors.New("it is not a regular file")
	}
	if err := fill(fd, content, mode); err != nil {
		return err
	}
	return retry(func() error { return syscall.Ftruncate(fd, int64(len(content))) })
}

// withTemp writes a file under a temporary name, and take gives it its final name.
func withTemp(dir, name, temp string, content []byte, mode fs.FileMode, take func(*Directory) error) error {
	d, err := Make(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.file.Chmod(0o700); err != nil {
		return Failed("setting the mode of", dir, err)
	}
	if err := d.Remove(temp); err != nil && !IsAbsent(err) {
		return Failed("removing", d.At(temp), err)
	}
	err = d.createPrivate(temp, content, mode)
	if err == nil {
		err = take(d)
	}
	if err != nil {
		return errors.Join(Failed("writing", d.At(name), err), ignoreAbsent(d.Remove(temp)))
	}
	return d.Sync()
}

func (d *Directory) createPrivate(name string, content []byte, mode fs.FileMode) error {
	fd, err := d.open(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = fill(fd, content, mode)
	if closeErr := syscall.Close(fd); err == nil {
		err = closeErr
	}
	return err
}

// Names lists the entries of a directory except our temporary files, sorted. A directory that does
// not exist has none.
func Names(dir string) ([]string, error) {
	d, err := Open(dir)
	if err != nil || d == nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.List()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !IsTemp(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ReadFile reads one file. It returns nil if the file does not exist.
func ReadFile(dir, name string) ([]byte, error) {
	d, err := Open(dir)
	if err != nil || d == nil {
		return nil, err
	}
	defer d.Close()
	data, _, err := d.Read(name, nil, maxStored)
	if IsAbsent(err) {
		return nil, nil
	}
	return data, err
}

// Remove removes a file from a directory durably, if it exists.
func Remove(dir, name string) error {
	d, err := Open(dir)
	if err != nil || d == nil {
		return err
	}
	defer d.Close()
	if err := d.Remove(name); err != nil {
		if IsAbsent(err) {
			return nil
		}
		return Failed("removing", d.At(name), err)
	}
	return d.Sync()
}

// maxStored is far more than a generation of a thousand apps needs.
const maxStored = 64 << 20

// Replace writes a file durably and atomically: readers see the old content or the new one. It
// creates the directory if needed.
func Replace(dir, name string, content []byte) error {
	return replace(dir, name, content, 0o644)
}

// ReplaceExecutable is Replace for a program.
func ReplaceExecutable(dir, name string, content []byte) error {
	return replace(dir, name, content, 0o755)
}

func replace(dir, name string, content []byte, mode fs.FileMode) error {
	d, err := Make(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	temp := TempName(name)
	if err := d.Remove(temp); err != nil && !IsAbsent(err) {
		return Failed("removing", d.At(temp), err)
	}
	err = d.create(temp, content, mode)
	if err == nil {
		err = d.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(Failed("writing", d.At(name), err), ignoreAbsent(d.Remove(temp)))
	}
	return d.Sync()
}

func ignoreAbsent(err error) error {
	if IsAbsent(err) {
		return nil
	}
	return err
}

// Mask creates a link to /dev/null in a directory, which hides the file of that name in
// directories of lower precedence. An existing file stays.
func Mask(dir, name string) error {
	d, err := Make(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := os.Symlink(os.DevNull, d.At(name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return Failed("masking", d.At(name), err)
	}
	return d.Sync()
}
