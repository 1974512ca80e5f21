package updater

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/trial"
	"github.com/archipelago-os/archipelago/units/update"
)

// logLines is the number of log lines of a service that failed in a trial.
const logLines = 10

// Try begins the trial of a release: it records how often the services of the app, and of the apps that
// were up before, have been restarted so far.
func (h *host) Try(ctx context.Context, j *update.Journal) (until time.Time, err error) {
	if j.TrialTime == 0 {
		return time.Time{}, nil
	}
	k, want, err := h.Source.Installed()
	if err != nil {
		return time.Time{}, err
	}
	app, isValid := want.Find(j.App)
	if !isValid { // its digest would be another one later
		v, err := invalid(k, j.App)
		return time.Time{}, cmp.Or(err, errors.New(v.Why))
	}
	var services []string
	for _, id := range append([]string{j.App}, j.Up...) {
		app, _ := want.Find(id)
		services = append(services, app.Services()...)
	}
	found, err := h.Machine.Services.Observe(ctx, services, false)
	if err != nil {
		return time.Time{}, err
	}
	t := &update.Trial{Since: h.now(), Until: h.now().Add(j.TrialTime), Boot: h.Boot, Manifest: app.ManifestDigest, Restarts: map[string]uint32{}}
	for _, service := range services {
		if u := found[service]; !u.IsAtRest() { // a part that has done its work is not watched
			t.Restarts[service] = u.Restarts
		}
	}
	on := *j
	on.State, on.Trial = update.OnTrial, t
	on.Volumes, on.Saved, on.Sharers = nil, nil, nil // the release serves: its data is the only one
	return t.Until, h.Machine.Store.SaveTrial(&on)
}

// Withdraw ends the trial of a release. It records that the app has its earlier release again, and how to
// return to the one before that.
func (h *host) Withdraw(j *update.Journal) error {
	store := h.Machine.Store
	return errors.Join(store.EndTrial(j.App), store.SaveEarlierRelease(j.App, j.Earlier), store.SaveOrigin(j.App, j.From.AsReleased()))
}

// concludeTrials removes expired snapshots, and ends the trials that are over or in which something
// failed, except those of some apps. The lock is held.
func (r *Runner) concludeTrials(ctx context.Context, isLeft func(app string) bool) error {
	if err := r.forgetExpired(ctx); err != nil {
		return err
	}
	list, err := r.Machine.Store.Trials()
	if err != nil {
		return err
	}
	// The newest release is the first one that is blamed for what fails.
	slices.SortStableFunc(list, func(a, b *update.Journal) int { return b.Trial.Since.Compare(a.Trial.Since) })
	for _, j := range list {
		if isLeft(j.App) {
			continue
		}
		if err := r.conclude(ctx, j, trial.Apps(list)); err != nil {
			return err
		}
	}
	return nil
}

// conclude ends the trial of an app if it is over or something failed in it.
func (r *Runner) conclude(ctx context.Context, j *update.Journal, onTrial map[string]bool) error {
	h := &host{r}
	v, err := h.judge(ctx, j, onTrial)
	if err != nil {
		return err
	}
	result := update.Result{App: j.App, From: j.From.Origin, To: j.To.Origin, Why: v.Why}
	switch v.Kind {
	case trial.Pending:
		return nil
	case trial.Passed:
		result.Outcome = update.Passed
	case trial.Superseded:
		result.Outcome = update.Superseded
	case trial.Failed:
		j.Why, j.Log = v.Why, r.Machine.Services.Log(ctx, v.Service, logLines)
		isConverted, err := h.HasConverted(j)
		if err != nil {
			return err
		}
		if !isConverted {
			return r.rollBack(ctx, j)
		}
		result.Outcome, result.Log = update.Stays, j.Log
		k, err := r.Machine.Store.KeptSnapshot(j.App)
		if err != nil {
			return err
		}
		if k != nil {
			result.Snapshot = k.At
		}
	}
	if err := r.Machine.Store.EndTrial(j.App); err != nil {
		return err
	}
	r.tell(result)
	return nil
}

// rollBack rolls back a release that failed in its trial.
func (r *Runner) rollBack(ctx context.Context, j *update.Journal) error {
	j.State, j.IsBlamed, j.IsAccepted = update.Reverting, true, true
	if err := (&host{r}).Keep(j); err != nil {
		return err
	}
	if _, err := r.complete(ctx, j); err != nil {
		return err
	}
	return r.excuse(ctx, j.Up)
}

// excuse has the other trials count the restarts of some apps from now on: another release is to blame
// for what they did so far.
func (r *Runner) excuse(ctx context.Context, apps []string) error {
	list, err := r.Machine.Store.Trials()
	if err != nil {
		return err
	}
	for _, j := range list {
		for service := range j.Trial.Restarts {
			if !slices.Contains(apps, units.AppOf(service)) {
				continue
			}
			found, err := r.Machine.Services.Observe(ctx, []string{service}, false)
			if err != nil {
				return err
			}
			j.Trial.Restarts[service] = found[service].Restarts
		}
		if err := r.Machine.Store.SaveTrial(j); err != nil {
			return err
		}
	}
	return nil
}

// settlePause is the time between two observations of services that start or stop.
const settlePause = 500 * time.Millisecond

// settleTime is how long to wait for services that start or stop before a trial is judged.
const settleTime = 30 * time.Second

// judge says how the trial of an app stands, once its services neither start nor stop.
func (h *host) judge(ctx context.Context, j *update.Journal, onTrial map[string]bool) (trial.Verdict, error) {
	installed, err := h.Installed(j.App)
	if err != nil {
		return trial.Verdict{}, err
	}
	_, want, err := h.Source.Installed()
	if err != nil {
		return trial.Verdict{}, err
	}
	app, isValid := want.Find(j.App)
	isChanged := app.ManifestDigest != j.Trial.Manifest // with overlays, templates and seeds
	if !isValid {
		isChanged = installed.Sum() != j.To.Sum()
	}
	if isChanged {
		return trial.Verdict{Kind: trial.Superseded, Why: "it was changed or removed in its trial"}, nil
	}
	history, err := h.Machine.Store.History()
	if err != nil {
		return trial.Verdict{}, err
	}
	services := want.Services()
	for deadline := time.Now().Add(settleTime); ; {
		found, err := h.Machine.Services.Observe(ctx, services, false)
		if err != nil {
			return trial.Verdict{}, err
		}
		seen := trial.Seen{Now: h.Machine.Store.Now(), Boot: h.Boot, Units: found, History: history, OnTrial: onTrial, IsShaken: isShaken(app, found, h.Machine.Store.Now().Sub(j.Trial.Since))}
		v := trial.Judge(j, seen)
		isSettled := !slices.ContainsFunc(app.Services(), func(name string) bool { return found[name].IsOnItsWay() })
		if isSettled || v.Kind == trial.Failed || time.Now().After(deadline) {
			return v, nil
		}
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// isShaken reports whether an app that the app needs is not up, or came up during the trial.
func isShaken(app units.App, found map[string]units.Unit, trial time.Duration) bool {
	return slices.ContainsFunc(app.Needs, func(id string) bool {
		u, isKnown := found[units.ServiceName(id)]
		return isKnown && (u.Active != units.Active || u.Up < trial)
	})
}
