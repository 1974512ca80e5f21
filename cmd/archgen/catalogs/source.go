package catalogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
)

// reader reads a file of a catalog by its path. The error wraps fs.ErrNotExist if it is missing.
type reader func(file string) ([]byte, error)

var (
	errLink     = errors.New("it is a link")
	errOdd      = errors.New("it is not a regular file")
	errTooLarge = fmt.Errorf("it has more than %d bytes", index.MaxFileSize)
)

// open opens a source. image is the id of the image that was pulled for it, if any.
func (s Catalogs) open(ctx context.Context, source string) (read reader, image string, err error) {
	kind, place, _ := strings.Cut(source, ":")
	if kind == "oci" {
		return s.openImage(ctx, place)
	}
	if info, err := os.Stat(place); err != nil || !info.IsDir() {
		return nil, "", fmt.Errorf("%s can't be read: it is missing, or not a directory", place)
	}
	return func(file string) ([]byte, error) { return readIn(place, file) }, "", nil
}

// openImage pulls an image, and reads its files.
func (s Catalogs) openImage(ctx context.Context, ref string) (reader, string, error) {
	out, err := s.Podman.Output(ctx, "pull", "--quiet", ref)
	if err != nil {
		return nil, "", err
	}
	image := strings.TrimSpace(string(out))
	files, err := s.save(ctx, image)
	if err != nil {
		return nil, "", fmt.Errorf("the image %s can't be read: %w", ref, err)
	}
	return files.read, image, nil
}

// readIn reads a file of a directory. It follows no link in it.
func readIn(dir, file string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	var info fs.FileInfo
	for at := range prefixes(file) {
		if info, err = root.Lstat(at); err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, errLink
		}
	}
	f, err := root.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !opened.Mode().IsRegular() || !os.SameFile(info, opened) {
		return nil, errOdd
	}
	return readUpTo(f)
}

// prefixes is the directories of a path, and the path.
func prefixes(file string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, b := range file {
			if b == '/' && !yield(file[:i]) {
				return
			}
		}
		yield(file)
	}
}

// readUpTo reads as much as a file of a catalog may have.
func readUpTo(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(r, index.MaxFileSize+1)); err != nil {
		return nil, err
	}
	if b.Len() > index.MaxFileSize {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

// Files reads the manifests of a directory, and what is beside them in ID.files/, as the files of
// a catalog.
func Files(dir string) (map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", dir, manifests.CauseOf(err))
	}
	defer func() { _ = root.Close() }() // nothing was written
	files, size := map[string][]byte{}, 0
	err = fs.WalkDir(root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != "." && !index.IsOfCatalog(path.Join(file, "x")):
			return fs.SkipDir
		case d.IsDir() || !index.IsOfCatalog(file):
			return nil
		case !manifests.Fits("relpath", file):
			return fmt.Errorf("%q can't be in a catalog: its name must have no white space, quotes or any of : , $ %%", file)
		}
		content, err := readIn(dir, file)
		if err != nil {
			return fmt.Errorf("%s can't be read: %w", path.Join(dir, file), manifests.CauseOf(err))
		}
		files[file] = content
		if size += len(content); size > index.MaxSize || len(files) > index.MaxFiles {
			return fmt.Errorf("%s is larger than a catalog may be: %d files, %d MiB", dir, index.MaxFiles, index.MaxSize>>20)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no manifest", dir)
	}
	return files, err
}
