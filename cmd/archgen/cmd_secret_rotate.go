package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/secrets"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/rotation"
	"github.com/archipelago-os/archipelago/units/secret"
)

func (c *cli) secretRotateCommand() *cobra.Command {
	var o applyOptions
	var from string
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Rotate a secret and restart what uses it",
		Long: `rotate replaces the value of a secret and of the secrets that are derived from
it, and restarts only the containers that use them. It restarts those of the app
that owns the secret first, then those of apps that require it; within an app in
the order of "after", so that a database has the new password before its
clients. Each container must serve before the next one restarts. rotate prints
how long each was down.

If a container does not serve with the new value, rotate restores the old value.
It then restarts, in the same order, the containers that have the new value or
have stopped since, and prints what failed. If rotate is killed, archgen apply
or healthd completes the rotation or restores the old value.

archgen generates the new value like the first one. If the manifest says that
the operator supplies the secret, use --from.

Exit status: 0 done; 1 it failed, and the old value is in force; 5 another run
holds the lock.`,
		Example: `  archgen secret rotate bitcoin-knots.rpc-password
  archgen secret rotate web.tls-key --from key.pem`,
		Args: usageArgs(oneOf("secret, as ID.NAME")),
		RunE: func(_ *cobra.Command, args []string) error { return c.rotate(&o, args[0], from) },
	}
	scopeFlags(cmd, &o.source)
	cmd.Flags().DurationVar(&o.timeout, "timeout", machine.WaitTimeout, "how long to wait for an app")
	cmd.Flags().StringVar(&from, "from", "", "read the new value from `FILE`, - for standard input")
	return cmd
}

func (c *cli) rotate(o *applyOptions, name, from string) error {
	if err := secret.CheckName(name); err != nil {
		return usageError{err}
	}
	var value string
	if from != "" {
		var err error
		if value, err = (secrets.Input{Stdin: c.stdin, Stderr: c.stderr}).Value(name, from); err != nil {
			return err
		}
	}
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, o.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	return c.rotator(l, o).Rotate(ctx, name, value)
}

// resumeRotation resumes a rotation that was interrupted.
func (c *cli) resumeRotation(ctx context.Context, l *machine.Machine, o *applyOptions) error {
	err := c.rotator(l, o).Resume(ctx, func(r *secret.Rotation) {
		if !o.asJSON {
			fmt.Fprintf(c.stderr, "resuming the rotation of %s that began at %s\n", r.Name, r.Began.Local().Format(time.DateTime))
		}
	})
	if _, isBack := errors.AsType[*secret.RevertedError](err); isBack {
		c.say(err) // the old value is restored: the rotation is over, and apply can continue
		return nil
	}
	return err
}

// rotator rotates the secrets of the installed apps.
func (c *cli) rotator(l *machine.Machine, o *applyOptions) rotation.Rotator {
	return rotation.Rotator{
		Machine: l,
		Installed: func() (units.Desired, error) {
			_, want, err := c.installed(&o.source)
			return want, err
		},
		Users:   func(names []string) (units.Desired, error) { return c.usersOf(&o.source, names) },
		Timeout: o.timeout, Progress: c.progress(o.asJSON),
		Ended: func(r rotation.Result) {
			if !o.asJSON {
				view.Rotation(c.stdout, r)
			}
		},
	}
}

// usersOf is the apps that may use one of some secrets.
func (c *cli) usersOf(from *source, names []string) (units.Desired, error) {
	k, want, err := c.installed(from)
	if err != nil {
		return want, err
	}
	if k.Set == nil {
		return want, errors.New("can't compile the manifests; see archgen check")
	}
	ids := k.UsersOf(names)
	if len(ids) == 0 { // it was removed meanwhile
		return units.Desired{Scope: want.Scope}, nil
	}
	return want.Only(ids)
}
