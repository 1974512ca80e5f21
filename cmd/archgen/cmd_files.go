package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units/prestart"
)

func (c *cli) filesCommand() *cobra.Command {
	var from source
	var reload bool
	cmd := &cobra.Command{
		Use:   "files ID[.PART]",
		Short: "Render the configuration files of an app",
		Long: `files renders the configuration files of a part for its next start. systemd runs
it before the container (ExecStartPre=). If a file can't be rendered, the app
does not start. The files are in memory, in files/ID of the runtime directory,
and only the container can read them. A file that is up to date is not written.
files also makes the container's user the owner of new named volumes and of what
the image puts into them. It never changes a volume that holds data.

With --reload, files updates the files that are marked with reload: true in the
running container, and sends it the signal that its manifest names. systemd runs
this when the app is reloaded (ExecReload=).

Run by hand, files writes nothing, and reports whether the configuration of the
app is up to date. If it is not, archgen apply reloads or restarts the app.

Exit status: 0 all files are up to date; 1 a file can't be rendered; 4 the app
must be reloaded or restarted.`,
		Example: `  archgen files bitcoin-ui
  archgen files ledger.db`,
		Args: usageArgs(oneOf("app, as ID or ID.PART")),
		RunE: func(_ *cobra.Command, args []string) error {
			if reload {
				return c.reload(&from, args[0])
			}
			return c.files(&from, args[0])
		},
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&reload, "reload", false, "update the files that the running container can reread")
	return cmd
}

func (c *cli) files(from *source, app string) error {
	part, err := c.session(from).Part(app)
	if err != nil {
		return err
	}
	if !c.session(from).IsRunBySystemd() {
		return c.compareFiles(part)
	}
	ctx, stop := interruptible()
	defer stop()
	return part.Configure(ctx)
}

// compareFiles prints the paths of a part's files, and reports whether the part runs with
// what they would hold now.
func (c *cli) compareFiles(part *prestart.Part) error {
	want, have, err := part.Compare()
	if err != nil {
		return err
	}
	for _, f := range part.Recipe.Files {
		fmt.Fprintln(c.stdout, filepath.Join(part.Renderer.Dir(part.ID), f.Name))
	}
	isReload := want.Config == have.Config && want.Watched == have.Watched
	switch {
	case want == have:
		return nil
	case isReload:
		fmt.Fprintf(c.stderr, "app@%s has not read its current configuration; archgen apply reloads it\n", part.ID)
	default:
		fmt.Fprintf(c.stderr, "app@%s was not started with its current configuration; archgen apply restarts it\n", part.ID)
	}
	return differs{errReported}
}

// reload updates the files that a running container can reread, and signals it.
func (c *cli) reload(from *source, app string) error {
	if !c.session(from).IsRunBySystemd() {
		return fmt.Errorf("only systemd runs files --reload, when the app is reloaded: %s", from.scope().Systemctl("reload app@"+app))
	}
	part, err := c.session(from).Part(app)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	return part.Reload(ctx)
}
