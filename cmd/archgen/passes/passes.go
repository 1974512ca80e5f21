// Package passes owns the passes of a command: it compiles the installed apps, completes what an
// earlier command left unfinished, has units/reconcile make the machine match the manifests, and
// says what was done. Rotations and adoptions are passes of a kind.
//
// It decides nothing about an app (units.Decide does) and writes no manifest.
package passes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// Passes makes the passes of one command.
type Passes struct {
	*session.Session
	// AsJSON: what was done is printed as JSON, and nothing else.
	AsJSON bool
	// Timeout is how long to wait for an app.
	Timeout time.Duration
	// Patience is how long to wait for another run; zero is half a minute.
	Patience time.Duration
	// Awaited is apps that a pass over all apps waits for, besides the named ones.
	Awaited []string
	// Fetched is the outcome of pulling the images of apps before the pass.
	Fetched machine.Fetched
	// Detach: the pass ends once the apps serve, and healthd watches them.
	Detach bool
	// Lenient: errors of manifests do not fail the pass.
	Lenient bool
	// Idle is printed instead of "nothing to do".
	Idle string
	// ResumeUpdate completes an update that was killed, unless its app is asked to stop.
	ResumeUpdate func(ctx context.Context, m *machine.Machine, asked Request) error

	// warned is the limits of the machine that were said to be too low.
	warned map[units.Limit]bool
}

// Request is what an operator asks for an app, empty for nothing.
type Request func(id string) units.Kind

// Always is the same request for each app.
func Always(kind units.Kind) Request { return func(string) units.Kind { return kind } }

// Apply makes a pass over all installed apps, or over some, with a request for each.
func (p *Passes) Apply(ids []string, asked Request) error {
	ctx, stop := session.Interruptible()
	defer stop()
	m, err := p.Connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if p.Detach {
		if err := requireHealthd(ctx, m); err != nil {
			return err
		}
	}
	m.Store.LockTimeout = p.Patience
	left := errors.Join(p.resumeRotation(ctx, m), p.ResumeUpdate(ctx, m, asked))
	if left != nil {
		p.Say(left)
	}
	k, report, err := p.Reconcile(ctx, m, ids, asked)
	if err := p.conclude(k, report, err); err != nil {
		return err
	}
	if len(ids) == 0 {
		if err := install.RemoveNetworks(ctx, m); err != nil {
			return fmt.Errorf("removing networks that no app uses: %w", err)
		}
		if err := updates.RecordOrigins(m.Store, k); err != nil {
			return fmt.Errorf("recording the origins of apps: %w", err)
		}
	}
	if err := cmp.Or(verdict(report.Of(p.Awaited), false), verdict(report, len(ids) == 0 && !p.Lenient && k.Diags.HasErrors())); err != nil || left == nil {
		return err
	}
	return session.ErrReported
}

// Reconcile makes the machine match the manifests, and records in the journal what fails.
func (p *Passes) Reconcile(ctx context.Context, m *machine.Machine, ids []string, asked Request) (*compile.Compiled, reconcile.Report, error) {
	dir, err := p.Directory()
	if err != nil {
		return nil, reconcile.Report{}, err
	}
	var k *compile.Compiled
	compiler := recompiler{Source: p.Compiler(), Store: m.Store}
	desired := func() (want units.Desired, err error) {
		before := k
		if k, want, err = compiler.installed(); err != nil {
			return want, err
		}
		isSaid := before != nil && slices.Equal(before.Diags, k.Diags)
		if err := p.SayDiagnostics(k, p.AsJSON || isSaid); err != nil {
			return want, err
		}
		return p.requested(m, want, ids, asked)
	}
	want, err := desired()
	if err != nil {
		return k, reconcile.Report{}, err
	}
	report, err := reconcile.Await(ctx, desired, m.ForApply(machine.Apply{
		Timeout: p.Timeout, Detach: p.Detach, Progress: p.progress(), Warn: p.WarnOfLimit,
		Foreign: install.Adopter(p.Podman, dir, compiler.all),
		Fetched: m.FetchAhead(ctx, want, p.Fetched, p.SayPulling),
	}), p.Timeout)
	for _, e := range journal.OfReport(report, err) {
		Record(e)
	}
	return k, report, err
}

