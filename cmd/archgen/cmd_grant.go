package main

import (
	"github.com/spf13/cobra"
)

func (c *cli) grantCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "grant ID RIGHT…",
		Short: "Grant an app rights",
		Long: `grant gives an app rights that its manifest asks for, and starts the app. RIGHT
is KIND:SUBJECT as archgen rights lists it, or KIND for all rights of that kind,
including those that a later manifest asks for.

The grants are in ID.d/grants.toml beside the manifest, which can also be
written by hand. A right that an overlay asks for needs no grant. The key allow
in archipelago.toml grants rights to all apps.

With --root, grant writes the grants into a system image.

Exit status: as for apply.`,
		Example: `  archgen grant my-app listen:0.0.0.0:8080/tcp
  archgen grant my-app use:bitcoin-rpc onion
  archgen grant --root "$BUILDROOT" my-app host-read:/srv/media`,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error { return c.apps(&o).Grant(args[0], args[1:]) },
	}
	o.grantFlags(cmd)
	return cmd
}

func (c *cli) revokeCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "revoke ID RIGHT…",
		Short: "Revoke rights of an app",
		Long: `revoke removes grants of an app. If the app needs one of these rights, archgen
stops it and removes its unit files; its data stays. The app starts again when
the right is granted again, or when its manifest no longer asks for it.

Exit status: as for apply; an app that now lacks a right is not a failure.`,
		Example: `  archgen revoke my-app listen:0.0.0.0:8080/tcp`,
		Args:    usageArgs(cobra.MinimumNArgs(2)),
		RunE:    func(_ *cobra.Command, args []string) error { return c.apps(&o).Revoke(args[0], args[1:]) },
	}
	o.grantFlags(cmd)
	return cmd
}

func (o *applyOptions) grantFlags(cmd *cobra.Command) {
	o.flags(cmd)
	cmd.Flags().StringVar(&o.root, "root", "", "work on the system image below `DIR`, not this machine")
}
