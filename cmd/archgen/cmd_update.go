package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/update"
)

// updateOptions are those of update.
type updateOptions struct {
	applyOptions
	update.Ask
	dryRun          bool
	undo            bool
	withoutSnapshot bool
	// isAuto: no operator asks, for example a timer.
	isAuto bool
}

func (c *cli) updateCommand() *cobra.Command {
	var o updateOptions
	cmd := &cobra.Command{
		Use:   "update [ID…]",
		Short: "Update apps to the newest releases of their catalogs",
		Long: `update replaces the manifests of apps by the newest releases of the catalogs
that the apps were installed from, one app after the other, providers first. It
pulls the images of a release before it changes anything, restarts the app, and
waits until it serves. If the app does not serve, update restores the earlier
release.

If a release converts the data of the app (data.format of the manifests), update
stops the app, copies its volumes, and starts it with the release. If the app
does not serve, update restores the data with the earlier release. A file system
with reflinks, such as XFS or Btrfs, copies at once; otherwise at most 2 GiB of
a volume are copied. If the data can't be copied, the app is not updated, except
with --without-snapshot.

A release that was rolled back is refused from then on, by its content: only
--retry installs it again. With --undo, update returns to the release that the
app had before its last update; the later one is refused then, too. It does not
bring back data.

A named app is updated also if it is held or its release has not been known for
update.wait. A release that asks for further rights needs them with --allow, as
KIND:SUBJECT or KIND; one with an image of another registry or namespace needs
--allow publisher; one that lacks a port, volume, capability or export of the
installed one needs --allow contract; and a container that runs as root and did
not needs --allow root. With --all, update leaves out whatever needs a decision.
archgen updates shows the reasons.

--auto is for a timer. It reads the catalogs from sources again, and updates the
apps whose update.policy is auto, or security and the release closes a known
hole, and only if the release asks for nothing that an operator has to decide.

If update is killed, the next archgen update or archgen apply completes the
update, or restores the earlier release. If an operator edits the manifest or
stops the app meanwhile, the update ends, and the app is left so.

Exit status: 0 done; 1 no app was updated, or each was rolled back; 3 some were
updated, others not; 5 another update is under way.`,
		Example: `  archgen update lnd
  archgen update --dry-run lnd
  archgen update --all
  archgen update --auto
  archgen update --undo lnd`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return usageError{err}
			}
			return c.update(&o, args)
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.All, "all", false, "update all apps that need no decision")
	f.BoolVar(&o.isAuto, "auto", false, "update the apps whose update.policy allows it")
	cmd.MarkFlagsMutuallyExclusive("all", "auto")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be updated, and change nothing")
	f.StringArrayVar(&o.Allow, "allow", nil, "permit `RIGHT`, or what else a release needs")
	f.BoolVar(&o.Retry, "retry", false, "install a release that was refused")
	f.BoolVar(&o.withoutSnapshot, "without-snapshot", false, "convert the data without a copy of it")
	f.BoolVar(&o.undo, "undo", false, "return to the release before the last update")
	return cmd
}

// check demands that the flags go with each other and with the ids.
func (o *updateOptions) check(ids []string) error {
	o.Named = !o.All && !o.isAuto
	switch {
	case !o.Named && len(ids) > 0:
		return errors.New("give either --all, --auto or the ids of apps")
	case !o.Named && (o.undo || o.Retry || len(o.Allow) > 0 || o.withoutSnapshot):
		return errors.New("--undo, --retry, --allow and --without-snapshot need the ids of apps")
	case o.Named && len(ids) == 0:
		return errors.New("name one or more apps, or give --all; archgen updates lists them")
	}
	return nil
}

