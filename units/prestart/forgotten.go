package prestart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Podman may forget a volume whose directory is there: its database was lost, or the directory
// comes from a backup. The unit of the volume does nothing then, and Podman would take the
// directory with the container, without labels, and give its top to root. So archgen makes Podman
// know the volume before, with its labels and the owner that it has. What it contains stays.
//
// Asking Podman takes as long as most of a start. archgen asks once for each directory and
// database, and records that in a file of the part.

// volumesDir is the directory of the records in the state directory. Each part has its own, so that
// the first starts of many apps don't wait for each other.
const volumesDir = "volumes"

func (p *Part) volumesFile() string { return p.ID + ".json" }

// madeFile is the record in the runtime directory of the volumes that the last pass has created itself.
const madeFile = "volumes.json"

// knownVolumes is the part's volumes that Podman knows, as far as archgen has asked.
type knownVolumes struct {
	// Database identifies the file of Podman's database.
	Database string `json:"database"`
	// Volumes is what identifies the directory of each volume.
	Volumes map[string]string `json:"volumes"`
}

// has reports whether Podman knows a volume with that directory.
func (k knownVolumes) has(name, dir string) bool { return dir != "" && k.Volumes[name] == dir }

// rememberVolumes makes Podman know the part's volumes that it has forgotten. Those that archgen
// has just created it knows.
func (p *Part) rememberVolumes(ctx context.Context, created []string) error {
	known := p.knownVolumes()
	unasked := p.unasked(known)
	if len(unasked) == 0 {
		return nil
	}
	made := p.Renderer.volumesIn(p.Renderer.Runtime, madeFile)
	for _, v := range unasked {
		if slices.Contains(created, v.Name) || made.has(v.Name, identityOf(p.volumeDir(v.Name))) || p.hasJustMade(ctx, v.Name) {
			continue
		}
		if err := p.remember(ctx, v); err != nil {
			return fmt.Errorf("making Podman know the volume %s: %w", v.Name, err)
		}
	}
	var names []string
	for _, by := range p.Recipe.Volumes {
		for _, v := range by.List {
			names = append(names, v.Name)
		}
	}
	return p.Renderer.recordVolumes(filepath.Join(p.Renderer.State, volumesDir), p.volumesFile(), names)
}

// RecordMade records volumes that Podman has just created for a pass, so that no start of an app asks
// Podman about them. Their units have not run.
func (r Renderer) RecordMade(names []string) error {
	return r.recordVolumes(r.Runtime, madeFile, names)
}

// recordVolumes records in a file that Podman knows volumes.
func (r Renderer) recordVolumes(dir, file string, names []string) error {
	known := knownVolumes{Database: databaseOf(r.Storage), Volumes: map[string]string{}}
	for _, name := range names {
		known.Volumes[name] = identityOf(filepath.Dir(VolumeDir(r.Volumes, name)))
	}
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return durable.Replace(dir, file, append(text, '\n'))
}

// hasJustMade reports whether the directory of a volume is from the last run of the service that makes
// the volume, and Podman's database is not younger: then Podman knows the volume.
func (p *Part) hasJustMade(ctx context.Context, volume string) bool {
	_, database := findDatabase(p.Renderer.Storage)
	dir, err := born(p.volumeDir(volume))
	if err != nil {
		return false // Podman is asked
	}
	manager, err := p.Systemd(ctx)
	if err != nil {
		return false
	}
	defer manager.Close()
	start, end, err := manager.Ran(ctx, units.VolumeService(volume))
	return err == nil && dir.After(start) && dir.Before(end) && database.Before(end)
}

// born returns when a file was created.
func born(path string) (time.Time, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BTIME, &st)
	if err == nil && st.Mask&unix.STATX_BTIME == 0 {
		err = errors.New("the file system keeps no time of birth")
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)), err
}

