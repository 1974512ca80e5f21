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
it before the container (ExecStartPre=); where a file can't be rendered, the app
does not start. The files lie in memory, in files/ID of the runtime directory,
for nobody but the container to read; one that is right already is not written.
It also gives named volumes that are new, with what the image puts into them, to
the container's user. A volume that holds data is never changed.

With --reload files gives the running container the files that are marked with
reload: true and sends it the signal of its manifest. systemd runs that when the
app is reloaded (ExecReload=).

Run by hand it writes nothing, and says whether the app has the configuration
that it would get now. archgen apply reloads or restarts one that has not.

Exit status: 0 all is as it should be; 1 a file can't be rendered; 4 the app has
to be reloaded or restarted.`,
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
	cmd.Flags().BoolVar(&reload, "reload", false, "give the running container the files that it reads again")
	return cmd
}

func (c *cli) files(from *source, app string) error {
	part, err := c.part(from.scope(), app)
	if err != nil {
		return err
	}
	if !c.runBySystemd() {
		return c.compareFiles(part)
	}
	ctx, stop := interruptible()
	defer stop()
	return part.Configure(ctx)
}

// compareFiles prints the paths of a part's files, and says whether it has read them.
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
		fmt.Fprintf(c.stderr, "app@%s has not read what it would get now; archgen apply reloads it\n", part.ID)
	default:
		fmt.Fprintf(c.stderr, "app@%s was not started with what it would get now; archgen apply restarts it\n", part.ID)
	}
	return differs{errReported}
}

// reload gives a running container the files that it can read again, and tells it.
func (c *cli) reload(from *source, app string) error {
	if !c.runBySystemd() {
		return fmt.Errorf("systemd runs it when the app is reloaded: %s", from.scope().Systemctl("reload app@"+app))
	}
	part, err := c.part(from.scope(), app)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	return part.Reload(ctx)
}
