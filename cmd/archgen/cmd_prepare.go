package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) prepareCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "prepare ID[.PART]",
		Short: "Do what has to be done before an app starts",
		Long: `prepare does the steps of hooks.pre_start for a part, in order: directories that
have to exist, things to wait for, commands in the part's image. systemd runs it
before the container (ExecStartPre=). A step that fails, or takes longer than
its timeout, fails the start; what it printed is in the app's log. A command
with migrate is not run again once it has succeeded.

Exit status: 0 all is done; 1 a step failed.`,
		Example: `  systemctl --user start app@ledger`,
		Args:    usageArgs(oneOf("app, as ID or ID.PART")),
		RunE:    func(_ *cobra.Command, args []string) error { return c.prepare(&from, args[0]) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

func (c *cli) prepare(from *source, app string) error {
	if !c.runBySystemd() {
		return fmt.Errorf("%w app@%s", errByHand, app)
	}
	part, err := c.part(from.scope(), app)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	return part.RunSteps(ctx)
}

var errByHand = errors.New("systemd runs it before the app starts: systemctl start does")
