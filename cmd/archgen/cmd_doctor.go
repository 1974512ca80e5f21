package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/systemd"

	"github.com/archipelago-os/archipelago/units/paths"
)

func (c *cli) doctorCommand() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps apps from running well",
		Long: `doctor looks at the machine for what apps need: Podman and its generator, the
user's systemd, ids and limits, ports, the manifests and unit files. For each
thing that is not right it prints the command that mends it.

Nothing is changed, and no check takes longer than ten seconds.

Exit status: 0 there is no problem, though maybe a warning; 1 there is one.`,
		Example: `  archgen doctor
  archgen doctor --json > doctor.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return c.doctor(&from, asJSON) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (c *cli) doctor(from *source, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	results := doctor.Run(ctx, c.doctorEnv(ctx, from))
	if asJSON {
		err := c.printJSON(struct {
			Checks []doctor.Result `json:"checks"`
		}{results})
		if err != nil {
			return err
		}
	} else {
		c.printChecks(results)
	}
	if slices.ContainsFunc(results, func(r doctor.Result) bool { return r.Severity == doctor.Problem }) {
		return errReported
	}
	return nil
}

func (c *cli) printChecks(results []doctor.Result) {
	colors := map[doctor.Severity]ui.Color{doctor.OK: ui.Green, doctor.Warning: ui.Yellow, doctor.Problem: ui.Red}
	style := ui.StyleOf(c.stdout, c.getenv)
	width := 0
	for _, r := range results {
		width = max(width, len(r.Name))
	}
	for _, r := range results {
		severity := style.Paint(colors[r.Severity], fmt.Sprintf("%-7s", r.Severity))
		fmt.Fprintf(c.stdout, "%s  %-*s  %s\n", severity, width, r.Name, r.Detail)
		for line := range strings.Lines(r.Fix) {
			fmt.Fprintf(c.stdout, "         %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}

// doctorEnv is this machine for the checks. What several of them need is found out once,
// when the first asks for it.
func (c *cli) doctorEnv(ctx context.Context, from *source) *doctor.Env {
	scope := from.scope()
	e := &doctor.Env{
		Scope: scope, Root: "/", Getenv: c.getenv, UID: os.Getuid(), User: c.getenv("USER"),
		Self: "archgen", Storage: paths.Storage(scope, c.getenv), Podman: c.podman,
		Exec: doctor.Exec, LookPath: exec.LookPath, Statfs: statfs,
	}
	if self, err := os.Executable(); err == nil {
		e.Self = self
	}
	if who, err := user.Current(); err == nil {
		e.User = who.Username
	}
	connect := sync.OnceValues(func() (*systemd.Manager, error) {
		return systemd.Connect(ctx, systemd.Options{Scope: scope})
	})
	e.Manager = func() (doctor.Manager, error) { return connect() }
	e.Secrets = func() (doctor.Secrets, error) {
		l, err := c.local(scope)
		return l.Secrets, err
	}
	e.Services = sync.OnceValues(func() (map[string]machine.Service, error) {
		manager, err := connect()
		if err != nil {
			return nil, err
		}
		return machine.Services{Manager: manager, Scope: scope}.All(ctx, nil)
	})
	e.Apps = sync.OnceValues(func() (doctor.Apps, error) {
		compiled, want, err := c.installed(from)
		if err != nil {
			return doctor.Apps{}, err
		}
		places, err := paths.Of(scope, c.getenv)
		return doctor.Apps{Diags: compiled.Diags, Want: want, Paths: places}, err
	})
	return e
}

func statfs(path string) (st unix.Statfs_t, err error) {
	err = unix.Statfs(path, &st)
	return st, err
}
