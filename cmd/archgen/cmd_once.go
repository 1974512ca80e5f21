package main

import "github.com/spf13/cobra"

func (c *cli) onceCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "once ID[.PART]",
		Short: "Run the commands that an app needs once",
		Long: `once runs the commands of hooks.once of a part in its container, in order, and
records each that has succeeded, so that it never runs again. systemd runs it
when the part serves (ExecStartPost=). A command that fails or exceeds its
timeout fails the start; its output is in the app's log.

Exit status: 0 all commands have run; 1 a command failed.`,
		Example: `  systemctl --user start app@ledger`,
		Args:    usageArgs(oneOf("app, as ID or ID.PART")),
		RunE:    func(_ *cobra.Command, args []string) error { return c.once(&from, args[0]) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

func (c *cli) once(from *source, app string) error {
	if !c.session(from).IsRunBySystemd() {
		return errByHand("once", "after", app)
	}
	part, err := c.session(from).Part(app)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	return part.RunOnce(ctx)
}
