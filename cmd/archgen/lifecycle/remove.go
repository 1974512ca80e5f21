package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
)

// Removal is which apps are removed, and what is deleted with them.
type Removal struct {
	IDs []string
	// Purge: their data is deleted, too.
	Purge bool
	// Yes: the data is deleted without a question.
	Yes bool
}

// Remove stops apps and their companions, and removes them.
func (a Apps) Remove(r Removal) error {
	dir, err := a.Directory()
	if err != nil {
		return err
	}
	k, _, err := a.Installed()
	if err != nil {
		return err
	}
	ids, notes, err := install.Removable(k, dir, r.IDs)
	for _, note := range notes {
		fmt.Fprintln(a.Stderr, note)
	}
	if err != nil {
		return err
	}
	m, err := a.Local()
	if err != nil {
		return err
	}
	ctx, stop := session.Interruptible()
	defer stop()
	purged := ids
	if !r.Purge {
		purged = install.Disposable(k, ids)
	}
	data := &install.Data{}
	if len(purged) > 0 {
		if data, err = install.DataOf(ctx, m.Secrets, dir, purged); err != nil {
			return err
		}
		if err := a.confirmDeletion(data, r.Yes); err != nil {
			return err
		}
	}
	if err := dir.Remove(ids...); err != nil {
		return err
	}
	// healthd or the path unit may already be stopping the app, which can take minutes.
	// The data of the app must not be deleted before the app has stopped.
	a.Patience = a.Timeout
	a.Idle = strings.Join(ids, ", ") + ": removed (already applied by healthd or the path unit)"
	if err := a.Apply(nil, passes.Always("")); err != nil {
		return err
	}
	if err := errors.Join(m.Renderer().Forget(ids, purged), m.Store.ForgetUpdates(ids)); err != nil || len(purged) == 0 {
		return err
	}
	return a.purge(ctx, data, purged)
}

// confirmDeletion lists data, and asks whether to delete it.
func (a Apps) confirmDeletion(data *install.Data, isConfirmed bool) error {
	for _, what := range data.List() {
		fmt.Fprintf(a.Stderr, "deleting the %s\n", what)
	}
	if !isConfirmed && !data.IsEmpty() && !ui.Confirm(a.Stdin, a.Stderr, "this can't be undone. Delete? [y/N] ") {
		return errors.New("nothing was removed or deleted; --yes deletes without asking")
	}
	return nil
}

// purge deletes the data of removed apps, once none of their services runs. The units of the volumes
// stop last: stopping that of a volume that is in use would stop its users.
func (a Apps) purge(ctx context.Context, data *install.Data, ids []string) error {
	m, err := a.Connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := install.StopServices(ctx, m.Services, ids); err != nil {
		return err
	}
	if err := data.Delete(ctx); err != nil {
		return err
	}
	return install.StopVolumes(ctx, m.Services, ids)
}
