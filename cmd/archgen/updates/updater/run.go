// Package updater owns the course of archgen update: it updates apps one after the other, continues what
// an earlier run left, and gives units/update access to the machine.
//
// It parses no command line, prints nothing and makes no pass by itself: its caller does, by the
// functions of a Runner.
package updater

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// Options is how an update is asked for.
type Options struct {
	update.Ask
	// Undo: return to the release before the last update.
	Undo bool
	// WithData: with Undo, return also to the data from before that update.
	WithData bool
	// Stage: only prepare the update.
	Stage bool
	// WithoutSnapshot: a release may convert the data without a copy of it.
	WithoutSnapshot bool
}

// Runner updates apps of a machine.
type Runner struct {
	Machine *machine.Machine
	// Dir is the installed manifests, and Source compiles them.
	Dir    installed.Directory
	Source compile.Source
	// Kept returns what an earlier pass has compiled, if that is what is installed now.
	Kept func() (want units.Desired, isKept bool)
	// Boot identifies the boot of the machine.
	Boot string
	// Entries reads the releases of all catalogs.
	Entries func() ([]catalog.Entry, error)
	// Diagnose reports why no manifest can be compiled.
	Diagnose func(k *compile.Compiled) error
	// Pass makes a pass over apps, with a request for each.
	Pass func(ctx context.Context, ids []string, asked func(id string) units.Kind) (reconcile.Report, error)
	// Record writes an event to the system's journal.
	Record func(journal.Event)
	// Pulling is called before an image is pulled.
	Pulling func(app, image string)
	// Failed is called with what failed and does not end the run.
	Failed func(error)
	// Warn is called before the update of an app, with what an operator has to know about it.
	Warn func(app, text string)
	// Left is called with why an app that an operator named has nothing to update.
	Left func(app, why string)
	// Staged is called with an app whose update is prepared.
	Staged func(app string, to update.Origin)
	// Continued is called with an update of an earlier run before it continues, and Ended when one has ended.
	Continued func(*update.Journal)
	Ended     func(update.Result)
}

// Summary is how a run went.
type Summary struct {
	Results []update.Result
	// Updated is the number of apps that were updated, and NotUpdated of those that were to be and were not.
	Updated, NotUpdated int
	// Staged is the apps whose updates were prepared.
	Staged []string
}

// Resume completes the update of a run that was killed, and ends the trials that are over or in which
// something failed. It leaves the update of an app that is asked to stop, the trial of one that is asked
// for anything, and all while another process is at work on them.
func (r *Runner) Resume(ctx context.Context, asked func(id string) units.Kind) error {
	unlock, err := r.Machine.Store.LockIdleUpdates(ctx)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	if err := r.resume(ctx, func(id string) bool { return asked(id) == units.Stop }); err != nil {
		return err
	}
	return r.concludeTrials(ctx, func(id string) bool { return asked(id) != "" })
}

