package installed

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units/durable"
)

// disk is how files are changed. Tests have it fail.
type disk struct {
	replace    func(dir, name string, text []byte, isExecutable bool) error
	link       func(dir, name, target string) error
	mask       func(dir, name string) error
	remove     func(dir, name string) error
	removeTree func(dir, name string) error
}

var theDisk = disk{replace, durable.Link, durable.Mask, durable.Remove, durable.RemoveTree}

func replace(dir, name string, text []byte, isExecutable bool) error {
	if isExecutable {
		return durable.ReplaceExecutable(dir, name, text)
	}
	return durable.Replace(dir, name, text)
}

// change is a change of several files, with what undoes it.
type change struct {
	dir  Directory
	disk disk
	undo []func() error
}

// change makes a change, or none: what was done before an error is undone.
func (d Directory) change(do func(*change) error) (undo func() error, err error) {
	c := &change{dir: d, disk: theDisk}
	if d.disk != nil {
		c.disk = *d.disk
	}
	if err := do(c); err != nil {
		return nil, errors.Join(err, c.revert())
	}
	return c.revert, nil
}

// revert undoes the change, the last step first.
func (c *change) revert() error {
	errs := make([]error, 0, len(c.undo))
	for _, undo := range slices.Backward(c.undo) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// write gives a file of the directory its content; below is the path of the directory in
// it that holds the file, or empty.
func (c *change) write(below, name string, text []byte) error {
	return c.writeFile(below, name, text, false)
}

func (c *change) writeFile(below, name string, text []byte, isExecutable bool) error {
	dir, err := c.place(below, name)
	if err != nil {
		return err
	}
	was, err := look(dir, name)
	if err != nil {
		return err
	}
	if was.has(dir, name, text, isExecutable) {
		return nil
	}
	c.undo = append(c.undo, func() error { return c.restore(below, name, was) })
	return c.disk.replace(dir, name, text, isExecutable)
}

// mask hides a manifest of a directory that comes later.
func (c *change) mask(name string) error {
	dir, err := c.place("", name)
	if err != nil {
		return err
	}
	was, err := look(dir, name)
	if err != nil {
		return err
	}
	c.undo = append(c.undo, func() error { return c.restore("", name, was) })
	return c.disk.mask(dir, name)
}

// remove removes a file, and the directory that holds it if it is empty then. What can't be
// read can be removed, but not restored.
func (c *change) remove(below, name string) error {
	dir, err := c.place(below, name)
	if err != nil {
		return err
	}
	c.willRemove(below, name)
	if err := c.disk.remove(dir, name); err != nil {
		return err
	}
	c.tidy(below)
	return nil
}

// removeTree removes a directory with its files.
func (c *change) removeTree(below string) error {
	dir, err := c.place("", below)
	if err != nil {
		return err
	}
	for _, path := range c.filesIn(below) {
		inside, name := filepath.Split(path)
		c.willRemove(filepath.Clean(inside), name)
	}
	return c.disk.removeTree(dir, below)
}

// filesIn is the paths of the files in a directory, and in those within it. If it is a file or a
// link itself, it is the only one.
func (c *change) filesIn(below string) (list []string) {
	root := filepath.Clean(c.dir.Path())
	_ = filepath.WalkDir(filepath.Join(root, below), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() { // what can't be read is found again when it is removed
			list = append(list, strings.TrimPrefix(path, root+"/"))
		}
		return nil
	})
	return list
}

// willRemove notes how to restore a file that is about to be removed.
func (c *change) willRemove(below, name string) {
	dir := filepath.Join(c.dir.Path(), below)
	was, err := look(dir, name)
	c.undo = append(c.undo, func() error {
		if err != nil {
			return fmt.Errorf("%s can't be restored: %w", filepath.Join(dir, name), err)
		}
		return c.restore(below, name, was)
	})
}

// restore brings a file back to what it was. It writes nothing if that is what it is:
// where the disk is full, undoing a write that failed must not fail as well.
func (c *change) restore(below, name string, was content) error {
	dir := filepath.Join(c.dir.Path(), below)
	if now, err := look(dir, name); err == nil && now.equal(was) {
		c.tidy(below)
		return nil
	}
	switch {
	case was.link != "":
		return c.disk.link(dir, name, was.link)
	case !was.isAbsent:
		return c.disk.replace(dir, name, was.text, was.isExecutable)
	}
	err := c.disk.remove(dir, name)
	c.tidy(below)
	return err
}

// tidy removes the directory of a file that is gone, and those around it, unless they hold
// anything else.
func (c *change) tidy(below string) {
	for ; below != "" && below != "."; below = filepath.Dir(below) {
		_ = durable.RemoveEmpty(c.dir.Path(), below) // an empty directory means nothing
	}
}

// place returns the directory of a file, after checking that the file is in it.
func (c *change) place(below, name string) (string, error) {
	dir := filepath.Join(c.dir.Path(), below)
	if err := fits(name); err != nil {
		return "", err
	}
	if err := manifests.StaysInside(c.dir.root, dir); err != nil {
		return "", fmt.Errorf("nothing can be written to %s: %w", dir, err)
	}
	for around := filepath.Dir(below); around != "."; around = filepath.Dir(around) { // durable looks at the last one
		path := filepath.Join(c.dir.Path(), around)
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return "", fmt.Errorf("%s is a link, but a directory is needed", path)
		}
	}
	return dir, nil
}

// fits demands that a name is that of a file in its directory, and leads nowhere else. An
// id that is none, such as that of a manifest with errors, may fit.
func fits(name string) error {
	if name == "" || name == "." || filepath.Base(name) != name || !filepath.IsLocal(name) {
		return fmt.Errorf("%q is no name of a file", name)
	}
	return nil
}

// content is what a file holds.
type content struct {
	isAbsent bool
	// link is the target if it is a link.
	link string
	text []byte
	// isExecutable: its owner can run it.
	isExecutable bool
}

func (c content) equal(o content) bool {
	return c.isAbsent == o.isAbsent && c.link == o.link && c.isExecutable == o.isExecutable && bytes.Equal(c.text, o.text)
}

// has reports whether reading the file gives a text, also through a link, and whether it can be
// run as it should.
func (c content) has(dir, name string, text []byte, isExecutable bool) bool {
	if c.link != "" {
		behind, err := manifests.ReadFile(filepath.Join(dir, name))
		return err == nil && !isExecutable && bytes.Equal(behind, text)
	}
	return !c.isAbsent && c.isExecutable == isExecutable && bytes.Equal(c.text, text)
}

// look reads a file as it is, and not what a link leads to.
func look(dir, name string) (content, error) {
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return content{isAbsent: true}, nil
	case err != nil:
		return content{}, fmt.Errorf("%s can't be read: %w", path, manifests.CauseOf(err))
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return content{link: target}, err
	case !info.Mode().IsRegular():
		return content{}, durable.Failed("reading", path, durable.ErrNotRegular)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return content{}, fmt.Errorf("%s can't be read: %w", path, manifests.CauseOf(err))
	}
	return content{text: text, isExecutable: info.Mode()&0o100 != 0}, nil
}

func sortedKeys(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }
