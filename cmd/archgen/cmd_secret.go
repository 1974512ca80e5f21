package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/secrets"
)

func (c *cli) secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "List, set, show and rotate the secrets of apps",
		Long: `secret manages the values that only an app and its users may read, such as
passwords and keys. A manifest lists the secrets of its app (secrets:). archgen
generates random secrets before the first start of the app, and derives a secret
again when the one that it depends on changes. All others must be set. The
values are in secrets/ of the state directory, which other users can't read, and
are encrypted by systemd-creds if possible (see archgen doctor). Values are read
from files or standard input, never from arguments.`,
		Example: `  archgen secret list
  archgen secret rotate bitcoin-knots.rpc-password`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.secretListCommand(), c.secretSetCommand(), c.secretShowCommand(), c.secretRotateCommand())
	return cmd
}

func (c *cli) secretListCommand() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the secrets, without their values",
		Long: `list prints the secrets of the installed apps, where their values come from, and
whether they have a value. It also prints secrets that no installed app uses.`,
		Example: `  archgen secret list`,
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(*cobra.Command, []string) error { return secrets.PrintList(c.session(&from), asJSON) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (c *cli) secretSetCommand() *cobra.Command {
	var from source
	var file string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Set the value of a secret",
		Long: `set reads the value of a secret from a file or standard input. On a terminal it
asks for the value and does not show it. It removes the newline at the end of a
single line.

A running app keeps the value that it was started with until archgen apply
restarts it. To change a secret that several apps use, rotate it.`,
		Example: `  archgen secret set lnd.wallet-password
  archgen secret set web.tls-key --file key.pem`,
		Args: usageArgs(oneOf("secret, as ID.NAME")),
		RunE: func(_ *cobra.Command, args []string) error { return secrets.Set(c.session(&from), args[0], file) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().StringVar(&file, "file", "-", "read the value from `FILE`")
	return cmd
}

func (c *cli) secretShowCommand() *cobra.Command {
	var from source
	var force bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show the value of a secret",
		Long:  `show prints the value of a secret on a terminal. Elsewhere it needs --force.`,
		Example: `  archgen secret show bitcoin-knots.rpc-password
  archgen secret show --force web.tls-key > key.pem`,
		Args: usageArgs(oneOf("secret, as ID.NAME")),
		RunE: func(_ *cobra.Command, args []string) error { return secrets.Show(c.session(&from), args[0], force) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&force, "force", false, "print it even if standard output is not a terminal")
	return cmd
}
