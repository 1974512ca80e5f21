package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// cli is the environment of one invocation.
type cli struct {
	podman         podmancli.Runner
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "archgen",
		Short: "Compile app manifests into Podman Quadlet files",
		Long: `archgen compiles app manifests into Podman Quadlet files. systemd and Podman
run the apps from those files; archgen is not needed for that.

A manifest is one YAML or TOML file per app. The installed apps are the files in
~/.config/archipelago/apps, /etc/archipelago/apps and
/usr/share/archipelago/apps; the first directory that has an app takes
precedence.

Exit codes:
  0  done
  1  failed
  2  the command line can't be understood
  3  some apps failed and others did not; from status: an app that should
     be running is down or not answering; from import: something of the
     source is approximated or left out
  4  something differs: apply has something to do (diff --exit-code), an
     app can be updated (updates --exit-code), or the configuration files
     of an app are out of date (files)
  5  another run of archgen or healthd holds the lock
  6  an app was started and does not serve`,
		Example: `  archgen check bitcoin-knots.yaml
  archgen render --out ./units bitcoin-knots.yaml
  archgen render && systemctl --user daemon-reload
  systemctl --user start app@bitcoin-knots`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[:1]) // the rest is its arguments
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.ValidateFlagGroups(); err != nil {
				return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(helpCommand())
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	for _, g := range c.groups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, cmd := range g.commands {
			cmd.GroupID = g.title
			root.AddCommand(cmd)
		}
	}
	for _, cmd := range []*cobra.Command{c.prepareCommand(), c.onceCommand(), c.volumeCommand(), c.imageCommand()} {
		cmd.Hidden = true // systemd and archgen itself run them
		root.AddCommand(cmd)
	}
	root.AddCommand(c.completionCommand(), c.versionCommand())
	c.completeArguments(root)
	return root
}

// group is commands that help lists together.
type group struct {
	title    string
	commands []*cobra.Command
}

func (c *cli) groups() []group {
	return []group{
		{"Apps", []*cobra.Command{
			c.catalogCommand(), c.installCommand(), c.adoptCommand(), c.removeCommand(), c.enableCommand(), c.disableCommand(),
			c.updatesCommand(), c.updateCommand(), c.holdCommand(), c.unholdCommand(),
			c.startCommand(), c.stopCommand(), c.restartCommand(), c.statusCommand(), c.logsCommand(), c.waitCommand(),
			c.secretCommand(), c.rightsCommand(), c.grantCommand(), c.revokeCommand(),
		}},
		{"Machine", []*cobra.Command{
			c.diffCommand(), c.applyCommand(), c.pullCommand(), c.filesCommand(), c.generationsCommand(), c.rollbackCommand(), c.eventsCommand(), c.doctorCommand(),
		}},
		{"Authoring", []*cobra.Command{
			c.importCommand(), c.checkCommand(), c.renderCommand(), c.graphCommand(), c.schemaCommand(),
		}},
	}
}

// helpCommand is cobra's, but fails on an unknown command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Example: `  archgen help render`,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args)
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

func unknownCommand(root *cobra.Command, args []string) error {
	root.SuggestionsMinimumDistance = 2
	hint := ""
	if similar := root.SuggestionsFor(args[0]); len(args) == 1 && len(similar) > 0 {
		hint = "did you mean " + strings.Join(similar, " or ") + "? "
	}
	return usageError{fmt.Errorf("unknown command %q; %ssee archgen --help", strings.Join(args, " "), hint)}
}

// usageArgs turns an error about arguments into a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}

// some requires at least one argument.
func some(ask string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{errors.New(ask)}
		}
		return nil
	}
}

const nameApps = "name one or more apps; archgen status lists them"

// oneOf requires exactly one argument, and names it in the error.
func oneOf(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return errors.New("give one " + what)
		}
		return nil
	}
}
