package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/adopt"
)

func (c *cli) adoptCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "adopt [ID…]",
		Short: "Replace foreign containers by apps",
		Long: `adopt replaces containers that were made by hand or by another program and have
the names of an app's containers. The app keeps the volumes and directories that
a container mounts; archgen writes them to the overlay ID.d/` + adopt.OverlayName + `.

The container has the app's stop timeout to stop. archgen removes it when the
app serves. If the app does not serve, archgen removes the units of the app and
restores the container, running if it ran before (a paused one is not paused
again).

archgen does the same whenever it starts an app. Without ids, adopt lists the
containers that it would replace, and changes nothing.

Exit status: as for apply; 6 if an app does not serve.`,
		Example: `  archgen adopt
  archgen adopt bitcoin-knots`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.listForeign(&o)
			}
			return c.adopt(&o, args)
		},
	}
	o.flags(cmd)
	return cmd
}

// adopt starts the apps that have a foreign container. For the others it makes an
// ordinary pass, which completes an adoption that was interrupted.
func (c *cli) adopt(o *applyOptions, ids []string) error {
	list, err := c.surveyForeign(&o.source, ids)
	if err != nil {
		return err
	}
	inPlaceOf := func(id string) bool {
		return slices.ContainsFunc(list, func(f adopt.Container) bool { return f.App == id })
	}
	for _, id := range ids {
		if !inPlaceOf(id) {
			fmt.Fprintf(c.stderr, "%s: there is no foreign container to adopt\n", id)
		}
	}
	return c.pass(o, ids, func(id string) units.Kind {
		if inPlaceOf(id) {
			return units.Start
		}
		return ""
	})
}

// surveyForeign lists the foreign containers of installed apps: of the named ones, or
// of all if none is named.
func (c *cli) surveyForeign(from *source, ids []string) ([]adopt.Container, error) {
	ctx, stop := interruptible()
	defer stop()
	dir, err := c.directory(from)
	if err != nil {
		return nil, err
	}
	k, want, err := c.installed(from)
	if err != nil {
		return nil, err
	}
	if k.Result == nil {
		return nil, cmp.Or(c.report(k, false), errReported)
	}
	if want, err = want.Only(ids); err != nil {
		return nil, err
	}
	all := make([]string, 0, len(want.Apps))
	for _, app := range want.Apps {
		all = append(all, app.ID)
	}
	return install.Adopter(c.podman, dir, func() (*compile.Compiled, error) { return k, nil }).Survey(ctx, all)
}

func (c *cli) listForeign(o *applyOptions) error {
	found, err := c.surveyForeign(&o.source, nil)
	if err != nil {
		return err
	}
	if o.asJSON {
		return c.printJSON(document{"containers": list(found)})
	}
	return view.Containers(c.stdout, found)
}
