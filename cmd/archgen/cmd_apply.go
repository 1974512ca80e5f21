package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

func (c *cli) applyCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply [ID…]",
		Short: "Apply the manifests to this machine",
		Long: `apply compiles the installed apps, writes their unit files, reloads systemd,
starts the apps that should run and restarts those that changed. It reports an
app as started when the app has stayed up for five seconds and answers. It says
when an app serves, and starts the apps that require it then. For an ID it waits
until the end, also if healthd has begun the start.

With --detach, apply returns when the apps serve. healthd watches them instead,
and rolls back an app that does not stay up. It also does so if apply is killed.

If nothing differs, apply writes, reloads and starts nothing. An app that an
operator stopped stays stopped. An app whose manifest has an error keeps its
units. An app that does not serve after a change is rolled back. A failure of
one app does not keep apply from repairing the others.

Exit status: 0 all apps are as they should be; 1 it failed; 3 some apps failed,
others did not; 5 another run holds the lock; 6 an app was started and does not
serve.`,
		Example: `  archgen apply
  archgen apply lnd
  archgen apply --json | jq .results`,
		RunE: func(_ *cobra.Command, args []string) error { return c.apply(&o, args, "") },
	}
	o.flags(cmd)
	o.detachFlag(cmd)
	return cmd
}

// applyOptions are those of verbs that run a pass.
type applyOptions struct {
	source
	asJSON  bool
	timeout time.Duration
	// patience is how long to wait for another run; zero is half a minute.
	patience time.Duration
	// awaited is apps that a pass over all apps waits for, besides the named ones.
	awaited []string
	// fetched is the outcome of pulling the images of apps before the pass.
	fetched machine.Fetched
	// detach: the pass ends once the apps serve, and healthd watches them.
	detach bool
	// warn is called for each limit of the machine that is too low. Nil prints each once.
	warn func(limits.Finding)
	// lenient: errors of manifests do not fail the verb.
	lenient bool
	// idle is printed instead of "nothing to do".
	idle string
}

func (o *applyOptions) flags(cmd *cobra.Command) {
	scopeFlags(cmd, &o.source)
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print what was done as JSON")
	cmd.Flags().DurationVar(&o.timeout, "timeout", machine.WaitTimeout, "how long to wait for an app")
}

// detachFlag adds the flag of verbs that start apps.
func (o *applyOptions) detachFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.detach, "detach", false, "return when the apps serve; healthd watches them")
}

// scopeFlags adds the flags of verbs that work on the apps of this machine.
func scopeFlags(cmd *cobra.Command, s *source) {
	f := cmd.Flags()
	f.BoolVar(&s.user, "user", false, "work on the apps of this user (default)")
	f.BoolVar(&s.system, "system", false, "work on the apps of the system")
	cmd.MarkFlagsMutuallyExclusive("user", "system")
}

// interruptible is a context that SIGINT and SIGTERM cancel.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// apply runs a pass over all installed apps, or over some with the same request.
func (c *cli) apply(o *applyOptions, ids []string, asked units.Kind) error {
	return c.pass(o, ids, func(string) units.Kind { return asked })
}

// pass runs a pass with a request for each app.
func (c *cli) pass(o *applyOptions, ids []string, asked func(id string) units.Kind) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, o.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	if o.detach {
		if err := requireHealthd(ctx, l); err != nil {
			return err
		}
	}
	l.Store.LockTimeout = o.patience
	left := errors.Join(c.resumeRotation(ctx, l, o), c.resumeUpdate(ctx, l, o, asked))
	if left != nil {
		c.say(left)
	}
	k, report, err := c.reconcile(ctx, l, o, ids, asked)
	if err := c.conclude(k, report, err, o); err != nil {
		return err
	}
	if len(ids) == 0 {
		if err := install.RemoveNetworks(ctx, l); err != nil {
			return fmt.Errorf("removing networks that no app uses: %w", err)
		}
	}
	if err := cmp.Or(verdict(report.Of(o.awaited), false), verdict(report, len(ids) == 0 && !o.lenient && k.Diags.HasErrors())); err != nil || left == nil {
		return err
	}
	return errReported
}

