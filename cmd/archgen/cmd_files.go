package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/systemd"
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
	isReload := want.Config == have.Config && want.Watched == have.Watched
	switch {
	case want == have:
		return nil
	case isReload:
		fmt.Fprintf(c.stderr, "app@%s has not read what it would get now; archgen apply reloads it\n", app)
	default:
		fmt.Fprintf(c.stderr, "app@%s was not started with what it would get now; archgen apply restarts it\n", app)
	}
	return differs{errReported}
}

// reload gives a running container the files that it can read again, and tells it.
func (c *cli) reload(from *source, app string) error {
	if !c.runBySystemd() {
		return fmt.Errorf("systemd runs it when the app is reloaded: %s", from.scope().Systemctl("reload app@"+app))
	}
	recipe, err := c.recipeOf(from.scope(), app)
	if err != nil {
		return err
	}
	if recipe.Reload == "" {
		return fmt.Errorf("app@%s has no file with reload: true", app)
	}
	host, err := c.configHost(from.scope())
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	p := &preparation{c: c, scope: from.scope(), app: app, recipe: recipe, host: host}
	overwrite := func(f units.RecipeFile, content []byte) error { return p.overwrite(ctx, f, content) }
	signal := func() error { return c.podman.Run(ctx, "kill", "--signal="+recipe.Reload, "--", app) }
	if err := host.Reload(app, recipe, overwrite, signal); err != nil {
		return fmt.Errorf("reloading the configuration of app@%s: %w", app, err)
	}
	return nil
}

// overwrite writes a file in place that belongs to the container's user, whom nobody but
// root of Podman's user namespace can write for.
func (p *preparation) overwrite(ctx context.Context, f units.RecipeFile, content []byte) error {
	dir := p.host.Dir(p.app)
	if p.scope == units.System {
		return durable.Overwrite(dir, f.Name, content, fs.FileMode(f.Mode))
	}
	return p.inNamespaceOf(ctx, bytes.NewReader(content), "overwrite", dir, f.Name, strconv.FormatUint(uint64(f.Mode), 8))
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
func (c *cli) configHost(scope units.Scope) (prestart.Host, error) {
	places, err := paths.Of(scope, c.getenv)
	if err != nil {
		return prestart.Host{}, err
	}
	return machine.Config(places, paths.Storage(scope, c.getenv), startedBy(scope)), nil
}

// startedBy asks the systemd of a scope, which only a part that follows another needs.
func startedBy(scope units.Scope) func(container string) (invocation string, err error) {
	return func(container string) (string, error) {
		manager, err := systemd.Connect(context.Background(), systemd.Options{Scope: scope})
		if err != nil {
			return "", err
		}
		defer manager.Close()
		return machine.Services{Manager: manager, Scope: scope}.Started(container)
	}
}

// runBySystemd tells a command of a unit from one that a person types: what the
// latter does is not what the container was started with.
func (c *cli) runBySystemd() bool { return c.getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) }

var errByHand = errors.New("systemd runs it before the app starts: systemctl start does")
