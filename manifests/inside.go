package manifests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// StaysInside demands that no link on the way to a path below the root of a system image
// leads out of the image: to the machine that builds it, whose files are none of its. What
// is not there yet leads nowhere.
func StaysInside(root, path string) error {
	root = filepath.Clean(root)
	rel, err := filepath.Rel(root, path)
	if err != nil || root == "/" || !filepath.IsLocal(rel) { // it is not of the image
		return nil
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // nothing was written
	for ; ; rel = filepath.Dir(rel) {
		switch _, err := dir.Stat(rel); {
		case err == nil:
			return nil
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("a link on its path leads out of %s, or can't be followed: %w", root, causeOf(err))
		}
	}
}

// inside is StaysInside for the image that is read, if it is one.
func (l *Loaded) inside(path string) error {
	if l.Root == "" {
		return nil
	}
	return StaysInside(l.Root, path)
}
