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
	// WithoutSnapshot: a release may convert the data without a copy of it.
	WithoutSnapshot bool
}

// Runner updates apps of a machine.
type Runner struct {
	Machine *machine.Machine
	// Dir is the installed manifests, and Source compiles them.
	Dir    installed.Directory
	Source compile.Source
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
	// Continued is called with an update of an earlier run before it continues, and Ended when one has ended.
	Continued func(*update.Journal)
	Ended     func(update.Result)
}

// Summary is how a run went.
type Summary struct {
	Results []update.Result
	// Updated is the number of apps that were updated, and NotUpdated of those that were to be and were not.
	Updated, NotUpdated int
}

// Resume completes the update of a run that was killed. It leaves the update of an app that is asked to
// stop, and one that another process carries out.
func (r *Runner) Resume(ctx context.Context, asked func(id string) units.Kind) error {
	j, unlock, err := r.Machine.Store.AbandonedUpdate(ctx)
	if err != nil || j == nil {
		return err
	}
	defer unlock()
	if asked(j.App) == units.Stop {
		return nil
	}
	return r.resume(ctx, j)
}

// resume completes an update whose lock is held.
func (r *Runner) resume(ctx context.Context, j *update.Journal) error {
	r.Continued(j)
	_, err := r.complete(ctx, j)
	return err
}

// complete carries out an update, and tells how it ended.
func (r *Runner) complete(ctx context.Context, j *update.Journal) (update.Result, error) {
	result, err := update.Complete(ctx, &host{r}, j)
	if err != nil {
		return result, err
	}
	r.Record(journal.OfUpdate(result))
	r.Ended(result)
	return result, nil
}

// Update updates some apps, or all without ids, providers first. Refresh is called when the update of an
// earlier run has ended, and before the catalogs are read; it may be nil.
func (r *Runner) Update(ctx context.Context, o Options, ids []string, refresh func()) (Summary, error) {
	unlock, err := r.Machine.Store.LockUpdates(ctx)
	if err != nil {
		return Summary{}, err
	}
	defer unlock()
	j, err := r.Machine.Store.UpdateJournal()
	if err == nil && j != nil {
		err = r.resume(ctx, j)
	}
	if err != nil {
		return Summary{}, err
	}
	if refresh != nil {
		refresh()
	}
	c := &course{Runner: r, o: o, rolledBack: map[string]bool{}}
	err = c.all(ctx, ids)
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
	if c.o.Undo {
		if err := undo(s, app); err != nil {
			c.refuse(id, err)
			return nil
		}
	} else if !c.isToDo(app) {
		return nil
	}
	c.survey = nil // a pull takes time, and the update may change what fits
	if err := c.prepare(ctx, app); err != nil {
		c.refuse(id, err)
		return nil
	}
	j := c.journalOf(s, app)
	if way := app.Facts.OneWay; way != "" && !c.o.Undo {
		c.Warn(id, fmt.Sprintf("%s converts the data, and %s can't read it then. It stays also if it does not serve: %s", j.To.Origin, j.From.Origin, way))
	}
	return c.install(ctx, j)
}

// install carries out the update of an app.
func (c *course) install(ctx context.Context, j *update.Journal) error {
	if err := (&host{c.Runner}).Keep(j); err != nil {
		return err
	}
	result, err := c.complete(ctx, j)
	if err != nil {
		return err
	}
	c.Results = append(c.Results, result)
	if result.Outcome == update.Updated {
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

// undo makes the release before the last update the one to install.
func undo(s *updates.Survey, app *updates.App) error {
	earlier, err := s.Store.EarlierRelease(app.ID)
	switch {
	case err != nil:
		return err
	case earlier == nil:
		return errors.New("there is no update to undo")
	case app.Origin == nil || app.Origin.Digest != app.Digest:
		return errors.New("the installed manifest was edited since its last update; move what differs into an overlay first")
	}
	app.To = earlier
	app.Staged, err = s.Stage(map[string]update.Release{app.ID: *app.To})
	return err
}

// prepare pulls the images of a release and compares the app with them.
func (c *course) prepare(ctx context.Context, app *updates.App) error {
	want, isValid := app.Staged.Want.Find(app.ID)
	if !isValid {
		return errors.New("its manifest has errors with the release")
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
func (c *course) journalOf(s *updates.Survey, app *updates.App) *update.Journal {
	j := &update.Journal{
		App: app.ID, State: update.Applying, Began: c.now(),
		From: app.From, To: *app.To, Others: s.Others(app.ID, app.Staged), IsUndo: c.o.Undo,
	}
	j.From.Origin = *app.Origin
	isUp := func(id string) bool {
		other, _ := s.Want.Find(id)
		return other.IsUp(s.Units)
	}
	data := s.Conversion(app)
	j.Format, j.Reads = data.Format, data.Reads
	if data.Converts && data.OneWay == "" && !c.o.WithoutSnapshot {
		j.State, j.Volumes = update.Saving, data.Volumes
		for _, id := range s.Sharers(app.ID) { // its container would keep the data that is exchanged
			if isUp(id) {
				j.Sharers = append(j.Sharers, id)
			}
		}
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(j.Others, j.Sharers)))) {
		if isUp(id) {
			j.Up = append(j.Up, id)
		}
	}
	if grants := app.Grants(); len(grants) > 0 && !c.o.Undo {
		j.GrantsBefore = append([]string{}, s.Compiled.GrantsOf(app.ID).App...) // nil means that none are granted
		j.Grants = slices.Concat(j.GrantsBefore, grants)
	}
	return j
}

// now is the time as files about updates have it.
func (r *Runner) now() time.Time { return r.Machine.Store.Now().UTC().Truncate(time.Second) }
