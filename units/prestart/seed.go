package prestart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/archipelago-os/archipelago/units"
)

// A seed is put into the staging volume, over what the image has there: an image that fills its
// volume needs that content, and a seed replaces only the files that it names. The recipe holds
// the seed: neither a container nor another app can change it, and it is rolled back with the
// units.

// keepOwner is the argument of place for content that keeps its owners.
const keepOwner = "keep" // not numbers: -1 would be an option

// plant replaces a new volume with one that has the content of the image and the seed. If the
// owner is left to Podman, the seed belongs to the owner that Podman has given to the staging
// volume.
func (p *Part) plant(ctx context.Context, v units.NewVolume, seed []units.Seed, owner processOwner, isLeft bool) error {
	text, err := json.Marshal(seed)
	if err != nil {
		return err
	}
	if err := p.volume(ctx, bytes.NewReader(text), "seed", p.volumeDir(stagingOf(v))); err != nil {
		return err
	}
	if !isLeft {
		return p.recreate(ctx, v, owner.option(), owner.ids())
	}
	option, err := p.ownerOfContent(ctx, p.volumeDir(stagingOf(v)))
	if err != nil {
		return err
	}
	return p.recreate(ctx, v, option, keepOwner)
}

// seedVolume writes files into a volume that no container uses.
func seedVolume(dir string, stdin io.Reader) error {
	var seed []units.Seed
	if err := json.NewDecoder(stdin).Decode(&seed); err != nil {
		return fmt.Errorf("reading the seed: %w", err)
	}
	data := filepath.Join(dir, dataDir)
	root, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // the file system is flushed before the volume is placed
	for _, s := range seed {
		err := keep(data, path.Dir(s.Path), "-1", "-1", "755")
		if err == nil {
			err = writeSeed(root, s)
		}
		if err != nil {
			return fmt.Errorf("writing %s of the seed: %w", s.Path, err)
		}
	}
	return nil
}

// writeSeed replaces a file, or a link, with one of the owner of its directory. It does not
// leave the volume, whatever links the image has there.
func writeSeed(root *os.Root, s units.Seed) error {
	around, err := root.Open(path.Dir(s.Path))
	if err != nil {
		return err
	}
	uid, gid := ownerOfFile(around)
	err = around.Close()
	if removed := root.Remove(s.Path); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	if err != nil {
		return err
	}
	f, err := root.OpenFile(s.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(s.Content)
	err = errors.Join(err, f.Chown(uid, gid), f.Chmod(fs.FileMode(s.Mode).Perm()))
	return errors.Join(err, f.Close())
}