// knownVolumes reads the record of the part.
func (p *Part) knownVolumes() knownVolumes {
	return p.Renderer.volumesIn(filepath.Join(p.Renderer.State, volumesDir), p.volumesFile())
}

// volumesIn reads a record. It is empty if the database differs, or the record is damaged.
func (r Renderer) volumesIn(dir, file string) (k knownVolumes) {
	text, err := durable.ReadFile(dir, file)
	if err != nil || json.Unmarshal(text, &k) != nil || k.Database != databaseOf(r.Storage) {
		return knownVolumes{}
	}
	return k
}

// unasked is the part's volumes that have a directory and are not recorded.
func (p *Part) unasked(known knownVolumes) (list []units.NewVolume) {
	for _, by := range p.Recipe.Volumes {
		for _, v := range by.List {
			if dir := identityOf(p.volumeDir(v.Name)); dir != "" && !known.has(v.Name, dir) {
				list = append(list, v)
			}
		}
	}
	return list
}

// remember makes Podman know a volume, under a lock, because another part may mount it too. Podman
// gives the directory of a volume, and the one of its content, to the owner that it is told.
func (p *Part) remember(ctx context.Context, v units.NewVolume) error {
	unlock, err := durable.LockFile(ctx, p.Renderer.Runtime, volumesLock, untilCancelled)
	if err != nil {
		return err
	}
	defer unlock()
	if isKnown, err := p.Podman.Exists(ctx, "volume", v.Name); err != nil || isKnown {
		return err
	}
	dir := p.volumeDir(v.Name)
	create := []string{"volume", "create"}
	owner, err := p.ownerOfContent(ctx, dir)
	switch {
	case err != nil:
		return err
	case owner != "":
		create = append(create, "--opt=o="+owner)
	}
	for _, label := range v.Labels {
		create = append(create, "--label="+label)
	}
	if err := p.Podman.Run(ctx, append(create, v.Name)...); err != nil {
		return err
	}
	return p.volume(ctx, nil, "reclaim", dir)
}

// ownerOfContent is the owner of a volume's content as an option of the volume, in the IDs of
// Podman's user namespace. It is empty if there is no content.
func (p *Part) ownerOfContent(ctx context.Context, dir string) (string, error) {
	var st unix.Stat_t
	data := filepath.Join(dir, dataDir)
	switch err := unix.Stat(data, &st); {
	case err == nil && p.Scope == units.System:
		return fmt.Sprintf("uid=%d,gid=%d", st.Uid, st.Gid), nil
	case errors.Is(err, unix.ENOENT):
		return "", nil
	}
	out, err := p.Podman.Output(ctx, "unshare", "stat", "--format=uid=%u,gid=%g", data)
	return strings.TrimSpace(string(out)), err
}

// databaseOf identifies Podman's database.
func databaseOf(storage string) string {
	identity, _ := findDatabase(storage)
	return identity
}

// findDatabase finds Podman's database: SQLite, or BoltDB of an older version. An identity has the
// time of birth, since a new file may get the inode of the old one.
func findDatabase(storage string) (identity string, born time.Time) {
	for _, file := range []string{"db.sql", "libpod/bolt_state.db"} {
		var st unix.Statx_t
		if unix.Statx(unix.AT_FDCWD, filepath.Join(storage, file), 0, unix.STATX_INO|unix.STATX_BTIME, &st) == nil {
			return fmt.Sprintf("%s %d %d.%09d", file, st.Ino, st.Btime.Sec, st.Btime.Nsec), time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
		}
	}
	return "", time.Time{}
}

// identityOf identifies the directory of a volume, empty if there is none. Its change time
// differs after it was moved, or restored from a backup.
func identityOf(dir string) string {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d.%09d", st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
}

// reclaimVolume gives the directory around a volume's content back to the user who runs Podman,
// and records that the content has its owner.
func reclaimVolume(dir string) error {
	if err := os.Lchown(dir, os.Getuid(), os.Getgid()); err != nil {
		return err
	}
	return markOwned(dir)
}
