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
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates/updater"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// updateOptions are those of update.
type updateOptions struct {
	applyOptions
	updater.Options
	dryRun bool
	// resume is the app whose update is continued, empty for none.
	resume string
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
with --without-snapshot. Where the manifest says that older data does harm
(update.restore: never), update takes no copy, and says so before. A release
that has converted the data without a copy stays also if it does not serve.

A manifest without data.format does not say whether its release converts the
data. update copies that, too, if the release writes it with another image. If
it can't be copied, update says so and continues.

Once an app serves with a release, it is on trial for update.trial, 10 minutes
if the manifest does not say otherwise. If it, or an app that needs it, fails in
that time, healthd or archgen apply has the release rolled back. A release that
has converted the data stays. An operator who stops, edits or updates the app
ends the trial.

If an operator has edited the installed manifest, update writes the difference
to the overlay ID.d/` + installed.EditedOverlay + `, and replaces the text. A rollback and
--undo restore the edited text. A template or seed in ID.files/ that was edited
stays; if the release changes it, too, the app is not updated.

Of a manifest of your own, which no catalog has, update writes the images that
archgen updates --refresh has found to the overlay ID.d/` + installed.PinOverlay + `, each with
its digest. The manifest stays as it is.

A release that was rolled back is refused from then on, by its content: only
--retry installs it again. With --undo, update returns to the release that the
app had before its last update; the later one is refused then, too. The data
stays as it is. If the last update saved the data, --with-data returns to the
data from before it, for three days after the update. What the app has written
since is lost. If that update was rolled back in its trial, --undo --with-data
returns to the data of the installed release.

With --stage, update only prepares what it would do: it pulls the images,
compares the apps with them, and checks that secrets which an operator has to
supply have values. A later update pulls nothing again.

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

If update is killed, the next archgen update or archgen apply, or healthd,
completes the update, or restores the earlier release. If an operator edits the
manifest or stops the app meanwhile, the update ends, and the app is left so.

Exit status: 0 done; 1 no app was updated, or each was rolled back; 3 some were
updated, others not; 5 another update is under way.`,
		Example: `  archgen update lnd
  archgen update --dry-run lnd
  archgen update --stage lnd
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
	f.BoolVar(&o.Stage, "stage", false, "pull the images, check the release, and stop there")
	cmd.MarkFlagsMutuallyExclusive("stage", "auto")
	cmd.MarkFlagsMutuallyExclusive("stage", "dry-run")
	f.StringArrayVar(&o.Allow, "allow", nil, "permit `RIGHT`, or what else a release needs")
	f.BoolVar(&o.Retry, "retry", false, "install a release that was refused")
	f.BoolVar(&o.WithoutSnapshot, "without-snapshot", false, "convert the data without a copy of it")
	f.StringVar(&o.resume, "resume", "", "continue the update of `ID`, and end its trial if something failed in it")
	_ = f.MarkHidden("resume") // for a unit that healthd starts
	f.BoolVar(&o.Undo, "undo", false, "return to the release before the last update")
	f.BoolVar(&o.WithData, "with-data", false, "with --undo, return to the data of that release, too")
	return cmd
}

