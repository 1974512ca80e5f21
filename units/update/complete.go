package update

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// State is how far an update has come.
type State string

// The states. Each is kept before its effect.
const (
	// Saving: the app is stopped, and its data is copied, because the new release converts it.
	Saving State = "saving"
	// Applying: the new release replaces the earlier one, and the app starts with it.
	Applying State = "applying"
	// Serving: the app has served with the new release, so its data is not restored any more.
	Serving State = "serving"
	// Reverting: the earlier release replaces it again.
	Reverting State = "reverting"
	// OnTrial: the app serves with the new release, which is rolled back if something fails in its trial.
	// The update has ended as far as other updates are concerned.
	OnTrial State = "on-trial"
)

// Journal is an update that has begun and not ended. It has everything that is needed to complete the
// update or to restore the earlier release.
type Journal struct {
	App   string    `json:"app"`
	State State     `json:"state"`
	Began time.Time `json:"began"`
	// From is the release that is installed, To the one that replaces it.
	From Release `json:"from"`
	To   Release `json:"to"`
	// Grants is the rights that the app is granted with the new release, and GrantsBefore those that it
	// had before. Both are nil if the update grants none.
	Grants       []string `json:"grants"`
	GrantsBefore []string `json:"grants_before"`
	// Others is the apps whose files the new release changes, too. Up is those of them, and the apps that
	// need the app, that were up when the update began. What was not up says nothing of the release.
	Others []string `json:"others,omitempty"`
	Up     []string `json:"up,omitempty"`
	// IsUndo: To is the release that the app had before its last update.
	IsUndo bool `json:"undo,omitempty"`
	// Volumes is the volumes whose data the new release converts or may convert, and that is saved before.
	// Format is the format of the data before, 0 if it is unknown, and Reads the newest one that the earlier
	// release reads.
	Volumes []string `json:"volumes,omitempty"`
	Format  int      `json:"format,omitempty"`
	Reads   int      `json:"reads,omitempty"`
	// Writers is the images with which the new release writes the data, and the earlier one does not, if it
	// declares no format. It may have converted the data once unit files have one of them.
	Writers []string `json:"writers,omitempty"`
	// Sharers is the other apps that mount one of Volumes. They are stopped while data is saved or
	// restored.
	Sharers []string `json:"sharers,omitempty"`
	// Saved identifies the snapshots, by volume, as the machine needs it. It is complete in each state
	// after Saving.
	Saved map[string]json.RawMessage `json:"saved,omitempty"`
	// TrialTime is how long the new release is on trial, 0 for not at all. Trial is set while it is, and
	// afterwards if it failed.
	TrialTime time.Duration `json:"trial_time,omitempty"`
	Trial     *Trial        `json:"trial,omitempty"`
	// IsHalted: the app was stopped before it was known to serve, and keeps the new release.
	IsHalted bool `json:"halted,omitempty"`
	// IsAccepted: To was recorded as the release that the app has.
	IsAccepted bool `json:"accepted,omitempty"`
	// Earlier is what the app had before From, nil if that is unknown.
	Earlier *Earlier `json:"earlier,omitempty"`
	// Why is why the new release is rolled back, and Log the last lines of the app's log.
	Why string   `json:"why,omitempty"`
	Log []string `json:"log,omitempty"`
	// IsBlamed: the new release itself failed, not the machine.
	IsBlamed bool `json:"blamed,omitempty"`
}

// Trial is the time in which a release that serves has to stay up.
type Trial struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Boot identifies the boot in which it began.
	Boot string `json:"boot"`
	// Manifest identifies the manifest of the app with its overlays.
	Manifest string `json:"manifest"`
	// Restarts is how often each watched service had been restarted by systemd before.
	Restarts map[string]uint32 `json:"restarts"`
}

