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
		Short: "Take over containers that somebody else made",
		Long: `adopt lets apps take the place of containers that have their names and were made
by hand or by another program. The volumes and directories that a container has
mounted become those of the app, which an overlay says, ID.d/` + adopt.OverlayName + `.
The container gets as long to stop as the app does. It is removed only when the
app serves; where it does not, it gets its place back, and runs again if it ran
(one that was paused is not paused again), and no unit of the app stays.

Whenever archgen starts an app it does the same. Without ids, adopt lists what
could be taken over, and does nothing.

Exit status: as of apply; 6 where an app does not serve.`,
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

// adopt starts the apps in whose place there is something. For the others it is a
// pass like any other, which ends what one that was killed began.
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
			fmt.Fprintf(c.stderr, "%s: there is no container in its place\n", id)
		}
	}
	return c.pass(o, ids, func(id string) units.Kind {
		if inPlaceOf(id) {
			return units.Start
		}
		return ""
	})
}

// surveyForeign lists the containers in the place of installed apps, of all of
// them where none is named.
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
	return install.Adopter(c.podman, dir, func() *compile.Compiled { return k }).Survey(ctx, all)
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
