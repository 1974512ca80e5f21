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
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// A new volume is owned by the container's user. Without archgen, Podman would give it the
// owner of the image's directory at the mount point, at each start until the volume has
// content, unless the volume was created with an owner. So archgen recreates it with one.
// The content comes from a staging volume that Podman fills from the image: archgen changes
// the owner of that content and renames it into place. A seed is put over that content before. archgen
// never touches a volume with content. After an interruption a volume is either still new or finished.

// volumesLock is the lock of changes to volumes: several parts may mount one.
const volumesLock = "volumes.lock"

// ownNewVolumes changes the owner of the part's new volumes to the container's user, and returns
// the names of those that it created.
func (p *Part) ownNewVolumes(ctx context.Context) (created []string, err error) {
	for _, by := range p.Recipe.Volumes {
		isNew, err := p.anyNew(ctx, by)
		if err == nil && isNew {
			var names []string
			names, err = p.ownLocked(ctx, by)
			created = append(created, names...)
		}
		if err != nil {
			return nil, err
		}
	}
	return created, nil
}

// anyNew reports whether the owner of any volume has to be set.
func (p *Part) anyNew(ctx context.Context, by units.NewVolumes) (bool, error) {
	for _, v := range by.List {
		if isNew, err := p.isNew(ctx, v); err != nil || isNew && !p.isLeft(by, v) {
			return isNew, err
		}
	}
	return false, nil
}

// isNew reports whether a volume is empty and has no owner yet. It starts a process only if
// the volume's own directory belongs to another user.
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
	return err == nil, nil // isnew fails for a volume that is not new
}

// volumeDir returns the directory of a volume. The content is in its subdirectory dataDir.
func (p *Part) volumeDir(name string) string {
	return filepath.Dir(VolumeDir(p.Renderer.Volumes, name))
}

// untilCancelled is a timeout that never expires: systemd's start timeout ends the command.
const untilCancelled = 365 * 24 * time.Hour