// Kept is the snapshots of an update that ended well.
type Kept struct {
	App string `json:"app"`
	// From is the release that the data was of, and Format its format, 0 if it is unknown.
	From   Origin `json:"from"`
	Format int    `json:"format,omitempty"`
	// Volumes and Saved are those of the journal.
	Volumes []string                   `json:"volumes"`
	Saved   map[string]json.RawMessage `json:"saved"`
	// At is when the data was saved, and Until when the snapshots are removed.
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// IsOf reports whether the snapshots are of the data of a release.
func (k *Kept) IsOf(o Origin) bool { return k.From.Digest == o.Digest }

// ToData is the journal of a return to the data of snapshots, with the installed release.
func ToData(k *Kept, installed Release) *Journal {
	j := &Journal{App: k.App, From: installed, To: installed, Why: "its data is that of " + k.At.Local().Format(time.DateTime)}
	j.restore(k)
	return j
}

// WithData has an undo restore the data of the earlier release as well: as if the later release had not
// served.
func (j *Journal) WithData(k *Kept) {
	j.From, j.To = j.To, j.From
	j.From.Origin = k.From
	j.Why, j.IsBlamed, j.IsAccepted, j.IsUndo = "undone, with its data", true, true, false
	j.restore(k)
}

// restore has an update return to the data of snapshots.
func (j *Journal) restore(k *Kept) {
	j.State, j.Volumes, j.Saved, j.Format = Reverting, k.Volumes, k.Saved, k.Format
}

// Verdict is the outcome of a pass over the app and the others.
type Verdict struct {
	Kind VerdictKind
	// Why and Log explain a failure.
	Why string
	Log []string
	// Downtime is how long the app was down, 0 if it was not or that is unknown.
	Downtime time.Duration
}

// VerdictKind is whether the apps serve after a pass.
type VerdictKind int

// The kinds of verdicts.
const (
	// Serves: all apps serve with their files.
	Serves VerdictKind = iota
	// Fails: an app does not serve, and has its earlier files again if it had any.
	Fails
	// Unavailable: the pass could not change the app, for example without an image.
	Unavailable
	// Undecided: the app has not started yet.
	Undecided
	// Halted: the app was stopped meanwhile.
	Halted
)

// Machine is the access to the machine that an update needs. Each call can be repeated.
type Machine interface {
	// Keep stores the journal durably, and Drop removes it.
	Keep(j *Journal) error
	Drop() error
	// Installed returns the installed release of an app with the overlays of its edits and images, without
	// its origin and its base. It is empty if the app is not installed.
	Installed(app string) (Release, error)
	// Install makes a release the installed one, with the overlays of its edits and images, and with the
	// grants unless they are nil.
	Install(app string, r Release, grants []string) error
	// Save stops the app and the sharers, takes snapshots of the volumes, and sets Saved. Meanwhile nothing
	// that mounts one of the volumes can start.
	Save(ctx context.Context, j *Journal) error
	// Start starts what Save and Restore stopped, as far as it is still installed.
	Start(ctx context.Context, j *Journal) error
	// HasConverted reports whether the earlier release can't read the data any more. If the new release declares
	// no format and the data is saved, it reports whether that may be so.
	HasConverted(j *Journal) (bool, error)
	// Restore stops the app and the sharers and restores the data and its format. From then on nothing that
	// mounts one of the volumes can start, not at a boot either, until Release.
	Restore(ctx context.Context, j *Journal) error
	// Write makes a pass that gives the app its unit files again, and does not start it.
	Write(ctx context.Context, j *Journal) error
	// Release lets the app and the sharers start.
	Release(j *Journal) error
	// Forget removes the snapshots.
	Forget(ctx context.Context, j *Journal)
	// Shelve keeps the snapshots for an operator, for a while. Those of an earlier update are removed, unless
	// they are of the data of one of the two releases.
	Shelve(ctx context.Context, j *Journal) error
	// Serve makes a pass over the app and the others, and waits until they serve.
	Serve(ctx context.Context, j *Journal) (Verdict, error)
	// Accept records that the app has the new release, and how to return to the earlier one.
	Accept(j *Journal) error
	// Try begins the trial of the new release, and returns when it ends, the zero time without one.
	Try(ctx context.Context, j *Journal) (until time.Time, err error)
	// Withdraw ends the trial, and undoes Accept.
	Withdraw(j *Journal) error
	// Refuse records that the new release was rolled back.
	Refuse(j *Journal) error
}

// Outcome is how an update ended.
type Outcome string

// The outcomes.
const (
	// Updated: the app serves with the new release.
	Updated Outcome = "updated"
	// Passed: the trial of the new release has ended, and it served all the time.
	Passed Outcome = "passed"
	// RolledBack: the new release does not serve, and the app serves with the earlier one.
	RolledBack Outcome = "rolled-back"
	// RolledBackDown: the same, and the app does not serve with the earlier one either.
	RolledBackDown Outcome = "rolled-back-not-serving"
	// Stays: the new release does not serve, and remains, because it has converted the data, of which there
	// is no snapshot.
	Stays Outcome = "stays-not-serving"
	// Superseded: an operator changed, stopped or removed the app meanwhile, and it is left so.
	Superseded Outcome = "superseded"
)

// Result is how an update ended, and why.
type Result struct {
	App     string  `json:"app"`
	Outcome Outcome `json:"outcome"`
	From    Origin  `json:"from"`
	To      Origin  `json:"to"`
	Why     string  `json:"why,omitempty"`
	// Log is the last lines of the app's log.
	Log      []string      `json:"log,omitempty"`
	Downtime time.Duration `json:"downtime_ns,omitempty"`
	// Snapshot is when the data was saved that an operator can return to if the app does not serve, the zero
	// time if there is none.
	Snapshot time.Time `json:"snapshot,omitzero"`
	// Until is when the trial of the new release ends, the zero time if it is not on trial.
	Until time.Time `json:"trial_until,omitzero"`
}

// Text is the result in one sentence.
func (r Result) Text() string {
	switch r.Outcome {
	case Updated:
		text := fmt.Sprintf("%s serves", r.To)
		if r.Downtime > 0 {
			text += fmt.Sprintf("; down for %v", r.Downtime.Round(10*time.Millisecond))
		}
		if !r.Until.IsZero() {
			text += "; on trial until " + r.Until.Local().Format(time.DateTime)
		}
		return text
	case Passed:
		return fmt.Sprintf("%s has passed its trial", r.To)
	case RolledBack:
		if r.From == r.To {
			return fmt.Sprintf("%s serves: %s", r.From, r.Why)
		}
		return fmt.Sprintf("%s was rolled back, and %s serves: %s", r.To, r.From, r.Why)
	case RolledBackDown:
		if r.From == r.To {
			return fmt.Sprintf("%s does not serve: %s", r.From, r.Why)
		}
		text := fmt.Sprintf("%s was rolled back, and %s does not serve either: %s", r.To, r.From, r.Why)
		if !r.Snapshot.IsZero() {
			text += fmt.Sprintf("; archgen update --undo --with-data %s returns to the data of %s", r.App, r.Snapshot.Local().Format(time.DateTime))
		}
		return text
	case Stays:
		text := fmt.Sprintf("%s does not serve, and stays: it has converted the data, and %s can't read it: %s; see archgen logs %s", r.To, r.From, r.Why, r.App)
		if !r.Snapshot.IsZero() {
			text += fmt.Sprintf(", or return to the data of %s with archgen update --undo --with-data %s", r.Snapshot.Local().Format(time.DateTime), r.App)
		}
		return text
	case Superseded:
	}
	return fmt.Sprintf("the update to %s ended: %s", r.To, r.Why)
}

// errChanged ends an update whose app was changed by an operator.
var errChanged = errors.New("its manifest was changed or removed meanwhile")

// Complete carries out an update whose journal is kept, also one that was interrupted at any point.
// Afterwards the app has the new release and serves, or the earlier one.
//
// An error means that the update has not ended, and that a later run continues it.
func Complete(ctx context.Context, m Machine, j *Journal) (Result, error) {
	result := Result{App: j.App, From: j.From.Origin, To: j.To.Origin}
	if j.IsHalted {
		return result.stillHalted(ctx, m, j)
	}
	if err := renew(m, j); err != nil {
		return result, unfinished(j, err)
	}
	if j.State == Saving {
		if err := save(ctx, m, j); err != nil {
			return result, unfinished(j, err)
		}
	}
	if j.State == Applying {
		v, err := apply(ctx, m, j)
		switch {
		case errors.Is(err, errChanged):
			return result.changed(ctx, m, j, errChanged.Error())
		case err != nil:
			return result, unfinished(j, err)
		case v.Kind == Halted:
			j.IsHalted = true
			if err := m.Keep(j); err != nil {
				return result, unfinished(j, err)
			}
			return result.halted(ctx, m, j)
		case v.Kind == Serves:
			result.Downtime, j.State = v.Downtime, Serving
			if err := m.Keep(j); err != nil {
				return result, unfinished(j, err)
			}
			return result.accepted(ctx, m, j)
		}
		if stays, err := isOneWay(m, j); err != nil {
			return result, unfinished(j, err)
		} else if stays {
			result.Outcome, result.Why, result.Log = Stays, v.Why, v.Log
			if err := m.Accept(j); err != nil {
				return result, unfinished(j, err)
			}
			return result.ended(ctx, m, j)
		}
		j.State, j.Why, j.Log, j.IsBlamed = Reverting, v.Why, v.Log, v.Kind == Fails
		if err := m.Keep(j); err != nil {
			return result, unfinished(j, err)
		}
	}
	if j.State == Serving {
		return result.accepted(ctx, m, j)
	}
	return revert(ctx, m, j, result)
}

// isOneWay reports whether a release that does not serve can't be rolled back.
func isOneWay(m Machine, j *Journal) (bool, error) {
	if len(j.Saved) > 0 {
		return false, nil
	}
	return m.HasConverted(j)
}

// renew has the data saved again that an earlier run has saved, unless the new release has converted it: a
// boot may have started the app with the earlier release since, which has written to it.
func renew(m Machine, j *Journal) error {
	if j.State != Applying || len(j.Saved) == 0 {
		return nil
	}
	isConverted, err := m.HasConverted(j)
	if err != nil || isConverted {
		return err
	}
	j.State, j.Saved = Saving, nil
	return m.Keep(j)
}

// save takes the snapshots, or ends the update if they can't be taken.
func save(ctx context.Context, m Machine, j *Journal) error {
	switch err := m.Save(ctx, j); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		j.State, j.Why, j.Saved = Reverting, "its data can't be saved: "+err.Error(), nil
	default:
		j.State = Applying
	}
	return m.Keep(j)
}

