package updater

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/snapshot"
	"github.com/archipelago-os/archipelago/units/update"
)

const (
	// spare is what an update leaves free where images and data are: a disk without room stops all apps.
	spare = 1 << 30
	// spareState is what it leaves free where archgen's state is.
	spareState = 16 << 20
)

// Measure adds to what is known about an app how much room an update of it needs, how much there is, and
// whether its data can be saved.
func (r *Runner) Measure(ctx context.Context, s *updates.Survey, app *updates.App, o Options) {
	places := []place{{r.Machine.Storage, r.images(s, app) + spare}, {r.Machine.Store.State, spareState}}
	if !o.WithoutSnapshot {
		data := s.Conversion(app)
		size, unsaved := r.snapshots(ctx, data)
		with := append(slices.Clone(places), place{r.Machine.Volumes, size})
		switch {
		case data.Converts:
			app.Facts.Unsaved, places = unsaved, with
		case app.Unsaved != "" || unsaved != "":
			app.Unsaved = cmp.Or(app.Unsaved, unsaved)
		case slices.ContainsFunc(rooms(with), update.Room.IsShort) && !slices.ContainsFunc(rooms(places), update.Room.IsShort):
			app.Unsaved = "there is no room for a copy"
		default:
			places = with
		}
	}
	app.Facts.Room = rooms(places)
	s.Judge(app)
}

// images is how many bytes the images of a release are expected to take: at most twice those of now. It is
// 0 if all are there.
func (r *Runner) images(s *updates.Survey, app *updates.App) int64 {
	listed := podman.Images(r.Machine.Storage)
	isAbsent := func(name string) bool { return !listed[name] }
	if !slices.ContainsFunc(app.Images(), isAbsent) {
		return 0
	}
	return 2 * podman.ImagesSize(r.Machine.Storage, s.Images(app.ID))
}

// snapshots is how many bytes the snapshots of an app's data take, and why one can't be taken. A volume that
// can't be measured counts as none: taking its snapshot fails then, and the app runs on without the update.
func (r *Runner) snapshots(ctx context.Context, data updates.Conversion) (sum int64, unsaved string) {
	if data.OneWay != "" {
		return 0, ""
	}
	for _, volume := range data.Volumes {
		size, err := (&host{r}).volumes().Size(ctx, volume)
		if reason, ok := errors.AsType[*snapshot.Error](err); ok && reason.Reason == snapshot.Unsupported {
			return 0, reason.Message
		}
		if err == nil && size > mostCopied {
			return 0, volume + ": " + snapshot.Excess(size, mostCopied)
		}
		if err == nil {
			sum += size
		}
	}
	return sum, ""
}

// place is a directory, and how many bytes are written there.
type place struct {
	path string
	need int64
}

// rooms adds up what is needed in each file system. What can't be found out is left out.
func rooms(places []place) (list []update.Room) {
	byDevice := map[uint64]update.Room{}
	for _, p := range places {
		path := existing(p.path)
		var st unix.Stat_t
		var fs unix.Statfs_t
		if unix.Stat(path, &st) != nil || unix.Statfs(path, &fs) != nil {
			continue
		}
		room := byDevice[st.Dev]
		if room.Path == "" {
			room.Path = p.path
		}
		room.Need += p.need
		room.Free = int64(fs.Bavail * uint64(fs.Bsize))
		byDevice[st.Dev] = room
	}
	return slices.SortedFunc(maps.Values(byDevice), func(a, b update.Room) int { return cmp.Compare(a.Path, b.Path) })
}

// existing is a directory, or the nearest one around it that exists.
func existing(path string) string {
	for path != "/" && path != "." {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}
