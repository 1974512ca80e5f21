package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/statusview"
	"github.com/archipelago-os/archipelago/units/machine"
)

func (c *cli) logsCommand() *cobra.Command {
	var from source
	var w machine.Logs
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Show the log of an app",
		Long: `logs shows the output of all containers of an app, and systemd's messages about
them. It leaves out Podman's own events. It also works for apps that are no
longer installed.

It runs journalctl. For other options, run journalctl directly:
journalctl --user --unit='app@ID.service' --unit='app@ID.*.service'`,
		Example: `  archgen logs lnd
  archgen logs -f lnd
  archgen logs -n all --since yesterday bitcoin-knots`,
		Args: usageArgs(oneOf("app")),
		RunE: func(_ *cobra.Command, args []string) error {
			if n, err := strconv.Atoi(w.Lines); w.Lines != "all" && (err != nil || n < 0) {
				return usageError{fmt.Errorf("%q is not a number of lines: give a number, or all", w.Lines)}
			}
			return c.logs(&from, &w, args[0])
		},
	}
	scopeFlags(cmd, &from)
	f := cmd.Flags()
	f.BoolVarP(&w.Follow, "follow", "f", false, "keep printing new lines")
	f.StringVarP(&w.Lines, "lines", "n", "100", "the last `NUMBER` of lines, or all")
	f.StringVar(&w.Since, "since", "", "lines since `TIME`, in the format of journalctl")
	return cmd
}

// logs replaces the process with journalctl.
func (c *cli) logs(from *source, w *machine.Logs, id string) error {
	l, err := c.session(from).Local()
	if err != nil {
		return err
	}
	known := c.session(from).InstalledIDs()
	w.Scope, w.Services = from.scope(), l.LoggedServices(context.Background(), id, known)
	if len(w.Services) == 0 {
		return statusview.NoSuchApp(id, known)
	}
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return fmt.Errorf("reading the journal needs journalctl, which is part of systemd: %w", err)
	}
	args := append([]string{"journalctl"}, w.Arguments()...)
	return fmt.Errorf("running %s: %w", program, syscall.Exec(program, args, os.Environ())) //nolint:gosec // the arguments are ours, and no shell reads them
}