func (c *cli) update(o *updateOptions, ids []string) error {
	if err := checkAllow(o.Allow); err != nil {
		return usageError{err}
	}
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, o.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	l.Store.LockTimeout = o.timeout // healthd or the path unit may have begun to restart the app
	if o.dryRun {
		return c.dryRun(ctx, l, o, ids)
	}
	unlock, err := l.Store.LockUpdates(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	u := &updater{cli: c, machine: l, o: o, rolledBack: map[string]bool{}}
	if err := u.finishLast(ctx); err != nil {
		return err
	}
	if o.isAuto {
		if _, err := c.refreshCatalogs(ctx, o.scope(), nil, func(catalogs.Status) {}); err != nil {
			c.say(err) // what was accepted before stays
		}
	}
	err = u.all(ctx, ids)
	if o.asJSON {
		err = errors.Join(err, c.printJSON(document{"results": list(u.results)}))
	}
	if err != nil {
		return err
	}
	return outcome(u.failed, u.done)
}

// checkAllow demands that each text is what --allow takes.
func checkAllow(list []string) error {
	return rights.CheckGrants(slices.DeleteFunc(slices.Clone(list), func(text string) bool {
		kind, _, _ := strings.Cut(text, ":")
		return text == update.AllowPublisher || text == update.AllowContract || kind == update.AllowRoot
	}))
}

// dryRun prints what an update would do.
func (c *cli) dryRun(ctx context.Context, l *machine.Machine, o *updateOptions, ids []string) error {
	s, err := c.releases(ctx, l, &o.source)
	if err != nil {
		return err
	}
	var rows []view.Update
	for _, id := range inOrder(s, ids) {
		app, err := s.App(id)
		if err != nil {
			return err
		}
		row := updateRow(app)
		if rows = append(rows, row); o.asJSON {
			continue
		}
		if app.Staged == nil {
			fmt.Fprintf(c.stdout, "%s: %s\n", id, app.Findings[0].Text)
			continue
		}
		view.UpdatePlan(c.stdout, row, imagesOf(app))
	}
	if o.asJSON {
		return c.printJSON(document{"apps": list(rows)})
	}
	return nil
}

// imagesOf is the images of an app's release.
func imagesOf(a *updates.App) (names []string) {
	app, _ := a.Staged.Want.Find(a.ID)
	for _, f := range app.Files {
		if image := f.Image(); image != "" && !slices.Contains(names, image) {
			names = append(names, image)
		}
	}
	return names
}

// inOrder sorts apps so that each is after those that it needs. Without ids it is all.
func inOrder(s *updates.Survey, ids []string) []string {
	all := s.IDs()
	if len(ids) == 0 {
		return all
	}
	list := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return !slices.Contains(ids, id) })
	for _, id := range ids {
		if !slices.Contains(all, id) { // it is reported when it is its turn
			list = append(list, id)
		}
	}
	return list
}

// updater updates apps one after the other.
type updater struct {
	*cli
	machine *machine.Machine
	o       *updateOptions
	// survey is what is installed and available, nil once that may have changed.
	survey *updates.Survey
	// rolledBack is the apps whose updates in this run were rolled back.
	rolledBack   map[string]bool
	results      []update.Result
	done, failed int
}

// finishLast completes the update of a run that was killed.
func (u *updater) finishLast(ctx context.Context) error {
	j, err := u.machine.Store.UpdateJournal()
	if err != nil || j == nil {
		return err
	}
	return u.continueUpdate(ctx, &u.o.applyOptions, u.machine, j)
}

// all updates some apps, or all without ids.
func (u *updater) all(ctx context.Context, ids []string) error {
	s, err := u.look(ctx)
	if err != nil {
		return err
	}
	for _, id := range inOrder(s, ids) {
		if err := u.one(ctx, id); err != nil {
			return err
		}
	}
	if !u.o.Named && u.done+u.failed == 0 && !u.o.asJSON {
		fmt.Fprintln(u.stdout, "nothing to update")
	}
	return nil
}

// look reads the installed apps and the catalogs, unless nothing has changed since it did.
func (u *updater) look(ctx context.Context) (_ *updates.Survey, err error) {
	if u.survey != nil {
		return u.survey, nil
	}
	if u.survey, err = u.releases(ctx, u.machine, &u.o.source); err != nil {
		return nil, err
	}
	u.survey.RolledBack = u.rolledBack
	return u.survey, nil
}

// one updates an app. Its error ends the run; the failure of one app does not.
func (u *updater) one(ctx context.Context, id string) error {
	s, err := u.look(ctx)
	if err != nil {
		return err
	}
	app, err := s.App(id)
	if err != nil {
		u.refuse(id, err)
		return nil
	}
	if err := s.Keep(); err != nil {
		return err
	}
	if u.o.undo {
		if err := undo(s, app); err != nil {
			u.refuse(id, err)
			return nil
		}
	} else if !u.isToDo(app) {
		return nil
	}
	u.survey = nil // a pull takes time, and the update may change what fits
	if err := u.prepare(ctx, app); err != nil {
		u.refuse(id, err)
		return nil
	}
	j := journalOf(s, app, u.o)
	if sharers := s.Sharers(id); len(j.Volumes) > 0 && len(sharers) > 0 {
		// Its container would keep the data that is exchanged.
		u.refuse(id, fmt.Errorf("not updated: the release converts the data, and %s mounts a volume with it, too; --without-snapshot updates it without a copy of the data",
			strings.Join(sharers, ", ")))
		return nil
	}
	return u.install(ctx, j)
}

