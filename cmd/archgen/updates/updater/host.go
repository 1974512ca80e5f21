package updater

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// host is the machine during an update. It implements update.Machine.
type host struct{ *Runner }

// Keep stores the journal.
func (h *host) Keep(j *update.Journal) error {
	if err := h.Machine.Store.SaveUpdateJournal(j); err != nil {
		return err
	}
	if wasSaved := j.State == update.Applying && len(j.Saved) > 0; !wasSaved && j.State != update.Serving { // else it was recorded before
		h.Record(journal.OfUpdateStep(j))
	}
	return nil
}

// Drop removes the journal.
func (h *host) Drop() error { return h.Machine.Store.SaveUpdateJournal(nil) }

// Installed reads the installed release of an app.
func (h *host) Installed(app string) (update.Release, error) {
	file, err := h.Dir.Find(app)
	if err != nil || file == "" {
		return update.Release{}, err
	}
	return updates.ReleaseIn(h.Dir, app, file)
}

// Install makes a release the installed one. At no time is a manifest without edits installed without
// the overlay of the edits.
func (h *host) Install(app string, r update.Release, grants []string) error {
	steps := []func() error{
		func() error { return h.Dir.SetEdits(app, r.Edits) },
		func() error { return h.Dir.SetPin(app, r.Pin) },
		func() error { _, err := h.Dir.Install(updates.AppOf(app, r, grants)); return err },
	}
	if r.IsTextEdited() {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Accept records the release that an app has now, and the one before. A release that was undone is
// refused.
func (h *host) Accept(j *update.Journal) error {
	store := h.Machine.Store
	refused, err := store.Refused()
	if err != nil {
		return err
	}
	delete(refused, j.To.Digest)
	earlier := &update.Earlier{Release: j.From, Left: j.To.Sum(), LeftEdits: j.To.Edits}
	if j.IsUndo {
		earlier = nil
		refused[j.From.Digest] = update.Refusal{App: j.App, Origin: j.From.Origin, At: h.now(), Why: "undone"}
	}
	if err := store.SaveRefused(refused); err != nil {
		return err
	}
	if err := store.SaveEarlierRelease(j.App, earlier); err != nil {
		return err
	}
	return store.SaveOrigin(j.App, j.To.AsReleased())
}

// Refuse records that a release was rolled back.
func (h *host) Refuse(j *update.Journal) error {
	refused, err := h.Machine.Store.Refused()
	if err != nil {
		return err
	}
	refused[j.To.Digest] = update.Refusal{App: j.App, Origin: j.To.Origin, At: h.now(), Why: j.Why, Log: j.Log}
	return h.Machine.Store.SaveRefused(refused)
}

// Serve makes a pass over the app and the others, and waits until they serve.
func (h *host) Serve(ctx context.Context, j *update.Journal) (update.Verdict, error) {
	k, want, err := h.Source.Installed()
	if err != nil {
		return update.Verdict{}, err
	}
	app, isValid := want.Find(j.App)
	if !isValid {
		return invalid(k, j.App)
	}
	others := slices.DeleteFunc(slices.Concat(j.Others, j.Sharers), func(id string) bool {
		_, isValid := want.Find(id)
		return !isValid
	})
	request, asked := units.Start, []string{}
	switch {
	case len(j.Volumes) > 0: // they were stopped to save the data
		asked = slices.Concat(j.Sharers, []string{j.App})
	case j.State == update.Reverting && (j.Trial != nil || h.isRestarting(ctx, app)):
		request, asked = units.Restart, []string{j.App}
	}
	report, err := h.pass(ctx, slices.Concat(others, []string{j.App}), request, asked)
	if err != nil {
		return update.Verdict{}, err
	}
	v := verdictOf(report, j)
	v.Downtime = h.downtime(ctx, j)
	return v, ctx.Err()
}

// invalid is the verdict of an app whose installed manifest has errors. A file that can't be read is the
// machine's fault. What is not known of the app a later run asks again.
func invalid(k *compile.Compiled, app string) (update.Verdict, error) {
	i := slices.IndexFunc(k.Diags, func(d diag.Diagnostic) bool {
		return d.Severity == diag.Error && manifests.AppOf(d.File) == app
	})
	if i < 0 {
		err := errors.New("its manifest can't be compiled")
		for _, d := range k.Diags {
			err = fmt.Errorf("%w; %v", err, d)
		}
		return update.Verdict{}, err
	}
	v := update.Verdict{Kind: update.Fails, Why: "its manifest has errors: " + k.FirstErrors()[app]}
	if k.Diags[i].Code == diag.Unreadable {
		v.Kind = update.Unavailable
	}
	return v, nil
}

// isRestarting reports whether systemd waits to restart a part of an app: it has ended with the new
// release, and a run that was killed has not started it with the earlier one.
func (h *host) isRestarting(ctx context.Context, app units.App) bool {
	found, err := h.Machine.Services.Observe(ctx, app.Services(), false)
	return err == nil && slices.ContainsFunc(app.Services(), func(name string) bool { return found[name].Restarting })
}

// pass makes a pass over apps, with a request for some of them.
func (h *host) pass(ctx context.Context, ids []string, request units.Kind, asked []string) (reconcile.Report, error) {
	slices.Sort(ids)
	return h.Pass(ctx, slices.Compact(ids), func(id string) units.Kind {
		if slices.Contains(asked, id) {
			return request
		}
		return ""
	})
}

// downtime is how long the last restart of the app took since the update began, 0 if it is unknown.
// healthd or the path unit may have made it.
func (h *host) downtime(ctx context.Context, j *update.Journal) time.Duration {
	service := units.ServiceName(j.App)
	found, err := h.Machine.Services.All(ctx, []string{service})
	u := found[service].Systemd
	if err != nil || u.ActiveExitTimestamp < uint64(j.Began.UnixMicro()) || u.ActiveEnterTimestamp < u.ActiveExitTimestamp {
		return 0
	}
	return time.Duration(u.ActiveEnterTimestamp-u.ActiveExitTimestamp) * time.Microsecond
}

// isHalted is the reasons of apps that are not to run.
var isHalted = map[units.Reason]bool{
	units.ReasonStoppedByOperator: true, units.ReasonMainStopped: true, units.ReasonDisabled: true, units.ReasonMasked: true,
}

// verdictOf is what a pass says of an update. Another app that was up and does not serve now counts, too.
func verdictOf(r reconcile.Report, j *update.Journal) update.Verdict {
	isLeft := false // it is as it was before the pass
	for _, a := range r.Results {
		isItself := a.App == j.App
		isLeft = isLeft || isItself && a.Outcome == reconcile.Unchanged
		if !isItself && !slices.Contains(j.Up, a.App) {
			continue
		}
		v := update.Verdict{Why: a.Error, Log: a.Log}
		if !isItself {
			v.Why = a.App + ": " + a.Error
		}
		switch a.Outcome {
		case reconcile.RolledBack, reconcile.NotServing:
			v.Kind = update.Fails
			return v
		case reconcile.Failed:
			v.Kind = update.Unavailable
		case reconcile.Starting:
			v.Kind = update.Undecided
		case reconcile.Unchanged, reconcile.Done, reconcile.Watched:
			v = update.Verdict{}
		}
		if isItself && v.Kind != update.Serves {
			return v
		}
	}
	for _, a := range r.Actions {
		if isLeft && a.App == j.App && a.Kind == units.Leave && isHalted[a.Reason] {
			return update.Verdict{Kind: update.Halted}
		}
	}
	return update.Verdict{}
}
