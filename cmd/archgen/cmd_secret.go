package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

func (c *cli) secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "List, set, show and rotate the secrets of apps",
		Long: `secret is about the values that apps keep from everybody else: passwords, keys.
A manifest says which there are (secrets:). Random ones come into being before
an app starts for the first time, and what is derived from another follows it;
others have to be set. They lie in secrets/ of the state directory, for nobody
else to read, encrypted by systemd-creds where that can be done (see archgen
doctor). Values are read from files or standard input, never from arguments.`,
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
		Long: `list names the secrets of the installed apps, where their values come from, and
whether they have one; and values that no installed app has a use for.`,
		Example: `  archgen secret list`,
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(*cobra.Command, []string) error { return c.secretList(&from, asJSON) },
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
		Short: "Give a secret its value",
		Long: `set gives a secret its value, from a file or standard input; on a terminal it
asks, and shows nothing. The newline at the end of a single line is no part of
the value.

A running app keeps the value that it was started with until archgen apply
restarts it. To change one that several apps use, rotate it.`,
		Example: `  archgen secret set lnd.wallet-password
  archgen secret set web.tls-key --file key.pem`,
		Args: usageArgs(oneOf("secret, as ID.NAME")),
		RunE: func(_ *cobra.Command, args []string) error { return c.secretSet(&from, args[0], file) },
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
		Long:  `show prints the value of a secret on a terminal, elsewhere only with --force.`,
		Example: `  archgen secret show bitcoin-knots.rpc-password
  archgen secret show --force web.tls-key > key.pem`,
		Args: usageArgs(oneOf("secret, as ID.NAME")),
		RunE: func(_ *cobra.Command, args []string) error { return c.secretShow(&from, args[0], force) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&force, "force", false, "print it where it is no terminal, too")
	return cmd
}

func (c *cli) secretList(from *source, asJSON bool) error {
	l, err := c.local(from.scope())
	if err != nil {
		return err
	}
	k, want, err := c.installed(from)
	if err != nil {
		return err
	}
	list, err := l.Secrets.List(l.Secrets.Podman, want.Apps)
	if err != nil {
		return err
	}
	descriptions := k.SecretDescriptions()
	for i, e := range list {
		if e.Kind != "" { // it is in use
			list[i].Description = descriptions[e.Name]
		}
	}
	if asJSON {
		return c.printJSON(document{"secrets": list})
	}
	return view.Secrets(c.stdout, list)
}

func (c *cli) secretSet(from *source, name, file string) error {
	if err := secret.CheckName(name); err != nil {
		return usageError{err}
	}
	l, err := c.local(from.scope())
	if err != nil {
		return err
	}
	_, want, err := c.installed(from)
	if err != nil {
		return err
	}
	app := want.OwnerOf(name)
	if i := slices.IndexFunc(app.Secrets, func(d units.Secret) bool { return d.Name == name && d.Method != "" }); i >= 0 {
		return fmt.Errorf("%s is derived: set %s, and it follows", name, app.Secrets[i].From)
	}
	value, err := c.value(name, file)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	return l.SetSecret(ctx, app, name, value)
}

func (c *cli) secretShow(from *source, name string, force bool) error {
	if err := secret.CheckName(name); err != nil {
		return usageError{err}
	}
	if _, isShown := ui.Terminal(c.stdout); !isShown && !force {
		return usageError{errors.New("standard output is no terminal: --force prints the secret all the same")}
	}
	l, err := c.local(from.scope())
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	value, err := l.Secrets.Get(ctx, name)
	if errors.Is(err, secret.ErrNone) {
		value, err = l.Secrets.Podman.Secret(name)
	}
	if errors.Is(err, secret.ErrNone) {
		return fmt.Errorf("the secret %s has no value; see archgen secret list", name)
	}
	if err != nil {
		return err
	}
	fmt.Fprint(c.stdout, strings.TrimSuffix(value, "\n")+"\n")
	return nil
}
