package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
)

func (c *cli) doctorCommand() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine for problems",
		Long: `doctor checks what apps need of the machine: Podman and its generator, the
user's systemd, ids, ports, the manifests, the unit files, and Podman's networks
and volumes. It compares the limits of the kernel and of Podman with what the
installed apps need when all of them run. For each problem it prints the command
that fixes it.

It changes nothing, and no check takes longer than ten seconds.

Exit status: 0 no problem, possibly warnings; 1 at least one problem.`,
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
	s := c.session(from)
	results := doctor.Run(ctx, doctor.ThisMachine(ctx, s.Machine(), s.Installed))
	if asJSON {
		if err := c.printJSON(document{"checks": results}); err != nil {
			return err
		}
	} else {
		view.Checks(c.stdout, ui.StyleOf(c.stdout, c.getenv), results)
	}
	if slices.ContainsFunc(results, func(r doctor.Result) bool { return r.Severity == doctor.Problem }) {
		return errReported
	}
	return nil
}