// ResumeApp completes the update of an earlier run, and ends the trial of an app if it is over or
// something failed in it.
func (r *Runner) ResumeApp(ctx context.Context, app string) error {
	unlock, err := r.Machine.Store.LockUpdates(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.resume(ctx, func(string) bool { return false }); err != nil {
		return err
	}
	return r.concludeTrials(ctx, func(id string) bool { return id != app })
}

// resume completes the update of an earlier run, except of some apps. The lock is held.
func (r *Runner) resume(ctx context.Context, isLeft func(app string) bool) error {
	j, err := r.Machine.Store.UpdateJournal()
	if err != nil || j == nil || isLeft(j.App) {
		return err
	}
	r.Continued(j)
	_, err = r.complete(ctx, j)
	return err
}

// complete carries out an update, and tells how it ended.
func (r *Runner) complete(ctx context.Context, j *update.Journal) (update.Result, error) {
	result, err := update.Complete(ctx, &host{r}, j)
	if err != nil {
		return result, err
	}
	if result.Outcome == update.RolledBackDown {
		k, err := r.Machine.Store.KeptSnapshot(j.App)
		if err != nil {
			return result, err
		}
		if k != nil && k.IsOf(j.From.Origin) {
			result.Snapshot = k.At
		}
	}
	r.tell(result)
	return result, nil
}

// tell records and tells how an update ended.
func (r *Runner) tell(result update.Result) {
	r.Record(journal.OfUpdate(result))
	r.Ended(result)
}

// Update updates some apps, or all without ids, providers first. Refresh is called when the update of an
// earlier run has ended, and before the catalogs are read; it may be nil.
func (r *Runner) Update(ctx context.Context, o Options, ids []string, refresh func()) (Summary, error) {
	unlock, err := r.Machine.Store.LockUpdates(ctx)
	if err != nil {
		return Summary{}, err
	}
	defer unlock()
	isLeft := func(string) bool { return false }
	if err := r.resume(ctx, isLeft); err != nil {
		return Summary{}, err
	}
	if err := r.concludeTrials(ctx, isLeft); err != nil {
		return Summary{}, err
	}
	if refresh != nil {
		refresh()
	}
	c := &course{Runner: r, o: o, rolledBack: map[string]bool{}}
	if err = c.all(ctx, ids); err == nil { // what failed meanwhile found the lock held
		err = r.concludeTrials(ctx, isLeft)
	}
	return c.Summary, err
}

// course is one run over apps.
type course struct {
	*Runner
	Summary
	o Options
	// survey is what is installed and available, nil once that may have changed.
	survey *updates.Survey
	// rolledBack is the apps whose updates in this run were rolled back.
	rolledBack map[string]bool
}

func (c *course) all(ctx context.Context, ids []string) error {
	s, err := c.look(ctx)
	if err != nil {
		return err
	}
	for _, id := range s.InOrder(ids) {
		if err := c.one(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// look reads the installed apps and the catalogs, unless nothing has changed since it did.
func (c *course) look(ctx context.Context) (_ *updates.Survey, err error) {
	if c.survey != nil {
		return c.survey, nil
	}
	if c.survey, err = c.Survey(ctx); err != nil {
		return nil, err
	}
	c.survey.RolledBack = c.rolledBack
	return c.survey, nil
}

// one updates an app. Its error ends the run; the failure of one app does not.
func (c *course) one(ctx context.Context, id string) error {
	s, err := c.look(ctx)
	if err != nil {
		return err
	}
	app, err := s.App(id)
	if err != nil {
		c.refuse(id, err)
		return nil
	}
	if err := s.Keep(); err != nil {
		return err
	}
	var kept *update.Kept
	if c.o.Undo {
		if own, err := c.ownData(ctx, s, app); err != nil || own != nil {
			return c.toData(ctx, s, app, own, err)
		}
		if kept, err = c.undo(ctx, s, app); err != nil {
			c.refuse(id, err)
			return nil
		}
	} else if !c.isToDo(app) {
		return nil
	}
	c.survey = nil // a pull takes time, and the update may change what fits
	c.Measure(ctx, s, app, c.o)
	if i := slices.IndexFunc(app.Findings, isMeasured); i >= 0 {
		c.refuse(id, errors.New("not updated: "+app.Findings[i].Text))
		return nil
	}
	if err := c.prepare(ctx, s, app); err != nil {
		c.refuse(id, err)
		return nil
	}
	if c.o.Stage {
		c.Summary.Staged = append(c.Summary.Staged, id)
		c.Runner.Staged(id, app.To.Origin)
		return nil
	}
	j, err := c.journalOf(s, app)
	if err != nil {
		return err
	}
	if unsaved := app.Unsaved; unsaved != "" && unsaved != updates.Harm && !c.o.Undo {
		c.Warn(id, "its data is not saved before, which "+j.To.String()+" may convert: "+unsaved)
	}
	if kept != nil {
		j.WithData(kept)
		j.Sharers = sharersUp(s, j.App)
		c.warnOfLoss(kept)
	}
	if way := app.Facts.OneWay; way != "" && !c.o.Undo {
		c.Warn(id, fmt.Sprintf("%s converts the data, and %s can't read it then. It stays also if it does not serve: %s", j.To.Origin, j.From.Origin, way))
	}
	return c.install(ctx, j)
}

// isMeasured reports whether a finding against an update is one of Measure.
func isMeasured(f update.Finding) bool {
	return f.Reason == update.NoRoom || f.Reason == update.NoSnapshot
}

// install carries out the update of an app. It ends the trial of the installed release.
func (c *course) install(ctx context.Context, j *update.Journal) error {
	if err := (&host{c.Runner}).Keep(j); err != nil {
		return err
	}
	if err := c.Machine.Store.EndTrial(j.App); err != nil {
		return err
	}
	result, err := c.complete(ctx, j)
	if err != nil {
		return err
	}
	c.Results = append(c.Results, result)
	if result.Outcome == update.Updated || c.o.WithData && result.Outcome == update.RolledBack {
		c.Updated++
		return nil
	}
	c.NotUpdated++
	c.rolledBack[j.App] = result.Outcome != update.Superseded
	return nil
}

// refuse tells why an app is not updated.
func (c *course) refuse(id string, err error) {
	c.Failed(fmt.Errorf("%s: %w", id, err))
	c.NotUpdated++
}

// isToDo reports whether to update an app. If not, and an operator named the app, it tells the reason.
func (c *course) isToDo(app *updates.App) bool {
	blocking := update.Blocking(app.Findings, c.o.Ask, app.Facts)
	switch {
	case !update.IsAvailable(app.Findings):
		if c.o.Named {
			c.Left(app.ID, app.Findings[0].Text)
		}
	case blocking == nil:
		return true
	case blocking.Reason == update.NeedsOther || c.o.Named:
		c.refuse(app.ID, errors.New("not updated: "+blocking.Text+flagsFor(blocking.Reason, app.Facts)))
	}
	return false
}

// flagsFor is the flags that permit what a reason is about, after a semicolon.
func flagsFor(reason update.Reason, facts update.Facts) string {
	needs := map[update.Reason][]string{update.OtherPublisher: {update.AllowPublisher}, update.OtherContract: {update.AllowContract}}
	for _, r := range facts.Rights {
		needs[update.WantsMore] = append(needs[update.WantsMore], r.ID)
	}
	if len(needs[reason]) == 0 {
		return ""
	}
	return "; to permit it, add --allow " + strings.Join(needs[reason], " --allow ")
}

// undo makes the release before the last update the one to install, and returns the snapshots to return
// to, too.
func (c *course) undo(ctx context.Context, s *updates.Survey, app *updates.App) (*update.Kept, error) {
	earlier, err := s.Store.EarlierRelease(app.ID)
	switch {
	case err != nil:
		return nil, err
	case earlier == nil:
		return nil, errors.New("there is no update to undo")
	}
	kept, err := c.kept(ctx, s, app.ID, earlier.Digest)
	if err != nil {
		return nil, err
	}
	if kept != nil { // the release will find this format
		recorded := s.Source.Format
		s.Source.Format = func(id string) (int, error) {
			if id == app.ID {
				return kept.Format, nil
			}
			return recorded(id)
		}
	}
	if err := s.Return(app, *earlier); err != nil {
		return nil, err
	}
	if kept != nil && s.IsHarmed(app) {
		return nil, errHarm
	}
	return kept, nil
}

// ownData is the snapshots to return to if they are of the data of the installed release: a later one was
// rolled back in its trial without its data. It is nil if they are of another one, or the data is to stay.
func (c *course) ownData(ctx context.Context, s *updates.Survey, app *updates.App) (*update.Kept, error) {
	if !c.o.WithData || app.Origin == nil {
		return nil, nil
	}
	kept, err := s.Store.KeptSnapshot(app.ID)
	if err != nil || kept == nil || !kept.IsOf(*app.Origin) {
		return nil, err
	}
	return kept, (&host{c.Runner}).checkSnapshots(ctx, kept)
}

// toData returns to the data of snapshots with the installed release, unless err says why not.
func (c *course) toData(ctx context.Context, s *updates.Survey, app *updates.App, kept *update.Kept, err error) error {
	if err == nil && s.HarmsWhenRestored(app.ID) {
		err = errHarm
	}
	if err != nil {
		c.refuse(app.ID, err)
		return nil
	}
	c.survey = nil
	c.warnOfLoss(kept)
	installed := app.From
	installed.Origin = *app.Origin
	j := update.ToData(kept, installed)
	j.Sharers = sharersUp(s, app.ID)
	return c.install(ctx, j)
}

// warnOfLoss says what a return to snapshots costs.
func (c *course) warnOfLoss(kept *update.Kept) {
	c.Warn(kept.App, "what it has written since "+kept.At.Local().Format(time.DateTime)+" is lost")
}

var errHarm = errors.New("its data is not restored: " + updates.Harm)

// kept is the snapshots to return to with a release, nil if the data is to stay.
func (c *course) kept(ctx context.Context, s *updates.Survey, app, release string) (*update.Kept, error) {
	if !c.o.WithData {
		return nil, nil
	}
	kept, err := s.Store.KeptSnapshot(app)
	if err == nil && (kept == nil || kept.From.Digest != release) {
		err = errors.New("there is no snapshot of its data from before the last update")
	}
	if err == nil {
		err = (&host{c.Runner}).checkSnapshots(ctx, kept)
	}
	return kept, err
}

// sharersUp is the apps that are up and mount a volume of an app. Their containers would keep the data
// that is exchanged.
func sharersUp(s *updates.Survey, app string) []string {
	return slices.DeleteFunc(s.Sharers(app), func(id string) bool { return !isUp(s, id) })
}

func isUp(s *updates.Survey, id string) bool {
	app, _ := s.Want.Find(id)
	return app.IsUp(s.Units)
}

// prepare pulls the images of a release and compares the app with them. Secrets that an operator has to
// supply must have values.
func (c *course) prepare(ctx context.Context, s *updates.Survey, app *updates.App) error {
	want, isValid := app.Staged.Want.Find(app.ID)
	if !isValid {
		return errors.New("not updated: does not fit: " + s.Misfit(app))
	}
	if err := c.Machine.Secrets.Check(ctx, c.Machine.Secrets.Podman, want.Secrets); err != nil {
		return fmt.Errorf("not updated: %w", err)
	}
	if err := c.Machine.FetchImages(ctx, want, c.Pulling); err != nil {
		return fmt.Errorf("not updated: %w", err)
	}
	reader := images.Reader{Scope: c.Machine.Scope, Podman: c.Machine.Podman}
	diags, _, err := reader.Check(ctx, app.Staged.Set.App(app.ID))
	if err != nil {
		return err
	}
	for _, d := range diags {
		if d.Severity == diag.Error {
			return errors.New("not updated: it can't run in its image: " + d.Message)
		}
	}
	return nil
}

// journalOf is the journal of an update.
func (c *course) journalOf(s *updates.Survey, app *updates.App) (*update.Journal, error) {
	j := &update.Journal{
		App: app.ID, State: update.Applying, Began: c.now(),
		From: app.From, To: *app.To, Others: s.Others(app.ID, app.Staged), IsUndo: c.o.Undo,
	}
	j.From.Origin = *app.Origin
	data := s.Conversion(app)
	j.Format, j.Reads = data.Format, data.Reads
	j.Writers = data.Writers
	mayConvert := len(data.Writers) > 0 && app.Unsaved == "" && !c.o.Undo // who undoes an update wants the data of before it
	if (data.Converts && data.OneWay == "" || mayConvert) && !c.o.WithoutSnapshot {
		j.State, j.Volumes, j.Sharers = update.Saving, data.Volumes, sharersUp(s, app.ID)
	}
	for _, other := range s.Want.Apps {
		isConcerned := slices.Contains(j.Others, other.ID) || slices.Contains(j.Sharers, other.ID) || slices.Contains(other.Needs, app.ID)
		if isConcerned && isUp(s, other.ID) {
			j.Up = append(j.Up, other.ID)
		}
	}
	var err error
	if !c.o.Undo { // an operator knows the earlier release
		j.TrialTime = app.TrialTime()
		j.Earlier, err = s.Store.EarlierRelease(app.ID)
	}
	if grants := app.Grants(); len(grants) > 0 && !c.o.Undo {
		j.GrantsBefore = append([]string{}, s.Compiled.GrantsOf(app.ID).App...) // nil means that none are granted
		j.Grants = slices.Concat(j.GrantsBefore, grants)
	}
	return j, err
}

// now is the time as files about updates have it.
func (r *Runner) now() time.Time { return r.Machine.Store.Now().UTC().Truncate(time.Second) }
