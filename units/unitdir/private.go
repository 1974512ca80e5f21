package unitdir

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// ReplacePrivate is Replace for what not everybody may read: the file has its mode
// from the beginning, and its directory is for its owner only.
func ReplacePrivate(dir, name string, content []byte, mode fs.FileMode) error {
	temp := leftoverPrefix + name + leftoverSuffix
	return withTemp(dir, name, temp, content, mode, func(d *directory) error { return d.rename(temp, name) })
}

// CreatePrivate is ReplacePrivate for what must never take the place of another:
// the error is fs.ErrExist where there is one.
func CreatePrivate(dir, name string, content []byte, mode fs.FileMode) error {
	temp := leftoverPrefix + rand.Text() + leftoverSuffix // somebody else may be about to make it too
	return withTemp(dir, name, temp, content, mode, func(d *directory) error {
		if err := os.Link(d.at(temp), d.at(name)); err != nil {
			return err
		}
		return d.remove(temp)
	})
}

// Overwrite gives a file that is there another content in place: what has the file itself
// mounted, such as a container, sees it then. It is not atomic, so a reader has to be
// told once it is done.
func Overwrite(dir, name string, content []byte, mode fs.FileMode) error {
	d, err := openDirectory(dir)
	if err != nil {
		return err
	}
	if d == nil {
		return failed("opening", dir, fs.ErrNotExist)
	}
	defer d.close()
	fd, err := d.open(name, syscall.O_WRONLY, 0)
	if err != nil {
		return failed("overwriting", d.at(name), err)
	}
	if err = overwrite(fd, content, mode); err != nil {
		err = failed("overwriting", d.at(name), err)
	}
	return errors.Join(err, syscall.Close(fd))
}

func overwrite(fd int, content []byte, mode fs.FileMode) error {
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil {
		return err
	}
	if info.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return errors.New("it is no regular file")
	}
	if err := fill(fd, content, mode); err != nil {
		return err
	}
	return retry(func() error { return syscall.Ftruncate(fd, int64(len(content))) })
}

// withTemp writes a file under a temporary name and lets it get its own.
func withTemp(dir, name, temp string, content []byte, mode fs.FileMode, take func(*directory) error) error {
	d, err := makeDirectory(dir)
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.file.Chmod(0o700); err != nil {
		return failed("setting the mode of", dir, err)
	}
	if err := d.remove(temp); err != nil && !isAbsent(err) {
		return failed("removing", d.at(temp), err)
	}
	err = d.createPrivate(temp, content, mode)
	if err == nil {
		err = take(d)
	}
	if err != nil {
		return errors.Join(failed("writing", d.at(name), err), ignoreAbsent(d.remove(temp)))
	}
	return d.sync()
}

func (d *directory) createPrivate(name string, content []byte, mode fs.FileMode) error {
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

// Names lists what there is in a directory but our own temporary files, sorted. A
// directory that is not there is empty.
func Names(dir string) ([]string, error) {
	d, err := openDirectory(dir)
	if err != nil || d == nil {
		return nil, err
	}
	defer d.close()
	entries, err := d.list()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !isLeftover(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
