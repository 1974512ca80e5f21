package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/config"
	"github.com/archipelago-os/archipelago/units/container"
	"github.com/archipelago-os/archipelago/units/machine"
)

func (c *cli) filesCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "files ID[.PART]",
		Short: "Render the configuration files of an app",
		Long: `files renders the configuration files of a part for its next start. systemd runs
it before the container (ExecStartPre=); where a file can't be rendered, the app
does not start. The files lie in memory, in files/ID of the runtime directory,
for nobody but the container to read; one that is right already is not written.
It also gives named volumes that are new, with what the image puts into them, to
the container's user. A volume that holds data is never changed.

Run by hand it writes nothing, and says whether the app was started with the
configuration that it would get now. archgen apply restarts one that was not.

Exit status: 0 all is as it should be; 1 a file can't be rendered; 4 the app has
to be restarted.`,
		Example: `  archgen files bitcoin-ui
  archgen files ledger.db`,
		Args: usageArgs(oneOf("app, as ID or ID.PART")),
		RunE: func(_ *cobra.Command, args []string) error { return c.files(&from, args[0]) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

func (c *cli) files(from *source, app string) error {
	recipe, err := c.recipeOf(from.scope(), app)
	if err != nil {
		return err
	}
	host, err := c.configHost(from.scope())
	if err != nil {
		return err
	}
	if c.runBySystemd() {
		ctx, stop := interruptible()
		defer stop()
		p := &preparation{c: c, scope: from.scope(), app: app, recipe: recipe, host: host}
		if err := p.own(ctx); err != nil {
			return fmt.Errorf("the volumes of app@%s: %w", app, err)
		}
		if err := host.Write(app, recipe); err != nil {
			return fmt.Errorf("the configuration of app@%s: %w", app, err)
		}
		return nil
	}
	want, have, err := host.Compare(app, recipe)
	if err != nil {
		return fmt.Errorf("the configuration of app@%s: %w", app, err)
	}
	for _, f := range recipe.Files {
		fmt.Fprintln(c.stdout, filepath.Join(host.Dir(app), f.Name))
	}
	if want != have {
		fmt.Fprintf(c.stderr, "app@%s was not started with what it would get now; archgen apply restarts it\n", app)
		return differs{errReported}
	}
	return nil
}

// recipeOf reads the recipe of a part.
func (c *cli) recipeOf(scope units.Scope, app string) (units.Recipe, error) {
	name := units.RecipeName("app@" + app + ".service")
	content, err := c.renderedFile(scope, app, name)
	if err != nil {
		return units.Recipe{}, err
	}
	if _, ours := units.ReadMark(content); !ours {
		return units.Recipe{}, fmt.Errorf("%s is not a whole file of archgen's; archgen apply writes it anew", name)
	}
	return units.ReadRecipe(content)
}

// configHost is where the configuration of this machine's apps comes from.
func (c *cli) configHost(scope units.Scope) (config.Host, error) {
	places, err := machine.PlacesOf(scope, c.getenv)
	if err != nil {
		return config.Host{}, err
	}
	return places.Config(container.Storage(scope, c.getenv)), nil
}

// runBySystemd tells a command of a unit from one that a person types: what the
// latter does is not what the container was started with.
func (c *cli) runBySystemd() bool { return c.getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) }

var errByHand = errors.New("systemd runs it before the app starts: systemctl start does")