// check demands that the flags go with each other and with the ids.
func (o *updateOptions) check(ids []string) error {
	o.Named = !o.All && !o.isAuto && o.resume == ""
	switch {
	case o.resume != "" && len(ids)+len(o.Allow) > 0:
		return errors.New("--resume takes no other app")
	case !o.Named && len(ids) > 0:
		return errors.New("give either --all, --auto or the ids of apps")
	case !o.Named && (o.Undo || o.Retry || len(o.Allow) > 0 || o.WithoutSnapshot):
		return errors.New("--undo, --retry, --allow and --without-snapshot need the ids of apps")
	case o.WithData && !o.Undo:
		return errors.New("--with-data needs --undo")
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
	l, err := c.session(&o.source).Connect(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	l.Store.LockTimeout = o.timeout // healthd or the path unit may have begun to restart the app
	u, err := c.updatesRunner(l, &o.applyOptions)
	if err != nil {
		return err
	}
	if o.resume != "" {
		return u.ResumeApp(ctx, o.resume)
	}
	if o.dryRun {
		return c.dryRun(ctx, u, o.Options, o.asJSON, ids)
	}
	var refresh func()
	if o.isAuto {
		refresh = func() {
			if _, err := c.catalogs(o.scope()).RefreshAll(ctx, nil, func(catalogs.Status) {}); err != nil {
				c.say(err) // what was accepted before stays
			}
		}
	}
	sum, err := u.Update(ctx, o.Options, ids, refresh)
	switch {
	case o.asJSON:
		err = errors.Join(err, c.printJSON(document{"results": list(sum.Results), "staged": list(sum.Staged)}))
	case err == nil && !o.Named && sum.Updated+sum.NotUpdated+len(sum.Staged) == 0:
		fmt.Fprintln(c.stdout, "nothing to update")
	}
	if err != nil {
		return err
	}
	return passes.Outcome(sum.NotUpdated, sum.Updated+len(sum.Staged))
}

// updatesRunner updates apps of a machine, and prints what it does.
func (c *cli) updatesRunner(l *machine.Machine, o *applyOptions) (*updater.Runner, error) {
	s := c.session(&o.source)
	dir, err := s.Directory()
	if err != nil {
		return nil, err
	}
	unlessJSON := func(print func()) {
		if !o.asJSON {
			print()
		}
	}
	return &updater.Runner{
		Machine: l, Dir: dir, Source: s.Compiler(), Boot: machine.Boot(),
		Kept: func() (units.Desired, bool) { return session.Kept(l.Store, session.Inputs(s.Compiler())) },
		Entries: func() ([]catalog.Entry, error) {
			remotes, _ := s.Catalogs().Remotes()
			entries, _, err := catalog.All(paths.Env{Getenv: c.getenv}.Catalog(), remotes...)
			return entries, err
		},
		Diagnose: func(k *compile.Compiled) error { return s.SayDiagnostics(k, false) },
		Pass: func(ctx context.Context, ids []string, asked func(string) units.Kind) (reconcile.Report, error) {
			_, report, err := c.passes(o).Reconcile(ctx, l, ids, asked)
			return report, err
		},
		Record: passes.Record, Pulling: s.SayPulling, Failed: s.Say,
		Warn: func(app, text string) { fmt.Fprintf(c.stderr, "%s: %s\n", app, ui.Printable(text)) },
		Left: func(app, why string) { unlessJSON(func() { fmt.Fprintf(c.stdout, "%s: %s\n", app, why) }) },
		Staged: func(app string, to update.Origin) {
			unlessJSON(func() { fmt.Fprintf(c.stdout, "%s: %s is staged; archgen update %[1]s installs it\n", app, to) })
		},
		Continued: func(j *update.Journal) {
			unlessJSON(func() {
				fmt.Fprintf(c.stderr, "continuing the update of %s to %s that began at %s\n", j.App, j.To.Origin, j.Began.Local().Format(time.DateTime))
			})
		},
		Ended: func(r update.Result) { unlessJSON(func() { view.UpdateResult(c.stdout, r) }) },
	}, nil
}

// resumeUpdate completes the update of a run that was killed, unless its app is asked to stop.
func (c *cli) resumeUpdate(ctx context.Context, l *machine.Machine, o *applyOptions, asked func(id string) units.Kind) error {
	u, err := c.updatesRunner(l, o)
	if err != nil {
		return err
	}
	return u.Resume(ctx, asked)
}

// checkAllow demands that each text is what --allow takes.
func checkAllow(list []string) error {
	return rights.CheckGrants(slices.DeleteFunc(slices.Clone(list), func(text string) bool {
		kind, _, _ := strings.Cut(text, ":")
		return text == update.AllowPublisher || text == update.AllowContract || kind == update.AllowRoot
	}))
}

// dryRun prints what an update would do.
func (c *cli) dryRun(ctx context.Context, u *updater.Runner, o updater.Options, asJSON bool, ids []string) error {
	s, err := u.Survey(ctx)
	if err != nil {
		return err
	}
	var rows []view.Update
	for _, id := range s.InOrder(ids) {
		app, err := s.App(id)
		if err != nil {
			return err
		}
		if app.Staged != nil {
			u.Measure(ctx, s, app, o)
		}
		row := view.UpdateOf(app)
		rows = append(rows, row)
		switch {
		case asJSON:
		case app.Staged == nil:
			fmt.Fprintf(c.stdout, "%s: %s\n", id, row.State)
		default:
			view.UpdatePlan(c.stdout, row, app.Images())
		}
	}
	if asJSON {
		return c.printJSON(document{"apps": list(rows)})
	}
	return nil
}
