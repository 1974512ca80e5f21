package prestart

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

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// A new volume belongs to the container's user. Podman gives it the owner of the
// directory that the image has at its place, at each start until something is in it,
// unless the volume was created with an owner. So it is created anew with one, and its
// content is what Podman puts into a spare volume, given to the user before it is
// renamed into place. A volume that holds anything is never touched, and one that is
// interrupted is either new still or done.

// ownNewVolumes gives the new ones of a part's volumes to their user.
func (p *Part) ownNewVolumes(ctx context.Context) error {
	for _, by := range p.Recipe.Volumes {
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

func (p *Part) anyNew(ctx context.Context, list []units.NewVolume) (bool, error) {
	for _, v := range list {
		if isNew, err := p.isNew(ctx, v); err != nil || isNew {
			return isNew, err
		}
	}
	return false, nil
}

// isNew reports whether a volume holds nothing and has no owner yet. That costs no
// process, unless the volume's own directory belongs to somebody else.
func (p *Part) isNew(ctx context.Context, v units.NewVolume) (bool, error) {
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
	err = p.volume(ctx, nil, "isnew", dir)
	return err == nil, nil // isnew fails for a volume that is not
}

// volumeDir is the directory of a volume; its content is in dataDir.
func (p *Part) volumeDir(name string) string {
	return filepath.Dir(VolumeDir(p.Renderer.Storage, name))
}

// untilCancelled is a timeout that is never over: the start timeout of systemd ends a
// command that waits for too long.
const untilCancelled = 365 * 24 * time.Hour

// ownLocked makes sure that no other part of the app does the same at the same time.
func (p *Part) ownLocked(ctx context.Context, by units.NewVolumes) error {
	unlock, err := durable.LockFile(ctx, p.Renderer.Runtime, "volumes.lock", untilCancelled)
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
func (p *Part) give(ctx context.Context, by units.NewVolumes, fresh []units.NewVolume) error {
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
			err = p.volume(ctx, nil, "leave", p.volumeDir(v.Name))
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
func (p *Part) fillSpares(ctx context.Context, by units.NewVolumes, fresh []units.NewVolume) (processOwner, error) {
	create := append([]string{"create", "--replace", "--name=" + p.stepContainer(), "--network=none", "--log-driver=none", "--entrypoint=[\"/proc/self/exe\"]"}, by.Podman...)
	for _, v := range fresh {
		create = append(create, "--volume="+spareOf(v)+":"+v.Target)
	}
	var owner processOwner
	err := p.Podman.Run(ctx, append(create, by.Image)...)
	if err == nil {
		err = p.Podman.Run(ctx, "init", p.stepContainer())
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

func (p *Part) processOwner(ctx context.Context) (owner processOwner, err error) {
	out, err := p.Podman.Output(ctx, "container", "inspect", "--format={{.OCIConfigPath}}", p.stepContainer())
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
func (p *Part) recreate(ctx context.Context, v units.NewVolume, owner processOwner) error {
	users, err := p.Podman.Lines(ctx, "ps", "--all", "--quiet", "--filter=volume="+v.Name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		fmt.Fprintf(p.Stderr, "archgen: the volume %s is in use and keeps its owner\n", v.Name)
		return nil
	}
	ids := fmt.Sprintf("%d:%d", owner.uid, owner.gid)
	err = p.volume(ctx, nil, "clear", p.volumeDir(v.Name))
	if err == nil {
		err = p.removeVolume(ctx, v.Name)
	}
	create := []string{"volume", "create", fmt.Sprintf("--opt=o=uid=%d,gid=%d", owner.uid, owner.gid)}
	for _, label := range v.Labels {
		create = append(create, "--label="+label)
	}
	if err == nil {
		err = p.Podman.Run(ctx, append(create, v.Name)...)
	}
	if err == nil {
		err = p.volume(ctx, nil, "place", p.volumeDir(spareOf(v)), p.volumeDir(v.Name), ids)
	}
	return err
}

// removeSpares removes the spare volumes, whether their work is done or not.
func (p *Part) removeSpares(ctx context.Context, fresh []units.NewVolume) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), podmancli.RemoveTime)
	defer cancel()
	errs := make([]error, 0, len(fresh))
	for _, v := range fresh {
		errs = append(errs, p.removeVolume(ctx, spareOf(v)))
	}
	return errors.Join(errs...)
}

func (p *Part) hasSpares(fresh []units.NewVolume) bool {
	return slices.ContainsFunc(fresh, func(v units.NewVolume) bool {
		_, err := os.Stat(p.volumeDir(spareOf(v)))
		return err == nil
	})
}

// removeVolume removes a volume that no container uses.
func (p *Part) removeVolume(ctx context.Context, name string) error {
	if _, err := os.Stat(p.volumeDir(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return p.Podman.Run(ctx, "volume", "rm", name)
}