// apply installs the new release and has it verified.
func apply(ctx context.Context, m Machine, j *Journal) (Verdict, error) {
	if err := exchange(m, j.App, j.From, j.To, j.Grants); err != nil {
		return Verdict{}, err
	}
	v, err := m.Serve(ctx, j)
	if err != nil {
		return v, err
	}
	if v.Kind == Undecided {
		return v, errors.New(v.Why)
	}
	now, err := m.Installed(j.App)
	if err == nil && !j.isDone(now) {
		err = errChanged
	}
	return v, err
}

// isDone reports whether the installed release is the new one, as the update has installed it.
func (j *Journal) isDone(now Release) bool {
	for _, of := range overlays {
		was, is, mine := *of(&j.From), *of(&j.To), *of(&now)
		if !bytes.Equal(was, is) && !bytes.Equal(mine, is) {
			return false
		}
	}
	return now.isMixOf(j.To, j.To)
}

// exchange replaces a release by another one. A run that was killed may have begun to.
// It leaves any third release alone.
func exchange(m Machine, app string, from, to Release, grants []string) error {
	now, err := m.Installed(app)
	switch {
	case err != nil:
		return err
	case !now.isMixOf(from, to):
		return errChanged
	}
	for _, of := range overlays {
		if bytes.Equal(*of(&from), *of(&to)) {
			*of(&to) = *of(&now)
		}
	}
	return m.Install(app, to, grants)
}

