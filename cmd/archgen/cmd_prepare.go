package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) prepareCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "prepare ID[.PART]",
		Short: "Run the prestart steps of an app",
		Long: `prepare runs the steps of hooks.pre_start of a part, in order: it creates
directories, waits for conditions, and runs commands in the part's image.
systemd runs it before the container (ExecStartPre=). A step that fails or
exceeds its timeout fails the start; its output is in the app's log. A command
with migrate is not run again after it has succeeded.

Exit status: 0 all steps succeeded; 1 a step failed.`,
		Example: `  systemctl --user start app@ledger`,
		Args:    usageArgs(oneOf("app, as ID or ID.PART")),
		RunE:    func(_ *cobra.Command, args []string) error { return c.prepare(&from, args[0]) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

func (c *cli) prepare(from *source, app string) error {
	if !c.session(from).IsRunBySystemd() {
		return errByHand("prepare", "before", app)
	}
	part, err := c.session(from).Part(app)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	return part.RunSteps(ctx)
}

// errByHand says how to have systemd run a verb.
func errByHand(verb, when, app string) error {
	return fmt.Errorf("only systemd runs %s, %s the app starts: use systemctl start app@%s", verb, when, app)
}