// reconcile makes the machine match the manifests, and records in the journal what fails.
func (c *cli) reconcile(ctx context.Context, l *machine.Machine, o *applyOptions, ids []string, asked func(id string) units.Kind) (*compile.Compiled, reconcile.Report, error) {
	dir, err := c.directory(&o.source)
	if err != nil {
		return nil, reconcile.Report{}, err
	}
	if o.warn == nil {
		o.warn = c.warnOnce()
	}
	var k *compile.Compiled
	compiler := recompiler{Source: c.from(&o.source), Store: &l.Store}
	desired := func() (want units.Desired, err error) {
		before := k
		if k, want, err = compiler.installed(); err != nil {
			return want, err
		}
		isSaid := before != nil && slices.Equal(before.Diags, k.Diags)
		if err := c.sayDiagnostics(k, o.asJSON || isSaid); err != nil {
			return want, err
		}
		kept := slices.DeleteFunc(slices.Clone(want.Invalid), func(id string) bool { return asked(id) != units.Stop })
		want.Apps = slices.Concat(want.Apps, l.Files().Rendered(kept))
		want, err = want.Only(ids)
		for i := range want.Apps {
			want.Apps[i].Request = asked(want.Apps[i].ID)
			want.Apps[i].IsAwaited = slices.Contains(ids, want.Apps[i].ID) || slices.Contains(o.awaited, want.Apps[i].ID)
		}
		return want, err
	}
	want, err := desired()
	if err != nil {
		return k, reconcile.Report{}, err
	}
	report, err := reconcile.Await(ctx, desired, l.ForApply(machine.Apply{
		Timeout: o.timeout, Detach: o.detach, Progress: c.progress(o.asJSON), Warn: o.warn,
		Foreign: install.Adopter(c.podman, dir, compiler.all),
		Fetched: l.FetchAhead(ctx, want, o.fetched, c.sayPulling),
	}), o.timeout)
	for _, e := range journal.OfReport(report, err) {
		record(e)
	}
	return k, report, err
}

// requireHealthd fails if healthd does not run: a pass that ends early needs a later one.
func requireHealthd(ctx context.Context, l *machine.Machine) error {
	found, err := l.Services.Manager.Units(ctx, units.HealthdService)
	if err != nil {
		return err
	}
	if len(found) == 1 && found[0].ActiveState == string(units.Active) {
		return nil
	}
	return fmt.Errorf("healthd does not run, so nothing would watch the apps; start it with %s, or leave out --detach",
		l.Scope.Systemctl("start "+units.HealthdService))
}

// sayDiagnostics prints the diagnostics. It fails only if no app could be compiled.
func (c *cli) sayDiagnostics(k *compile.Compiled, asJSON bool) error {
	if !asJSON {
		if err := c.printer(k).Print(c.stderr, k.Diags); err != nil {
			return err
		}
	}
	if k.Result == nil && k.Diags.HasErrors() {
		return errReported
	}
	return nil
}

// progress prints each action as it happens, and records it in the journal.
func (c *cli) progress(quiet bool) func(reconcile.Event) {
	return func(e reconcile.Event) {
		if event, ok := journal.OfAction(e); ok {
			record(event)
		}
		if !quiet {
			view.Step(c.stderr, e)
		}
	}
}

// warnOnce prints a warning about each limit that is too low, once for all passes of a command.
func (c *cli) warnOnce() func(limits.Finding) {
	warned := map[units.Limit]bool{}
	return func(f limits.Finding) {
		if !warned[f.Limit] {
			warned[f.Limit] = true
			view.Limit(c.stderr, f)
		}
	}
}

// record writes an event to the journal, where archgen events reads it. Without a journal
// there is nothing to read, so a failure does not matter.
func record(e journal.Event) {
	if journal.IsEnabled() {
		_ = e.Send()
	}
}

// conclude prints the report of a pass.
func (c *cli) conclude(k *compile.Compiled, r reconcile.Report, err error, o *applyOptions) error {
	if o.asJSON {
		var diags diag.List
		if k != nil {
			diags = k.Diags
		}
		if printErr := c.printJSON(struct {
			reconcile.Report
			Diagnostics diag.List `json:"diagnostics"`
		}{r, list(diags)}); printErr != nil {
			return printErr
		}
	} else if err == nil {
		view.Report(c.stdout, r, cmp.Or(o.idle, "nothing to do"))
	}
	return err
}

// verdict is the error of a pass in which apps failed.
func verdict(r reconcile.Report, invalid bool) error {
	failed, well := r.Count()
	if failed == 0 && invalid {
		failed = 1
	}
	if failed > 0 && well == 0 && (r.Has(reconcile.NotServing) || r.Has(reconcile.Starting)) {
		return notServingError{errReported}
	}
	return outcome(failed, well)
}

// outcome is the error of a verb that failed for some apps.
func outcome(failed, well int) error {
	switch {
	case failed == 0:
		return nil
	case well > 0:
		return partError{errReported}
	}
	return errReported
}

// partError ends a verb that failed for some apps and did its work for others.
type partError struct{ error }

// notServingError ends a verb whose app was started and does not serve.
type notServingError struct{ error }

func (e partError) Unwrap() error       { return e.error }
func (e notServingError) Unwrap() error { return e.error }
