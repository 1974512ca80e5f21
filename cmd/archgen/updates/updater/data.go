package updater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/snapshot"
	"github.com/archipelago-os/archipelago/units/update"
)

// mostCopied is how many bytes of a volume are copied where the file system can't share them. Copying
// takes a second for 300 MB, and the app is down meanwhile.
const mostCopied = 2 << 30

func (h *host) volumes() snapshot.Volumes {
	return snapshot.Volumes{Scope: h.Machine.Scope, Dir: h.Machine.Volumes, Podman: h.Machine.Podman}
}

// Save stops the app and the sharers, and takes snapshots of the volumes. They replace those that are kept
// of an earlier update, to which there is no return then. What takes time and needs no stop comes before.
func (h *host) Save(ctx context.Context, j *update.Journal) (err error) {
	defer func() { err = errors.Join(err, h.Release(j)) }() // also what a run that was killed has blocked
	for _, volume := range j.Volumes {
		if err := h.volumes().Check(ctx, volume); err != nil {
			return err
		}
	}
	if err := h.unshelve(ctx, j.App); err != nil {
		return err
	}
	if err := errors.Join(h.block(j), h.stop(ctx, j)); err != nil {
		return err
	}
	saved := map[string]json.RawMessage{}
	for _, volume := range j.Volumes {
		record, err := h.volumes().Save(ctx, volume, mostCopied)
		if err != nil {
			return err
		}
		if saved[volume], err = json.Marshal(record); err != nil {
			return err
		}
	}
	j.Saved = saved
	return nil
}

// block keeps all that mounts a volume of the app from starting, until Release.
func (h *host) block(j *update.Journal) error { return all(j.Volumes, h.volumes().BlockStarts) }

// stopTime is how long to try to stop what mounts a volume. Databases have up to ten minutes to stop.
const stopTime = 15 * time.Minute

