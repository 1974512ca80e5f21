package prestart

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/moby/sys/user"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
)

// For most images Podman does what archgen would do: the directory at the mount point is empty, and
// belongs to the image's user. Having Podman tell that takes ten commands, twice the time of a start.
// So archgen reads the image in Podman's storage, and leaves the volume to Podman if the result is
// the same. Whatever is unclear is asked.

// isLeft reports whether the owner of a new volume is left to Podman.
func (p *Part) isLeft(by units.NewVolumes, v units.NewVolume) bool {
	isSame, err := p.choosesSame(by, v)
	return err == nil && isSame
}

// choosesSame reports whether Podman gives a new volume, and what the image puts into it, the owner that
// archgen would give it.
func (p *Part) choosesSame(by units.NewVolumes, v units.NewVolume) (bool, error) {
	if len(p.Recipe.SeedOf(v.Name)) > 0 { // Podman knows no seed
		return false, nil
	}
	spec, isPlain := userOption(by.Podman)
	if !isPlain {
		return false, nil
	}
	image, err := podman.OpenImage(p.Renderer.Storage, by.Image)
	if err != nil {
		return false, err
	}
	if spec == "" {
		spec = image.User
	}
	uid, gid, err := execUser(image, spec)
	if err != nil {
		return false, err
	}
	if uid == 0 && !by.IsNamed {
		return true, nil // the program may switch to another user
	}
	if !v.IsOwn { // Podman would give the volume to each of its containers in turn
		return false, nil
	}
	dir, err := image.Dir(v.Target)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // Podman takes the user of the process
	}
	if err != nil || !dir.Empty {
		return false, err
	}
	return p.isOwner(dir, uid, gid)
}

// userOption is the user among the arguments that create a container. isPlain is false if there is
// anything else.
func userOption(arguments []string) (spec string, isPlain bool) {
	switch len(arguments) {
	case 0:
		return "", true
	case 1:
		return strings.CutPrefix(arguments[0], "--user=")
	}
	return "", false
}

// execUser is the user and group of the process that a user of an image stands for.
func execUser(image podman.Image, spec string) (uid, gid int, err error) {
	var sources [2]io.Reader
	for i, path := range []string{"/etc/passwd", "/etc/group"} {
		switch text, err := image.File(path); {
		case err == nil:
			sources[i] = bytes.NewReader(text)
		case !errors.Is(err, fs.ErrNotExist):
			return 0, 0, err
		}
	}
	found, err := user.GetExecUser(spec, nil, sources[0], sources[1])
	if err != nil {
		return 0, 0, err
	}
	return found.Uid, found.Gid, nil
}

// isOwner reports whether a directory of the image belongs to a user and group of the container.
func (p *Part) isOwner(dir podman.ImageDir, uid, gid int) (bool, error) {
	uids, gids, err := p.IDs()
	if err != nil {
		return false, err
	}
	hostUID, err := podman.HostID(uid, uids)
	if err != nil {
		return false, err
	}
	hostGID, err := podman.HostID(gid, gids)
	return hostUID == dir.UID && hostGID == dir.GID, err
}
