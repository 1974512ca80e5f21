package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/secrets"
	"github.com/archipelago-os/archipelago/units/machine"
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
	return c.passes(o).Rotate(name, value)
}
