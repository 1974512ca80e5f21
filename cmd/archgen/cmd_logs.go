package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
)

// wantedLog is what is asked of the journal.
type wantedLog struct {
	from         source
	follow       bool
	lines, since string
}

func (c *cli) logsCommand() *cobra.Command {
	var w wantedLog
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Show what an app wrote",
		Long: `logs shows what the containers of an app wrote, all its parts together, and what
systemd did with them. Podman's own events are left out. It works for apps that
are not installed any more, too.

It runs journalctl; for more than its options here, this shows everything:
journalctl --user --unit='app@ID.service' --unit='app@ID.*.service'`,
		Example: `  archgen logs lnd
  archgen logs -f lnd
  archgen logs -n all --since yesterday bitcoin-knots`,
		Args: usageArgs(oneOf("app")),
		RunE: func(_ *cobra.Command, args []string) error {
			if n, err := strconv.Atoi(w.lines); w.lines != "all" && (err != nil || n < 0) {
				return usageError{fmt.Errorf("%q is no number of lines: give one, or all", w.lines)}
			}
			return c.logs(&w, args[0])
		},
	}
	scopeFlags(cmd, &w.from)
	f := cmd.Flags()
	f.BoolVarP(&w.follow, "follow", "f", false, "go on with what is written from now on")
	f.StringVarP(&w.lines, "lines", "n", "100", "the last `NUMBER` of lines, or all")
	f.StringVar(&w.since, "since", "", "what was written since a `TIME`, as journalctl takes it")
	return cmd
}

// journalTime is how long the journal may take to say whose lines it has.
const journalTime = 10 * time.Second

// logs becomes journalctl.
func (c *cli) logs(w *wantedLog, id string) error {
	services, known, err := c.loggedServices(&w.from)
	if err != nil {
		return err
	}
	services = slices.DeleteFunc(services, func(s string) bool { return units.AppOf(s) != id })
	if len(services) == 0 {
		return noSuchApp(id, known)
	}
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return fmt.Errorf("the journal can't be read without journalctl, which comes with systemd: %w", err)
	}
	args := append([]string{"journalctl"}, w.arguments(services)...)
	return fmt.Errorf("running %s: %w", program, syscall.Exec(program, args, os.Environ())) //nolint:gosec // the arguments are ours, and no shell reads them
}

func (w *wantedLog) arguments(services []string) []string {
	args := []string{"--no-hostname", "--lines=" + w.lines}
	if w.from.scope() == units.User {
		args = append(args, "--user")
	}
	if w.follow {
		args = append(args, "--follow")
	}
	if w.since != "" {
		args = append(args, "--since="+w.since)
	}
	for i, service := range services {
		if i > 0 {
			args = append(args, "+")
		}
		args = append(args, machine.LogMatches(w.from.scope(), service)...)
	}
	return args
}

// loggedServices is the services of apps that are installed, have a unit file, or
// ever wrote something, and the ids of the apps that are installed.
func (c *cli) loggedServices(from *source) (services, installed []string, err error) {
	places, err := paths.Of(from.scope(), c.getenv)
	if err != nil {
		return nil, nil, err
	}
	dirs, err := c.appDirs(from)
	if err != nil {
		return nil, nil, err
	}
	var loaded manifests.Loaded
	loaded.LoadDirs(dirs) // what is wrong with a manifest is nothing to its log
	for _, m := range loaded.Manifests {
		installed = append(installed, manifests.AppOf(m.File))
		services = append(services, units.ServiceName(manifests.AppOf(m.File)))
	}
	files, _ := machine.Files(places.Units).Read() // nor is a file that can't be read
	for _, f := range files {
		services = append(services, units.ServiceOf(f.Name))
	}
	services = append(services, loggers(from.scope())...)
	slices.Sort(services)
	slices.Sort(installed)
	return slices.Compact(services), slices.Compact(installed), nil
}

// loggers is the services that the journal has lines of.
func loggers(scope units.Scope) []string {
	ctx, cancel := context.WithTimeout(context.Background(), journalTime)
	defer cancel()
	args := []string{"--quiet", "--field=_SYSTEMD_UNIT"}
	if scope == units.User {
		args = []string{"--quiet", "--user", "--field=_SYSTEMD_USER_UNIT"}
	}
	out, err := exec.CommandContext(ctx, "journalctl", args...).Output() //nolint:gosec // they are those above
	if err != nil {
		return nil // journalctl itself will say why
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(s string) bool { return units.AppOf(s) == "" })
}
