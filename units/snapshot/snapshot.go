// Package snapshot owns the snapshot of a volume: the copy of its data that is taken before an
// update, while no container uses the volume. It takes the snapshot, exchanges it with the data,
// and removes it, and keeps containers from starting meanwhile. Files share their blocks with the
// data where the file system can do that (reflink).
//
// It never stops or starts an app, and never decides which volumes need a snapshot. It remembers
// nothing: the caller keeps the Record of Save. It works only in the directory of the volume, and
// follows no link there. It starts no process but Podman, through a podmancli.Runner.
package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Name is the name of a snapshot in the directory of its volume. It is complete whenever it is
// there. Podman removes it with the volume.
const Name = "archipelago.before"

const (
	// dataDir is where Podman keeps the data of a volume, in the directory of the volume.
	dataDir = "_data"
	// partialDir is a snapshot that is being taken or removed. An interrupted run leaves it, and the
	// next one removes it.
	partialDir = "archipelago.partial"
)

// ID identifies a directory, whatever its name is, also after a boot. It has no device number: the
// kernel gives those out at each boot.
type ID struct {
	Inode uint64 `json:"inode"`
	// Born is when the directory was created, in nanoseconds since 1970, 0 if the file system does
	// not record it. A file system uses the inode of a removed directory again.
	Born int64 `json:"born"`
}

// Record is the result of Save.
type Record struct {
	// Data is the directory of the data that the snapshot was taken of.
	Data ID `json:"data"`
	// Snapshot is the directory of the snapshot.
	Snapshot ID `json:"snapshot"`
	// Copied is how many bytes were copied, because the file system could not share them.
	Copied int64 `json:"copied"`
}

// Reason is why a snapshot can't be taken, or can't replace the data. Other errors are those of the
// file system.
type Reason string

// The reasons.
const (
	// NoRoom: the file system has no room for a copy.
	NoRoom Reason = "no-room"
	// TooLarge: the file system can't share the data, and it is larger than what may be copied.
	TooLarge Reason = "too-large"
	// InUse: the data changed during the copy, so a program uses the volume.
	InUse Reason = "in-use"
	// Unsupported: there can't be a snapshot of this volume, such as one on a device.
	Unsupported Reason = "unsupported"
	// Gone: the volume, its data or its snapshot is not the recorded one.
	Gone Reason = "gone"
)

// Error is an error with a Reason.
type Error struct {
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func refused(reason Reason, format string, args ...any) error {
	return &Error{reason, fmt.Sprintf(format, args...)}
}

// Volumes is the volumes of Podman in a scope.
type Volumes struct {
	Scope units.Scope
	// Dir is the directory in which Podman keeps them.
	Dir    string
	Podman podmancli.Runner
}

// BlockStarts keeps all that mounts a volume from starting, also at a boot and without archgen, until
// AllowStarts. It does not end what runs, nor a start that is under way: systemd looks at the file before a
// start, and not before an automatic restart, so the caller stops the containers afterwards. There is nothing
// to do for a volume that does not exist.
func (v Volumes) BlockStarts(volume string) error {
	dir := filepath.Join(v.Dir, volume)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return durable.Replace(dir, units.VolumeBlock, []byte("archgen apply completes what is done with the data\n"))
}

// AllowStarts ends BlockStarts.
func (v Volumes) AllowStarts(volume string) error {
	return durable.Remove(filepath.Join(v.Dir, volume), units.VolumeBlock)
}

// Size returns how many bytes a snapshot of a volume takes, 0 if its file system shares the data. A
// container may use the volume. An error with the reason Unsupported is one that Save will have, too.
func (v Volumes) Size(ctx context.Context, volume string) (bytes int64, err error) {
	if err := v.Check(ctx, volume); err != nil {
		return 0, err
	}
	err = v.run(ctx, &bytes, "size", v.Dir, volume)
	return bytes, err
}

// Excess says that a copy takes more bytes than may be copied.
func Excess(size, most int64) string {
	return fmt.Sprintf("a copy takes %s that the file system can't share (reflink), and the limit is %s", readable(size), readable(most))
}

// Save takes a snapshot of a volume that no container uses, and returns when it is on the disk.
// Files that the file system can't share are copied, at most so many bytes. An earlier snapshot of
// the volume is replaced when the new one is complete. On an error the earlier one stays. Check comes
// before.
func (v Volumes) Save(ctx context.Context, volume string, most int64) (r Record, err error) {
	err = v.run(ctx, &r, "save", v.Dir, volume, strconv.FormatInt(most, 10))
	return r, err
}

// Swap exchanges the data of a volume that no container uses with the snapshot of a record, in one
// step. The snapshot is the data then, and the data is where the snapshot was. If that has been done
// already, Swap does nothing.
func (v Volumes) Swap(ctx context.Context, volume string, r Record) error {
	return v.about(ctx, "swap", volume, r)
}

// CheckSnapshot demands that Swap will find the snapshot of a record, and the data that it was taken of. A
// container may use the volume.
func (v Volumes) CheckSnapshot(ctx context.Context, volume string, r Record) error {
	return v.about(ctx, "check", volume, r)
}

func (v Volumes) about(ctx context.Context, verb, volume string, r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return v.run(ctx, nil, verb, v.Dir, volume, string(text))
}

// Drop removes the snapshot of a volume, or after a Swap the data that it replaced, if there is
// any.
func (v Volumes) Drop(ctx context.Context, volume string) error {
	return v.run(ctx, nil, "drop", v.Dir, volume)
}

// Check demands that the data of a volume is files in Podman's directory. That of a device or a volume
// plugin is mounted only while a container runs. A container may use the volume.
func (v Volumes) Check(ctx context.Context, volume string) error {
	var list []struct {
		Driver, Mountpoint string
		Options            map[string]string
	}
	if err := v.Podman.JSON(ctx, &list, "volume", "inspect", "--", volume); err != nil || len(list) != 1 {
		if isThere, unknown := v.Podman.Exists(ctx, "volume", volume); unknown == nil && !isThere {
			return refused(Gone, "Podman has no volume %s", volume)
		}
		return errors.Join(fmt.Errorf("podman volume inspect %s returned no volume", volume), err)
	}
	found := list[0]
	switch {
	case found.Driver != "local", found.Options["device"] != "", found.Options["type"] != "":
		return refused(Unsupported, "the volume %s is on a device or of a volume plugin, so archgen can take no snapshot of it", volume)
	case !isSame(filepath.Dir(found.Mountpoint), filepath.Join(v.Dir, volume)):
		return refused(Unsupported, "Podman has the volume %s in %s, which is not in %s", volume, found.Mountpoint, v.Dir)
	}
	return nil
}

func isSame(a, b string) bool {
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return errOne == nil && errOther == nil && os.SameFile(one, other)
}

// run executes a command as root, or in Podman's user namespace, where the owners of a container's
// files are known.
func (v Volumes) run(ctx context.Context, into any, args ...string) error {
	var out bytes.Buffer
	var err error
	if v.Scope == units.System {
		err = Command(ctx, args, &out)
	} else {
		err = v.Podman.Unshare(ctx, podmancli.Call{Args: append([]string{"volume"}, args...), Stdout: &out})
	}
	if err == nil && into != nil {
		err = json.Unmarshal(out.Bytes(), into)
	}
	reason := &Error{}
	if err != nil && json.Unmarshal(out.Bytes(), reason) == nil && reason.Reason != "" {
		err = reason
	}
	return err
}
