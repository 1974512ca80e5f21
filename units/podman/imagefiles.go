package podman

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Image is an image in Podman's storage, as its overlay driver keeps it.
type Image struct {
	// User is the user of the image's configuration, such as "app", "1000" or "1000:1000". It is
	// empty for root.
	User string
	// layers is the directories of the layers, the upper before the lower.
	layers []string
}

// ErrUnclear says that a question about an image can be answered by Podman only: its files are not
// plain directories, a link is in the way, or they can't be read by this user.
var ErrUnclear = errors.New("only Podman can tell")

// ImageDir is a directory of an image.
type ImageDir struct {
	// UID and GID own the directory, in the IDs of the user who looks.
	UID, GID int
	Empty    bool
}

// OpenImage finds an image by its name. The error wraps ErrUnclear if it is not in the storage, which
// does not mean that Podman has none: there may be other stores.
func OpenImage(storage, name string) (Image, error) {
	var images []struct {
		ID    string   `json:"id"`
		Names []string `json:"names"`
		Layer string   `json:"layer"`
	}
	if err := readList(filepath.Join(storage, "overlay-images/images.json"), &images); err != nil {
		return Image{}, err
	}
	for _, found := range images {
		if !slices.Contains(found.Names, name) {
			continue
		}
		user, err := imageUser(storage, found.ID)
		if err != nil {
			return Image{}, err
		}
		layers, err := layersOf(storage, found.Layer)
		return Image{User: user, layers: layers}, err
	}
	return Image{}, fmt.Errorf("the image %s is not in %s: %w", name, storage, ErrUnclear)
}

// readList reads a list of Podman's storage.
func readList(file string, into any) error {
	data, err := read(file)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("reading Podman's storage: %w: %w", err, ErrUnclear)
	}
	return nil
}

// imageUser reads the user from an image's configuration. Its file is named after its digest in
// base64, because that has a colon (makeBigDataBaseName in containers/storage).
func imageUser(storage, id string) (string, error) {
	name := "=" + base64.StdEncoding.EncodeToString([]byte("sha256:"+id))
	var image struct {
		Config struct{ User string } `json:"config"`
	}
	err := readList(filepath.Join(storage, "overlay-images", id, name), &image)
	return image.Config.User, err
}

// layersOf returns the directories of a layer and of those below it.
func layersOf(storage, top string) (dirs []string, err error) {
	var layers []struct {
		ID     string `json:"id"`
		Parent string `json:"parent"`
	}
	if err := readList(filepath.Join(storage, "overlay-layers/layers.json"), &layers); err != nil {
		return nil, err
	}
	parents := map[string]string{}
	for _, l := range layers {
		parents[l.ID] = l.Parent
	}
	for at := top; at != ""; at = parents[at] {
		_, isKnown := parents[at]
		dir := filepath.Join(storage, "overlay", at)
		if _, err := os.Lstat(filepath.Join(dir, "composefs-data")); !isKnown || err == nil || len(dirs) > len(layers) {
			return nil, fmt.Errorf("the layer %s is not a plain directory: %w", at, ErrUnclear)
		}
		dirs = append(dirs, filepath.Join(dir, "diff"))
	}
	return dirs, nil
}

// Dir returns the directory at an absolute path of the image. The error wraps fs.ErrNotExist if there
// is nothing at the path.
func (i Image) Dir(path string) (ImageDir, error) {
	at, err := i.find(path)
	if err != nil {
		return ImageDir{}, err
	}
	uid, gid, err := ownerOf(at[0])
	if err != nil {
		return ImageDir{}, err
	}
	dir := ImageDir{UID: uid, GID: gid, Empty: true}
	for _, layer := range at {
		entries, err := os.ReadDir(layer)
		if err != nil {
			return ImageDir{}, unclear(err)
		}
		dir.Empty = dir.Empty && len(entries) == 0
	}
	return dir, nil
}

// File reads a small file of the image. The error wraps fs.ErrNotExist if there is nothing at the path.
func (i Image) File(path string) ([]byte, error) {
	at, err := i.find(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for _, dir := range at {
		file := filepath.Join(dir, filepath.Base(path))
		info, err := os.Lstat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, unclear(err)
		case isWhiteout(info):
			return nil, fs.ErrNotExist
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is not a regular file: %w", file, ErrUnclear)
		}
		text, err := read(file)
		return text, unclear(err)
	}
	return nil, fs.ErrNotExist
}

// find returns the directories of the layers that make up one directory of the image, the upper before
// the lower. There is at least one.
func (i Image) find(path string) ([]string, error) {
	at := i.layers
	for name := range strings.SplitSeq(strings.Trim(filepath.Clean(path), "/"), "/") {
		if name == "" {
			continue
		}
		var below []string
		for _, dir := range at {
			next := filepath.Join(dir, name)
			isDir, isLast, err := look(dir, next)
			if err != nil {
				return nil, err
			}
			if isDir {
				below = append(below, next)
			}
			if isLast {
				break
			}
		}
		if at = below; len(at) == 0 {
			return nil, fs.ErrNotExist
		}
	}
	if len(at) == 0 {
		return nil, fs.ErrNotExist
	}
	return at, nil
}

// look reports whether there is a directory, and whether it hides what lower layers have there.
func look(parent, dir string) (isDir, isLast bool, err error) {
	// The driver fuse-overlayfs marks removed and replaced entries with files.
	if _, err := os.Lstat(filepath.Join(parent, ".wh."+filepath.Base(dir))); err == nil {
		return false, false, fmt.Errorf("%s was removed: %w", dir, ErrUnclear)
	}
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return false, false, unclear(err)
	case isWhiteout(info):
		return false, true, nil
	case !info.IsDir():
		return false, false, fmt.Errorf("%s is not a directory: %w", dir, ErrUnclear)
	}
	isPlain, err := isPlainDir(dir)
	if err == nil && !isPlain {
		err = fmt.Errorf("%s has attributes of the overlay: %w", dir, ErrUnclear)
	}
	return true, false, err
}

// isWhiteout reports whether an entry of a layer says that lower layers' entry was removed.
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

// isPlainDir reports whether a directory says nothing beyond its entries and owner: it hides no lower
// one (overlay.opaque), has no content elsewhere (overlay.redirect) and no other owner for containers
// (containers.override_stat).
func isPlainDir(dir string) (bool, error) {
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(dir, names)
	if errors.Is(err, unix.ENOTSUP) {
		return true, nil
	}
	if err != nil {
		return false, unclear(err)
	}
	list := string(names[:n])
	if _, err := os.Lstat(filepath.Join(dir, ".wh..wh..opq")); err == nil {
		return false, nil
	}
	return !strings.Contains(list, "overlay.") && !strings.Contains(list, "override_stat"), nil
}

func ownerOf(path string) (uid, gid int, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, 0, unclear(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, ErrUnclear
	}
	return int(st.Uid), int(st.Gid), nil
}

// unclear adds ErrUnclear to an error.
func unclear(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", err, ErrUnclear)
}