// revert restores the earlier release.
func revert(ctx context.Context, m Machine, j *Journal, result Result) (Result, error) {
	result.Why, result.Log = j.Why, j.Log
	if j.IsBlamed && !j.IsUndo {
		if err := m.Refuse(j); err != nil {
			return result, unfinished(j, err)
		}
	}
	if j.IsAccepted {
		if err := m.Withdraw(j); err != nil {
			return result, unfinished(j, err)
		}
	}
	if len(j.Saved) > 0 {
		if err := m.Restore(ctx, j); err != nil {
			return result, unfinished(j, err)
		}
	}
	switch err := restoreRelease(ctx, m, j); {
	case errors.Is(err, errChanged):
		return result.changed(ctx, m, j, j.Why+"; "+err.Error())
	case err != nil:
		return result, unfinished(j, err)
	}
	v, err := m.Serve(ctx, j)
	if err != nil {
		return result, unfinished(j, err)
	}
	result.Outcome = RolledBack
	if v.Kind != Serves {
		result.Outcome = RolledBackDown
		result.Why = fmt.Sprintf("%s; with %s: %s", result.Why, j.From.Origin, v.Why)
	}
	return result.ended(ctx, m, j)
}

// restoreRelease makes the earlier release the installed one. If its data was restored, too, it may
// start only once it has its unit files: those of the new release would convert the data again. The same
// holds for what an operator has installed meanwhile, unless that is removed or has an error.
func restoreRelease(ctx context.Context, m Machine, j *Journal) error {
	err := exchange(m, j.App, j.To, j.From, j.GrantsBefore)
	isChanged := errors.Is(err, errChanged)
	if len(j.Saved) == 0 || err != nil && !isChanged {
		return err
	}
	switch written := m.Write(ctx, j); {
	case ctx.Err() != nil:
		return ctx.Err()
	case written != nil && !isChanged:
		return written
	}
	return errors.Join(err, m.Release(j))
}