// requested is some of the installed apps, or all without ids, each with its request. To stop an app
// with an invalid manifest, its unit files are enough.
func (p *Passes) requested(m *machine.Machine, want units.Desired, ids []string, asked Request) (units.Desired, error) {
	kept := slices.DeleteFunc(slices.Clone(want.Invalid), func(id string) bool { return asked(id) != units.Stop })
	want.Apps = slices.Concat(want.Apps, m.Files().Rendered(kept))
	want, err := want.Only(ids)
	for i := range want.Apps {
		want.Apps[i].Request = asked(want.Apps[i].ID)
		want.Apps[i].IsAwaited = slices.Contains(ids, want.Apps[i].ID) || slices.Contains(p.Awaited, want.Apps[i].ID)
	}
	return want, err
}

// requireHealthd fails if healthd does not run: a pass that ends early needs a later one.
func requireHealthd(ctx context.Context, m *machine.Machine) error {
	found, err := m.Services.Manager.Units(ctx, units.HealthdService)
	if err != nil {
		return err
	}
	if len(found) == 1 && found[0].ActiveState == string(units.Active) {
		return nil
	}
	return fmt.Errorf("healthd does not run, so nothing would watch the apps; start it with %s, or leave out --detach",
		m.Scope.Systemctl("start "+units.HealthdService))
}

// progress prints each action as it happens, and records it in the journal.
func (p *Passes) progress() func(reconcile.Event) {
	return func(e reconcile.Event) {
		if event, ok := journal.OfAction(e); ok {
			Record(event)
		}
		if !p.AsJSON {
			view.Step(p.Stderr, e)
		}
	}
}

// WarnOfLimit prints a warning about each limit that is too low, once for all passes of the command.
func (p *Passes) WarnOfLimit(f limits.Finding) {
	if p.warned == nil {
		p.warned = map[units.Limit]bool{}
	}
	if !p.warned[f.Limit] {
		p.warned[f.Limit] = true
		view.Limit(p.Stderr, f)
	}
}

// Record writes an event to the journal, where archgen events reads it. Without a journal
// there is nothing to read, so a failure does not matter.
func Record(e journal.Event) {
	if journal.IsEnabled() {
		_ = e.Send()
	}
}

// conclude prints the report of a pass.
func (p *Passes) conclude(k *compile.Compiled, r reconcile.Report, err error) error {
	if p.AsJSON {
		var diags diag.List
		if k != nil {
			diags = k.Diags
		}
		if printErr := p.PrintJSON(struct {
			reconcile.Report
			Diagnostics diag.List `json:"diagnostics"`
		}{r, session.List(diags)}); printErr != nil {
			return printErr
		}
	} else if err == nil {
		view.Report(p.Stdout, r, cmp.Or(p.Idle, "nothing to do"))
	}
	return err
}

// Preview is what a pass over all installed apps, or over some, would do.
func Preview(s *session.Session, ids []string) (units.Plan, *compile.Compiled, error) {
	ctx, stop := session.Interruptible()
	defer stop()
	m, err := s.Connect(ctx)
	if err != nil {
		return units.Plan{}, nil, err
	}
	defer m.Close()
	k, want, err := s.Installed()
	if err != nil {
		return units.Plan{}, nil, err
	}
	if k.Result == nil {
		return units.Plan{}, nil, s.SayDiagnostics(k, false)
	}
	if want, err = want.Only(ids); err != nil {
		return units.Plan{}, nil, err
	}
	dir, err := s.Directory()
	if err != nil {
		return units.Plan{}, nil, err
	}
	host := m.ForPreview()
	adopter := install.Adopter(s.Podman, dir, func() (*compile.Compiled, error) { return k, nil })
	adopter.WriteOverlay = func(string, []byte) error { return nil }
	host.Foreign = adopter
	plan, err := reconcile.Preview(ctx, want, host)
	return plan, k, err
}
