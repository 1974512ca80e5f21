package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// cli is the edge to the world of one invocation.
type cli struct {
	stdout, stderr io.Writer
	getenv         func(string) string
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "archgen",
		Short: "Compile app manifests into Podman Quadlet files",
		Long: `archgen compiles app manifests into Podman Quadlet files. systemd and Podman
run the apps from those files; nothing of archgen stands in between.

A manifest is one YAML or TOML file per app. The files in
~/.config/archipelago/apps, /etc/archipelago/apps and /usr/share/archipelago/apps
are the installed apps; the first directory that has an app wins.`,
		Example: `  archgen check bitcoin-knots.yaml
  archgen render --out ./units bitcoin-knots.yaml
  archgen render && systemctl --user daemon-reload
  systemctl --user start app@bitcoin-knots`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usageError{fmt.Errorf("there is no command %q; see archgen --help", args[0])}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(c.checkCommand(), c.renderCommand(), c.schemaCommand(), c.catalogCommand(), c.graphCommand(), c.versionCommand())
	return root
}

// usageArgs makes a complaint about arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}

// color reports whether w is a terminal that wants colours.
func (c *cli) color(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || c.getenv("NO_COLOR") != "" || c.getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