// stillHalted is halted for a later run. It does not decide about the release again: the app may run now, or
// what it needs may be down.
func (r Result) stillHalted(ctx context.Context, m Machine, j *Journal) (Result, error) {
	switch now, err := m.Installed(j.App); {
	case err != nil:
		return r, unfinished(j, err)
	case !j.isDone(now):
		return r.changed(ctx, m, j, errChanged.Error())
	}
	return r.halted(ctx, m, j)
}

// halted ends an update whose app was stopped, and has the new release.
func (r Result) halted(ctx context.Context, m Machine, j *Journal) (Result, error) {
	if err := m.Accept(j); err != nil {
		return r, unfinished(j, err)
	}
	return r.superseded(ctx, m, j, "it was stopped before it was known to serve; archgen start "+j.App+" starts it with the new release")
}

// accepted records a release that serves, and begins its trial.
func (r Result) accepted(ctx context.Context, m Machine, j *Journal) (_ Result, err error) {
	r.Outcome = Updated
	if err := m.Accept(j); err != nil {
		return r, unfinished(j, err)
	}
	if r.Until, err = m.Try(ctx, j); err != nil {
		return r, unfinished(j, err)
	}
	if err := m.Shelve(ctx, j); err != nil {
		return r, unfinished(j, err)
	}
	return r.dropped(m, j)
}

// ended removes the snapshots and the journal.
func (r Result) ended(ctx context.Context, m Machine, j *Journal) (Result, error) {
	if len(j.Saved) > 0 {
		m.Forget(ctx, j)
	}
	return r.dropped(m, j)
}

// dropped removes the journal.
func (r Result) dropped(m Machine, j *Journal) (Result, error) {
	if err := m.Drop(); err != nil {
		return r, unfinished(j, err)
	}
	return r, nil
}

// changed ends an update whose app was edited or removed. What was stopped for its data starts again.
func (r Result) changed(ctx context.Context, m Machine, j *Journal, why string) (Result, error) {
	if len(j.Volumes) > 0 {
		if err := m.Start(ctx, j); err != nil {
			return r, unfinished(j, err)
		}
	}
	return r.superseded(ctx, m, j, why)
}

// superseded ends an update that an operator has decided about. If the new release has converted the data,
// it is what the app had last, and the snapshots are kept for the operator.
func (r Result) superseded(ctx context.Context, m Machine, j *Journal, why string) (Result, error) {
	r.Outcome, r.Why = Superseded, why
	isLast, err := isLast(m, j)
	switch {
	case err != nil:
		return r, unfinished(j, err)
	case !isLast:
		return r.ended(ctx, m, j)
	}
	if err := m.Accept(j); err != nil {
		return r, unfinished(j, err)
	}
	if err := m.Shelve(ctx, j); err != nil {
		return r, unfinished(j, err)
	}
	return r.dropped(m, j)
}

// isLast reports whether the data of an installed app is that of the new release, and was saved before.
func isLast(m Machine, j *Journal) (bool, error) {
	if j.State != Applying || len(j.Saved) == 0 {
		return false, nil
	}
	isConverted, err := m.HasConverted(j)
	if err != nil || !isConverted {
		return false, err
	}
	now, err := m.Installed(j.App)
	return now.File != "", err
}

func unfinished(j *Journal, err error) error {
	return fmt.Errorf("the update of %s to %s has not ended: %w; archgen apply continues it", j.App, j.To.Origin, err)
}
