package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/cmd/archgen/lifecycle"
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
)

// stabilizationTime is how long a started app has to stay up; zero is the default. Tests
// set a shorter one.
var stabilizationTime time.Duration

// source is the flags that select the manifests and the machine.
type source struct {
	root         string
	user, system bool
	podman       string
	grants       session.Need
}

func (s *source) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.root, "root", "", "work on the system image below `DIR`, not this machine")
	f.BoolVar(&s.user, "user", false, "for a user's systemd and rootless Podman (default)")
	f.BoolVar(&s.system, "system", false, "for the system's systemd and Podman as root")
	f.StringVar(&s.podman, "podman", "", "for Podman `VERSION` (default: the installed one)")
	cmd.MarkFlagsMutuallyExclusive("user", "system")
}

// scopeFlags adds the flags of verbs that work on the apps of this machine.
func scopeFlags(cmd *cobra.Command, s *source) {
	f := cmd.Flags()
	f.BoolVar(&s.user, "user", false, "work on the apps of this user (default)")
	f.BoolVar(&s.system, "system", false, "work on the apps of the system")
	cmd.MarkFlagsMutuallyExclusive("user", "system")
}

func (s *source) scope() units.Scope {
	if s.system {
		return units.System
	}
	return units.User
}

// session is what the flags select, in the environment of the command.
func (c *cli) session(s *source) *session.Session {
	return &session.Session{
		Podman: c.podman, Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr, Getenv: c.getenv, StabilizationTime: stabilizationTime,
		Source: session.Source{Root: s.root, Scope: s.scope(), Version: s.podman, Grants: s.grants},
	}
}

func (c *cli) sessionOf(scope units.Scope) *session.Session {
	return c.session(&source{system: scope == units.System})
}

// applyOptions are those of verbs that run a pass.
type applyOptions struct {
	source
	asJSON  bool
	timeout time.Duration
	// detach: the pass ends once the apps serve, and healthd watches them.
	detach bool

	passes *passes.Passes
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

// passes makes the passes of a command: all of them with the same value, which knows what it has
// warned of.
func (c *cli) passes(o *applyOptions) *passes.Passes {
	if o.passes == nil {
		o.passes = &passes.Passes{
			Session: c.session(&o.source), AsJSON: o.asJSON, Timeout: o.timeout, Detach: o.detach,
			ResumeUpdate: func(ctx context.Context, m *machine.Machine, asked passes.Request) error {
				return c.resumeUpdate(ctx, m, o, asked)
			},
		}
	}
	return o.passes
}

// apply runs a pass over all installed apps, or over some with the same request.
func (c *cli) apply(o *applyOptions, ids []string, asked units.Kind) error {
	return c.passes(o).Apply(ids, passes.Always(asked))
}

func (c *cli) catalogs(scope units.Scope) catalogs.Catalogs { return c.sessionOf(scope).Catalogs() }

func (c *cli) say(err error) { c.session(&source{}).Say(err) }

func (c *cli) printJSON(v any) error { return c.session(&source{}).PrintJSON(v) }

func interruptible() (context.Context, context.CancelFunc) { return session.Interruptible() }

type document = session.Document

// list keeps an empty list from being null in JSON.
func list[T any](all []T) []T { return session.List(all) }

// apps changes the installed apps.
func (c *cli) apps(o *applyOptions) lifecycle.Apps { return lifecycle.Apps{Passes: c.passes(o)} }
