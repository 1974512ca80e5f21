package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

func (c *cli) grantCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "grant ID RIGHT…",
		Short: "Grant an app rights",
		Long: `grant lets an app do what its manifest asks for beyond its own containers, and
starts it. RIGHT is KIND:SUBJECT as archgen rights lists it, or KIND for all
rights of that kind, also those that a later manifest asks for.

The grants are kept in ID.d/grants.toml beside the manifest, which can be
written by hand as well. What an overlay asks for needs no grant. The key allow
in archipelago.toml grants rights to all apps.

With --root the grants of an image that is being built are written.

Exit status: as of apply.`,
		Example: `  archgen grant my-app listen:0.0.0.0:8080/tcp
  archgen grant my-app use:bitcoin-rpc onion
  archgen grant --root "$BUILDROOT" my-app host-read:/srv/media`,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error { return c.grant(&o, args[0], args[1:]) },
	}
	o.grantFlags(cmd)
	return cmd
}

func (c *cli) revokeCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "revoke ID RIGHT…",
		Short: "Take rights from an app",
		Long: `revoke takes rights from an app that were granted to it. One that runs with
such a right is stopped, and its unit files are removed; its data stays. It
starts again when the right is granted again, or when its manifest does not ask
for it any more.

Exit status: as of apply; an app that lacks a right now is no failure.`,
		Example: `  archgen revoke my-app listen:0.0.0.0:8080/tcp`,
		Args:    usageArgs(cobra.MinimumNArgs(2)),
		RunE:    func(_ *cobra.Command, args []string) error { return c.revoke(&o, args[0], args[1:]) },
	}
	o.grantFlags(cmd)
	return cmd
}

func (o *applyOptions) grantFlags(cmd *cobra.Command) {
	o.flags(cmd)
	cmd.Flags().StringVar(&o.root, "root", "", "work on the system image below `DIR`, not this machine")
}

// grantsOf is what is granted to an app.
func (c *cli) grantsOf(from *source, id string) (*install.Grants, error) {
	if !manifests.Fits("id", id) {
		return nil, usageError{fmt.Errorf("%q is no id of an app", id)}
	}
	dir, err := c.directory(from)
	if err != nil {
		return nil, err
	}
	k, _, err := c.installed(from)
	if err != nil {
		return nil, err
	}
	return install.GrantsOf(id, dir, k)
}

func (c *cli) grant(o *applyOptions, id string, list []string) error {
	if err := rights.CheckGrants(list); err != nil {
		return usageError{err}
	}
	g, err := c.grantsOf(&o.source, id)
	if err != nil {
		return err
	}
	for _, right := range g.Unasked(list) {
		fmt.Fprintf(c.stderr, "archgen: %s does not ask for %s; it is granted all the same\n", id, compile.ShellWord(right))
	}
	switch err := g.Add(list); {
	case err != nil || o.root != "":
		return err
	case !g.IsInstalled:
		fmt.Fprintf(c.stderr, "archgen: %s is not installed; it has the grant when it is\n", id)
		return nil
	}
	o.awaited = []string{id}
	return c.apply(o, nil, "")
}

func (c *cli) revoke(o *applyOptions, id string, list []string) error {
	g, err := c.grantsOf(&o.source, id)
	if err != nil {
		return err
	}
	if err := g.Revoke(list); err != nil || o.root != "" {
		return err
	}
	o.lenient = true // an app that lacks the right now is what was asked for
	return c.apply(o, nil, "")
}