// install carries out the update of an app.
func (u *updater) install(ctx context.Context, j *update.Journal) error {
	if err := u.host(&u.o.applyOptions, u.machine).Keep(j); err != nil {
		return err
	}
	result, err := u.complete(ctx, &u.o.applyOptions, u.machine, j)
	if err != nil {
		return err
	}
	u.results = append(u.results, result)
	if result.Outcome == update.Updated {
		u.done++
		return nil
	}
	u.failed++
	u.rolledBack[j.App] = result.Outcome != update.Superseded
	return nil
}

// refuse says why an app is not updated.
func (u *updater) refuse(id string, err error) {
	u.say(fmt.Errorf("%s: %w", id, err))
	u.failed++
}

// isToDo reports whether to update an app. If not, and an operator named the app, it prints the reason.
func (u *updater) isToDo(app *updates.App) bool {
	blocking := update.Blocking(app.Findings, u.o.Ask, app.Facts)
	switch {
	case !update.IsAvailable(app.Findings):
		if u.o.Named && !u.o.asJSON {
			fmt.Fprintf(u.stdout, "%s: %s\n", app.ID, app.Findings[0].Text)
		}
	case blocking == nil:
		return true
	case blocking.Reason == update.NeedsOther || u.o.Named:
		u.refuse(app.ID, errors.New("not updated: "+blocking.Text+flagsFor(blocking.Reason, app.Facts)))
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

// journalOf is the journal of an update.
func journalOf(s *updates.Survey, app *updates.App, o *updateOptions) *update.Journal {
	j := &update.Journal{
		App: app.ID, State: update.Applying, Began: time.Now().UTC().Truncate(time.Second),
		From: app.From, To: *app.To, Others: s.Others(app.ID, app.Staged), IsUndo: o.undo,
	}
	j.From.Origin = *app.Origin
	for _, id := range j.Others {
		if other, _ := s.Want.Find(id); other.IsUp(s.Units) {
			j.Up = append(j.Up, id)
		}
	}
	j.Volumes, j.Format = s.Converts(app)
	if o.withoutSnapshot {
		j.Volumes = nil
	}
	if len(j.Volumes) > 0 {
		j.State = update.Saving
	}
	if grants := app.Grants(); len(grants) > 0 && !o.undo {
		j.GrantsBefore = list(s.Compiled.GrantsOf(app.ID).App)
		j.Grants = slices.Concat(j.GrantsBefore, grants)
	}
	return j
}

// prepare pulls the images of a release and compares the app with them.
func (u *updater) prepare(ctx context.Context, app *updates.App) error {
	want, isValid := app.Staged.Want.Find(app.ID)
	if !isValid {
		return errors.New("its manifest has errors with the release")
	}
	if err := u.machine.FetchImages(ctx, want, u.sayPulling); err != nil {
		return fmt.Errorf("not updated: %w", err)
	}
	reader := images.Reader{Scope: u.o.scope(), Podman: u.podman}
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

// continueUpdate completes the update of a run that was killed.
func (c *cli) continueUpdate(ctx context.Context, o *applyOptions, l *machine.Machine, j *update.Journal) error {
	if !o.asJSON {
		fmt.Fprintf(c.stderr, "continuing the update of %s to %s that began at %s\n", j.App, j.To.Origin, j.Began.Local().Format(time.DateTime))
	}
	_, err := c.complete(ctx, o, l, j)
	return err
}

// complete carries out an update, and says how it ended.
func (c *cli) complete(ctx context.Context, o *applyOptions, l *machine.Machine, j *update.Journal) (update.Result, error) {
	result, err := update.Complete(ctx, c.host(o, l), j)
	if err != nil {
		return result, err
	}
	record(journal.OfUpdate(result))
	if !o.asJSON {
		view.UpdateResult(c.stdout, result)
	}
	return result, nil
}
