package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// RemoveTree removes a directory with its content from a directory. Of a link it removes only the
// link.
func RemoveTree(dir, name string) error {
	d, err := Open(dir)
	if err != nil || d == nil {
		return err
	}
	defer d.Close()
	if d.Lacks(name) {
		return nil
	}
	if err := os.RemoveAll(d.At(name)); err != nil {
		return Failed("removing", d.At(name), err)
	}
	return d.Sync()
}

// CreateTree writes a directory with files, by their paths in it, durably. It replaces what has the
// name. It is not atomic: what refers to the directory has to be written afterwards.
func CreateTree(dir, name string, files map[string][]byte) error {
	if err := RemoveTree(dir, name); err != nil {
		return err
	}
	byDir := map[string][]string{".": nil}
	for file := range files {
		if !filepath.IsLocal(file) {
			return fmt.Errorf("%q leads out of %s", file, filepath.Join(dir, name))
		}
		byDir[filepath.Dir(file)] = append(byDir[filepath.Dir(file)], filepath.Base(file))
	}
	for below, names := range byDir {
		if err := createIn(filepath.Join(dir, name, below), names, func(n string) []byte { return files[filepath.Join(below, n)] }); err != nil {
			return err
		}
	}
	return nil
}

// createIn creates files in a directory.
func createIn(dir string, names []string, content func(name string) []byte) error {
	d, err := Make(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, n := range names {
		if err := d.Create(n, content(n)); err != nil {
			return Failed("writing", d.At(n), err)
		}
	}
	return d.Sync()
}

// RemoveEmpty removes a directory from a directory if it is empty.
func RemoveEmpty(dir, name string) error {
	d, err := Open(dir)
	if err != nil || d == nil {
		return err
	}
	defer d.Close()
	err = retry(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
	switch {
	case err == nil:
		return d.Sync()
	case IsAbsent(err), errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.ENOTDIR):
		return nil
	}
	return Failed("removing the directory", d.At(name), err)
}

// Link creates a symbolic link in a directory, and replaces a file or link of that name. It
// creates the directory if needed.
func Link(dir, name, target string) error {
	d, err := Make(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	temp := TempName(name)
	if err := ignoreAbsent(d.Remove(temp)); err != nil {
		return Failed("removing", d.At(temp), err)
	}
	err = os.Symlink(target, d.At(temp))
	if err == nil {
		err = d.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(Failed("linking", d.At(name), err), ignoreAbsent(d.Remove(temp)))
	}
	return d.Sync()
}
