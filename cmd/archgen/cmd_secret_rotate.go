package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

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
		Short: "Give a secret another value, everywhere",
		Long: `rotate gives a secret a new value, and what is derived from it. It restarts the
containers that use the value, and no others: those of the app that the secret
belongs to first, then those of apps that require it; within an app in the order
of "after", so that a database has the new password before its clients. Each has
to serve before the next one restarts. How long each was down is printed.

If one does not serve with the new value, rotate restores the old value. It then
restarts, in the same order, what has the new value or has stopped since, and
says what failed. If rotate is killed, archgen apply or healthd complete the
rotation or restore the old value.

A new value is made like the first one. For a secret that has to be supplied it
is read from a file or standard input.

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
		if value, err = c.value(name, from); err != nil {
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

// resumeRotation goes on with a rotation that was cut off.
func (c *cli) resumeRotation(ctx context.Context, l *machine.Machine, o *applyOptions) error {
	err := c.rotator(l, o).Resume(ctx, func(r *secret.Rotation) {
		if !o.asJSON {
			fmt.Fprintf(c.stderr, "going on with the rotation of %s of %s\n", r.Name, r.Began.Local().Format(time.DateTime))
		}
	})
	if _, isBack := errors.AsType[*secret.RevertedError](err); isBack {
		c.say(err) // which is as good an end as the other
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
		Users:   func(secrets []string) (units.Desired, error) { return c.usersOf(&o.source, secrets) },
		Timeout: o.timeout, Progress: c.progress(o.asJSON),
		Ended: func(r rotation.Result) {
			if !o.asJSON {
				c.printRotation(r)
			}
		},
	}
}

// printRotation says how long each service was down that was restarted.
func (c *cli) printRotation(r rotation.Result) {
	for _, d := range r.Downtimes {
		fmt.Fprintf(c.stdout, "%s was down for %v\n", d.Service, d.For.Round(10*time.Millisecond))
	}
	if len(r.Downtimes) > 1 {
		fmt.Fprintf(c.stdout, "%s: %v from the first stop to the last start\n", r.Name, r.Span.Round(10*time.Millisecond))
	}
	if r.Err == nil {
		fmt.Fprintf(c.stdout, "%s has a new value, and everything serves with it\n", r.Name)
	}
}

// usersOf is the apps that may use one of some secrets.
func (c *cli) usersOf(from *source, secrets []string) (units.Desired, error) {
	k, want, err := c.installed(from)
	if err != nil {
		return want, err
	}
	if k.Set == nil {
		return want, errors.New("the manifests can't be compiled; see archgen check")
	}
	ids := k.UsersOf(secrets)
	if len(ids) == 0 { // it was removed meanwhile
		return units.Desired{Scope: want.Scope}, nil
	}
	return want.Only(ids)
}
