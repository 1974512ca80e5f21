package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/lifecycle"
)

func (c *cli) installCommand() *cobra.Command {
	var o applyOptions
	var wanted lifecycle.Wanted
	cmd := &cobra.Command{
		Use:   "install ID|FILE…",
		Short: "Install apps from the catalog or from manifest files",
		Long: `install copies manifests into the directory of installed apps, starts the apps,
and waits until they serve. It includes their companions, and the providers that
they require if the catalog has only one. Installing an app again changes
nothing, unless its manifest differs.

Before that, install pulls the images and compares the apps with them, as
check --images does. It does not install an app that can't run in its image.

Before it writes anything, install lists the rights of new apps that go beyond
the safe set, and those that a new manifest adds (archgen help rights). On a
terminal it asks whether to grant them. Elsewhere each must be given with
--allow: KIND:SUBJECT, or KIND for all rights of that kind that the apps ask
for. The apps of archgen's own catalog need no grants. archgen grant and archgen
revoke change the grants later.

If several catalogs have an app, name it as CATALOG/ID. Companions and providers
are of the app's own catalog; providers also of archgen's. install refuses an
app that its catalog has withdrawn, and without --stale one of a catalog that
has expired.

You can then edit the manifest, or add overlays in ID.d/. An app that can't be
started stays installed; remove removes it.

Before it starts a new app, install prints the app's notices: what its user must
know, for example that it has no login.

With --replace, install removes an installed app in the same pass, with those of
its companions that the new apps do not have. Apps that require what both
provide stay; archgen restarts them if its values change. The volumes, secrets
and overlays of the removed apps stay. install waits for the new apps as without
--replace.

With --detach, install returns when the apps serve, as apply does.

Exit status: as for apply; 6 if an app does not serve: install then prints the
last lines of its log.`,
		Example: `  archgen install bitcoin-knots
  archgen install ./my-app.yaml
  archgen install nodes/lnd
  archgen install --replace electrs fulcrum`,
		Args: some("name an app of the catalog (archgen catalog) or the file of a manifest"),
		RunE: func(_ *cobra.Command, args []string) error {
			wanted.Names = args
			return c.apps(&o).Install(wanted)
		},
	}
	o.flags(cmd)
	o.detachFlag(cmd)
	cmd.Flags().StringArrayVar(&wanted.Allow, "allow", nil, "grant the app `RIGHT`, or all rights of a kind")
	cmd.Flags().BoolVar(&wanted.Stale, "stale", false, "also install apps of a catalog that has expired")
	cmd.Flags().StringSliceVar(&wanted.Replaced, "replace", nil, "remove the app `ID` in the same pass; its data stays")
	return cmd
}
