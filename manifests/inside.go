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
// is not there yet leads nowhere. Without a root everything is of this machine.
func StaysInside(root, path string) error {
	if root == "" {
		return nil
	}
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
			return fmt.Errorf("a link on its path leads out of %s, or can't be followed: %w", root, CauseOf(err))
		}
	}
}

// ReadInside is ReadFile for a file that has to stay inside of the root of a system image.
func ReadInside(root, path string) ([]byte, error) {
	if err := StaysInside(root, path); err != nil {
		return nil, err
	}
	return ReadFile(path)
}