// ownLocked is ownNewVolumes for the volumes of one user, under a lock, because another
// part of the app may mount them too.
func (p *Part) ownLocked(ctx context.Context, by units.NewVolumes) (created []string, err error) {
	unlock, err := durable.LockFile(ctx, p.Renderer.Runtime, volumesLock, untilCancelled)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var fresh []units.NewVolume
	for _, v := range by.List {
		isNew, err := p.isNew(ctx, v)
		if err != nil {
			return nil, err
		}
		if isNew && !p.isLeft(by, v) {
			fresh = append(fresh, v)
		}
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	created, err = p.giveOwner(ctx, by, fresh)
	return created, errors.Join(err, p.removeStaging(ctx, fresh))
}

// stagingOf returns the name of the staging volume of a new one. The `_` distinguishes it
// from volumes of apps.
func stagingOf(v units.NewVolume) string { return v.Name + "_new" }

// giveOwner creates the volumes with their container's user as the owner.
func (p *Part) giveOwner(ctx context.Context, by units.NewVolumes, fresh []units.NewVolume) (created []string, err error) {
	if p.hasStaging(fresh) { // left by an interrupted start, together with its container
		if err := errors.Join(p.removeContainer(ctx), p.removeStaging(ctx, fresh)); err != nil {
			return nil, err
		}
	}
	owner, err := p.fillStaging(ctx, by, fresh)
	if err != nil {
		return nil, err
	}
	for _, v := range fresh {
		isLeft := owner.isRoot && !by.IsNamed // the program may switch to another user
		seed := p.Recipe.SeedOf(v.Name)
		switch {
		case len(seed) > 0:
			err = p.plant(ctx, v, seed, owner, isLeft)
		case isLeft:
			err = p.volume(ctx, nil, "leave", p.volumeDir(v.Name))
		default:
			err = p.recreate(ctx, v, owner.option(), owner.ids())
		}
		if err != nil {
			return nil, fmt.Errorf("giving the new volume %s to the container's user: %w", v.Name, err)
		}
		if !isLeft || len(seed) > 0 {
			created = append(created, v.Name)
		}
	}
	return created, nil
}

// fillStaging has Podman fill the staging volumes from the image, and returns the user of
// the container. The container is created and never started. Its entrypoint is a program
// that exists in every container.
func (p *Part) fillStaging(ctx context.Context, by units.NewVolumes, fresh []units.NewVolume) (processOwner, error) {
	create := append([]string{"create", "--replace", "--name=" + p.stepContainer(), "--network=none", "--log-driver=none", "--entrypoint=[\"/proc/self/exe\"]"}, by.Podman...)
	for _, v := range fresh {
		create = append(create, "--volume="+stagingOf(v)+":"+v.Target)
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

// processOwner is the user of a container's process, in the IDs of Podman's user namespace.
type processOwner struct {
	uid, gid int
	// isRoot: the process is root within the container.
	isRoot bool
}

// option is the owner as an option of a new volume.
func (o processOwner) option() string { return fmt.Sprintf("uid=%d,gid=%d", o.uid, o.gid) }

// ids is the owner as the argument of place.
func (o processOwner) ids() string { return fmt.Sprintf("%d:%d", o.uid, o.gid) }

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
		Linux struct{ UIDMappings, GIDMappings []podman.IDRange }
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return owner, fmt.Errorf("reading the configuration of the container: %w", err)
	}
	owner.isRoot = spec.Process.User.UID == 0
	owner.uid, err = podman.HostID(spec.Process.User.UID, spec.Linux.UIDMappings)
	if err != nil {
		return owner, err
	}
	owner.gid, err = podman.HostID(spec.Process.User.GID, spec.Linux.GIDMappings)
	return owner, err
}

// recreate replaces an empty volume with one that has an owner, and moves the content of the
// staging volume there. ids is the owner of that content. It does not change a volume that a
// container uses.
func (p *Part) recreate(ctx context.Context, v units.NewVolume, option, ids string) error {
	users, err := p.Podman.Lines(ctx, "ps", "--all", "--quiet", "--filter=volume="+v.Name)
	switch {
	case err != nil:
		return err
	case len(users) > 0 && len(p.Recipe.SeedOf(v.Name)) > 0: // the app would write its defaults, and never get the seed
		return errors.New("it is empty and a container uses it, so it can't get its initial content: remove that container, see podman ps --all --filter volume=" + v.Name)
	case len(users) > 0:
		fmt.Fprintf(p.Stderr, "archgen: the volume %s is in use and keeps its owner\n", v.Name)
		return nil
	}
	err = p.volume(ctx, nil, "clear", p.volumeDir(v.Name))
	if err == nil {
		err = p.removeVolume(ctx, v.Name)
	}
	create := []string{"volume", "create", "--opt=o=" + option}
	for _, label := range v.Labels {
		create = append(create, "--label="+label)
	}
	if err == nil {
		err = p.Podman.Run(ctx, append(create, v.Name)...)
	}
	if err == nil {
		err = p.volume(ctx, nil, "place", p.volumeDir(stagingOf(v)), p.volumeDir(v.Name), ids)
	}
	return err
}

// removeStaging removes the staging volumes, also after an error.
func (p *Part) removeStaging(ctx context.Context, fresh []units.NewVolume) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), podmancli.RemoveTime)
	defer cancel()
	errs := make([]error, 0, len(fresh))
	for _, v := range fresh {
		errs = append(errs, p.removeVolume(ctx, stagingOf(v)))
	}
	return errors.Join(errs...)
}

func (p *Part) hasStaging(fresh []units.NewVolume) bool {
	return slices.ContainsFunc(fresh, func(v units.NewVolume) bool {
		_, err := os.Stat(p.volumeDir(stagingOf(v)))
		return err == nil
	})
}

// removeVolume removes a volume that no container uses.
func (p *Part) removeVolume(ctx context.Context, name string) error {
	if _, err := os.Stat(p.volumeDir(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := p.Podman.Run(ctx, "volume", "rm", name)
	if err == nil {
		return nil
	}
	if isKnown, unknown := p.Podman.Exists(ctx, "volume", name); unknown == nil && !isKnown {
		return nil // Podman has forgotten it, and takes its directory for the next one
	}
	return err
}
