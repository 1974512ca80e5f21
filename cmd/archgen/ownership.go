package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/prestart"
)

// A new volume belongs to the container's user. Podman gives it the owner of the
// directory that the image has at its place, at each start until something is in it,
// unless the volume was created with an owner. So it is created anew with one, and its
// content is what Podman puts into a spare volume, given to the user before it is
// renamed into place. A volume that holds anything is never touched, and one that is
// interrupted is either new still or done.

// own gives the new ones of a part's volumes to their user.
func (p *preparation) own(ctx context.Context) error {
	for _, by := range p.recipe.Volumes {
		isNew, err := p.anyNew(ctx, by.List)
		if err == nil && isNew {
			err = p.ownLocked(ctx, by)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *preparation) anyNew(ctx context.Context, list []units.NewVolume) (bool, error) {
	for _, v := range list {
		if isNew, err := p.isNew(ctx, v); err != nil || isNew {
			return isNew, err
		}
	}
	return false, nil
}

// isNew reports whether a volume holds nothing and has no owner yet. That costs no
// process, unless the volume's own directory belongs to somebody else.
func (p *preparation) isNew(ctx context.Context, v units.NewVolume) (bool, error) {
	dir := p.volumeDir(v.Name)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Getuid() {
		return isNewVolume(dir)
	}
	err = p.inVolume(ctx, "isnew", dir)
	return err == nil, nil // isnew fails for a volume that is not
}

// volumeDir is the directory of a volume; its content is in dataDir.
func (p *preparation) volumeDir(name string) string {
	return filepath.Dir(prestart.VolumeDir(p.host.Storage, name))
}

// ownLocked makes sure that no other part of the app does the same at the same time.
func (p *preparation) ownLocked(ctx context.Context, by units.NewVolumes) error {
	unlock, err := lockFile(ctx, filepath.Join(p.host.Runtime, "volumes.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	var fresh []units.NewVolume
	for _, v := range by.List {
		isNew, err := p.isNew(ctx, v)
		if err != nil {
			return err
		}
		if isNew {
			fresh = append(fresh, v)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return errors.Join(p.give(ctx, by, fresh), p.removeSpares(ctx, fresh))
}

// spareOf is the volume that is filled in place of a new one. No app's has such a name.
func spareOf(v units.NewVolume) string { return v.Name + "_new" }

// give creates the volumes for the user of their container.
func (p *preparation) give(ctx context.Context, by units.NewVolumes, fresh []units.NewVolume) error {
	if p.hasSpares(fresh) { // of a start that was interrupted, with the container that uses them
		if err := errors.Join(p.removeContainer(ctx), p.removeSpares(ctx, fresh)); err != nil {
			return err
		}
	}
	owner, err := p.fillSpares(ctx, by, fresh)
	if err != nil {
		return err
	}
	for _, v := range fresh {
		if owner.isRoot && !by.IsNamed {
			err = p.inVolume(ctx, "leave", p.volumeDir(v.Name))
		} else {
			err = p.recreate(ctx, v, owner)
		}
		if err != nil {
			return fmt.Errorf("giving the new volume %s to the container's user: %w", v.Name, err)
		}
	}
	return nil
}

// fillSpares lets Podman fill spare volumes with what the image has, and tells the
// user of the container. The container is made and never started: its program is one
// that each container has, so that it need not be known.
func (p *preparation) fillSpares(ctx context.Context, by units.NewVolumes, fresh []units.NewVolume) (processOwner, error) {
	create := append([]string{"create", "--replace", "--name=" + p.stepContainer(), "--network=none", "--log-driver=none", "--entrypoint=[\"/proc/self/exe\"]"}, by.Podman...)
	for _, v := range fresh {
		create = append(create, "--volume="+spareOf(v)+":"+v.Target)
	}
	var owner processOwner
	err := p.c.podman.Run(ctx, append(create, by.Image)...)
	if err == nil {
		err = p.c.podman.Run(ctx, "init", p.stepContainer())
	}
	if err == nil {
		owner, err = p.processOwner(ctx)
	}
	return owner, errors.Join(err, p.removeContainer(ctx))
}

// processOwner is the user of a container's process, as Podman's user namespace
// numbers it.
type processOwner struct {
	uid, gid int
	// isRoot: within the container it is root.
	isRoot bool
}

// idMap is a range of ids of a container's user namespace.
type idMap struct {
	Container int `json:"containerID"`
	Host      int `json:"hostID"`
	Size      int `json:"size"`
}

// outside is what an id of a container is outside of its namespace.
func outside(id int, mappings []idMap) (int, error) {
	for _, m := range mappings {
		if id >= m.Container && id < m.Container+m.Size {
			return m.Host + id - m.Container, nil
		}
	}
	if len(mappings) > 0 {
		return 0, fmt.Errorf("the id %d is not one of the container's user namespace", id)
	}
	return id, nil
}

func (p *preparation) processOwner(ctx context.Context) (owner processOwner, err error) {
	out, err := p.c.podman.Output(ctx, "container", "inspect", "--format={{.OCIConfigPath}}", p.stepContainer())
	if err != nil {
		return owner, err
	}
	text, err := os.ReadFile(strings.TrimSpace(string(out)))
	if err != nil {
		return owner, err
	}
	var spec struct {
		Process struct {
			User struct{ UID, GID int }
		}
		Linux struct{ UIDMappings, GIDMappings []idMap }
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return owner, fmt.Errorf("reading the configuration of the container: %w", err)
	}
	owner.isRoot = spec.Process.User.UID == 0
	owner.uid, err = outside(spec.Process.User.UID, spec.Linux.UIDMappings)
	if err != nil {
		return owner, err
	}
	owner.gid, err = outside(spec.Process.User.GID, spec.Linux.GIDMappings)
	return owner, err
}

// recreate puts a volume with an owner in the place of an empty one. A container that
// uses the volume already keeps it as it is.
func (p *preparation) recreate(ctx context.Context, v units.NewVolume, owner processOwner) error {
	users, err := p.c.podman.Lines(ctx, "ps", "--all", "--quiet", "--filter=volume="+v.Name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		fmt.Fprintf(p.c.stderr, "archgen: the volume %s is in use and keeps its owner\n", v.Name)
		return nil
	}
	ids := fmt.Sprintf("%d:%d", owner.uid, owner.gid)
	err = p.inVolume(ctx, "clear", p.volumeDir(v.Name))
	if err == nil {
		err = p.removeVolume(ctx, v.Name)
	}
	create := []string{"volume", "create", fmt.Sprintf("--opt=o=uid=%d,gid=%d", owner.uid, owner.gid)}
	for _, label := range v.Labels {
		create = append(create, "--label="+label)
	}
	if err == nil {
		err = p.c.podman.Run(ctx, append(create, v.Name)...)
	}
	if err == nil {
		err = p.inVolume(ctx, "place", p.volumeDir(spareOf(v)), p.volumeDir(v.Name), ids)
	}
	return err
}

// removeSpares removes the spare volumes, whether their work is done or not.
func (p *preparation) removeSpares(ctx context.Context, fresh []units.NewVolume) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	defer cancel()
	errs := make([]error, 0, len(fresh))
	for _, v := range fresh {
		errs = append(errs, p.removeVolume(ctx, spareOf(v)))
	}
	return errors.Join(errs...)
}

func (p *preparation) hasSpares(fresh []units.NewVolume) bool {
	return slices.ContainsFunc(fresh, func(v units.NewVolume) bool {
		_, err := os.Stat(p.volumeDir(spareOf(v)))
		return err == nil
	})
}

// removeVolume removes a volume that no container uses.
func (p *preparation) removeVolume(ctx context.Context, name string) error {
	if _, err := os.Stat(p.volumeDir(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return p.c.podman.Run(ctx, "volume", "rm", name)
}

const (
	// dataDir is where Podman has the content of a volume, within the volume's directory.
	dataDir = "_data"
	// ownedMark is the file beside it that says that the volume has its owner, though it
	// may be empty. Podman removes it with the volume.
	ownedMark = ".archipelago-owner"
)

// isNewVolume reports whether a volume's directory holds no content and no mark. What
// can't be read was given to a user before.
func isNewVolume(dir string) (bool, error) {
	if _, err := os.Lstat(filepath.Join(dir, ownedMark)); err == nil {
		return false, nil
	}
	data, err := os.Open(filepath.Join(dir, dataDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case errors.Is(err, fs.ErrPermission):
		return false, nil
	case err != nil:
		return false, err
	}
	defer data.Close()
	names, _ := data.Readdirnames(1) // its error is EOF where there are none
	return len(names) == 0, nil
}

// clearVolume removes the content directory of a volume, which fails for one that
// holds anything.
func clearVolume(dir string) error {
	err := os.Remove(filepath.Join(dir, dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// placeVolume gives the content of one volume to an owner and makes it that of
// another, which is empty.
func placeVolume(from, to string, uid, gid int) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	err = fs.WalkDir(root.FS(), dataDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return giveTo(root, path, uid, gid)
	})
	if err != nil {
		return err
	}
	// Podman gives the owner to the directory around the content, too, where the user
	// that runs Podman then can't look into it.
	if err := os.Lchown(to, os.Getuid(), os.Getgid()); err != nil {
		return err
	}
	if err := flush(from); err != nil {
		return err
	}
	if err := unix.Rename(filepath.Join(from, dataDir), filepath.Join(to, dataDir)); err != nil { // os.Rename replaces no directory
		return fmt.Errorf("renaming its content into place: %w", err)
	}
	return markOwned(to)
}

// giveTo changes the owner of a file and keeps its permissions, of which the kernel
// takes the set-user-ID bit away.
func giveTo(root *os.Root, path string, uid, gid int) error {
	before, err := root.Lstat(path)
	if err != nil {
		return err
	}
	if err := root.Lchown(path, uid, gid); err != nil {
		return err
	}
	if before.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 || !before.Mode().IsRegular() {
		return nil
	}
	return root.Chmod(path, before.Mode())
}

// markOwned notes that a volume has its owner.
func markOwned(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, ownedMark), nil, 0o600); err != nil {
		return err
	}
	return flush(dir)
}

// flush writes a file system to its disk.
func flush(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// leaveVolume notes that Podman decides about the owner of a volume, if it exists.
func leaveVolume(dir string) error {
	err := markOwned(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lockFile waits for a lock that the kernel releases when its holder ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for %s: %w", path, context.Cause(ctx))
		}
	}
}