// stop stops all that mounts a volume of the app, and returns when none of it runs. A start that another unit
// asks for meanwhile cancels the job of the stop, so a pass can end before systemd has stopped the service. The
// block refuses that start.
func (h *host) stop(ctx context.Context, j *update.Journal) error {
	for deadline := time.Now().Add(stopTime); ; {
		if err := h.passedAll(ctx, j, units.Stop); err != nil {
			return err
		}
		up, err := h.firstUp(ctx, j)
		switch {
		case err != nil || up == "":
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%s does not stop", up)
		}
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// firstUp is a service that mounts a volume of the app and is not down, empty if there is none.
func (h *host) firstUp(ctx context.Context, j *update.Journal) (string, error) {
	var services []string
	for _, app := range h.Machine.Files().Rendered(slices.Concat(j.Sharers, []string{j.App})) {
		services = append(services, app.Services()...)
	}
	found, err := h.Machine.Services.Observe(ctx, services, false)
	i := slices.IndexFunc(services, func(name string) bool {
		active := found[name].Active
		return active != "" && active != units.Inactive && active != units.Failed
	})
	if err != nil || i < 0 {
		return "", err
	}
	return services[i], nil
}

// Start starts what was stopped.
func (h *host) Start(ctx context.Context, j *update.Journal) error {
	return h.passedAll(ctx, j, units.Start)
}

// passedAll makes a pass over all that mounts a volume of the app, but for apps that were removed meanwhile.
func (h *host) passedAll(ctx context.Context, j *update.Journal, request units.Kind) error {
	var present []string
	for _, id := range slices.Concat(j.Sharers, []string{j.App}) {
		file, err := h.Dir.Find(id)
		if err != nil {
			return err
		}
		if file != "" {
			present = append(present, id)
		}
	}
	return h.passed(ctx, present, request)
}

// HasConverted reports whether the data has a format that the earlier release can't read. The format is
// recorded when the new release starts. One that declares none may have started once it has unit files.
func (h *host) HasConverted(j *update.Journal) (bool, error) {
	if len(j.Saved) > 0 && len(j.Writers) > 0 {
		files, err := h.Machine.Files().Read()
		return slices.ContainsFunc(files.Of(j.App), func(f units.File) bool {
			return slices.Contains(j.Writers, f.Value("Image")) || slices.Contains(j.Writers, f.Value("ImageTag"))
		}), err
	}
	format, err := h.Machine.Store.DataFormat(j.App)
	return format > max(j.Format, j.Reads), err
}

// Restore stops the app and the sharers, and exchanges the data with the snapshots. What was exchanged
// stays so when it is called again.
func (h *host) Restore(ctx context.Context, j *update.Journal) error {
	if err := errors.Join(h.block(j), h.stop(ctx, j)); err != nil {
		return err
	}
	if err := each(ctx, j.Volumes, j.Saved, h.volumes().Swap); err != nil {
		return err
	}
	return h.Machine.Store.SaveDataFormat(j.App, j.Format)
}

// checkSnapshots demands that the snapshots are still there: an app whose data can't be restored would
// stay down.
func (h *host) checkSnapshots(ctx context.Context, k *update.Kept) error {
	err := each(ctx, k.Volumes, k.Saved, h.volumes().CheckSnapshot)
	if reason, ok := errors.AsType[*snapshot.Error](err); ok && reason.Reason == snapshot.Gone {
		return fmt.Errorf("its data can't be restored: %w; without --with-data, the data stays", err)
	}
	return err
}

// each calls do with each volume and the record of its snapshot, until one fails.
func each(ctx context.Context, volumes []string, saved map[string]json.RawMessage, do func(context.Context, string, snapshot.Record) error) error {
	for _, volume := range volumes {
		var record snapshot.Record
		if err := json.Unmarshal(saved[volume], &record); err != nil {
			return fmt.Errorf("reading the record of the snapshot of %s: %w", volume, err)
		}
		if err := do(ctx, volume, record); err != nil {
			return err
		}
	}
	return nil
}

// Write gives the app its unit files again. It is stopped, and stays so.
func (h *host) Write(ctx context.Context, j *update.Journal) error {
	return h.passed(ctx, []string{j.App}, "")
}

// Release lets the app and the sharers start.
func (h *host) Release(j *update.Journal) error { return all(j.Volumes, h.volumes().AllowStarts) }

// all calls do with each volume, also after one fails.
func all(volumes []string, do func(volume string) error) error {
	errs := make([]error, 0, len(volumes))
	for _, volume := range volumes {
		errs = append(errs, do(volume))
	}
	return errors.Join(errs...)
}

// Forget removes the snapshots. One that can't be removed takes room until the next update.
func (h *host) Forget(ctx context.Context, j *update.Journal) { h.forget(ctx, j.App, j.Volumes) }

// forget removes the record of snapshots, and then them: a record of what is not there would stop the app.
func (h *host) forget(ctx context.Context, app string, volumes []string) {
	if err := h.Machine.Store.ForgetKeptSnapshot(app); err != nil {
		h.Failed(err)
		return
	}
	for _, volume := range volumes {
		if err := h.volumes().Drop(ctx, volume); err != nil {
			h.Failed(fmt.Errorf("the snapshot of %s is left: %w", volume, err))
		}
	}
}

// unshelve removes the snapshots that are kept of an app.
func (h *host) unshelve(ctx context.Context, app string) error {
	k, err := h.Machine.Store.KeptSnapshot(app)
	if err == nil && k != nil {
		h.forget(ctx, k.App, k.Volumes)
	}
	return err
}

// keepTime is how long the snapshots of an update that ended well are kept.
const keepTime = 3 * 24 * time.Hour

// Shelve keeps the snapshots for an operator who asks for the earlier release with its data. Those of an
// update before are of no use then, unless one of the two releases had that data.
func (h *host) Shelve(ctx context.Context, j *update.Journal) error {
	if len(j.Saved) > 0 {
		return h.Machine.Store.SaveKeptSnapshot(update.Kept{
			App: j.App, From: j.From.Origin, Format: j.Format, Volumes: j.Volumes, Saved: j.Saved, At: j.Began, Until: h.now().Add(keepTime),
		})
	}
	k, err := h.Machine.Store.KeptSnapshot(j.App)
	if err == nil && k != nil && !k.IsOf(j.From.Origin) && !k.IsOf(j.To.Origin) {
		h.forget(ctx, k.App, k.Volumes)
	}
	return err
}

// forgetExpired removes the snapshots that were kept for long enough. The lock is held.
func (r *Runner) forgetExpired(ctx context.Context) error {
	list, err := r.Machine.Store.KeptSnapshots()
	for _, k := range list {
		if !r.Machine.Store.Now().Before(k.Until) {
			(&host{r}).forget(ctx, k.App, k.Volumes)
		}
	}
	return err
}

// passed makes a pass over apps with the same request for all. The failure of one is the error.
func (h *host) passed(ctx context.Context, ids []string, request units.Kind) error {
	if len(ids) == 0 {
		return nil
	}
	report, err := h.pass(ctx, ids, request, ids)
	if err != nil {
		return err
	}
	for _, a := range report.Results {
		if a.Outcome == reconcile.Failed {
			return fmt.Errorf("%s: %s", a.App, a.Error)
		}
	}
	return nil
}
