package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
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

// grants is what is granted to one app, and where that is written.
type grants struct {
	dir   installed.Directory
	allow []string
	// compiled is the installed apps.
	compiled *compile.Compiled
}

func (c *cli) grantsOf(from *source, id string) (*grants, error) {
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
	if _, isRead := k.Loaded.Grants[id]; !isRead { // it is not installed
		_ = k.Loaded.LoadGrants(dir.Paths(), id) // a file with errors is refused below
	}
	g := &grants{dir, k.GrantsOf(id).App, k}
	if granted := k.Loaded.Grants[id]; granted.Broken {
		return nil, fmt.Errorf("%s has errors, and would lose what can't be read: mend it first, see archgen check", granted.File)
	}
	return g, nil
}

func (c *cli) grant(o *applyOptions, id string, list []string) error {
	if err := areRights(list); err != nil {
		return err
	}
	g, err := c.grantsOf(&o.source, id)
	if err != nil {
		return err
	}
	asked, isInstalled := g.compiled.Rights[id]
	for _, right := range list {
		if isInstalled && !rights.ListsAny(right, asked) {
			fmt.Fprintf(c.stderr, "archgen: %s does not ask for %s; it is granted all the same\n", id, compile.ShellWord(right))
		}
	}
	if err := g.dir.SetGrants(id, slices.Concat(g.allow, list)); err != nil {
		return err
	}
	switch {
	case o.root != "":
		return nil
	case !isInstalled:
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
	var errs []error
	for _, right := range list {
		if !slices.Contains(g.allow, right) {
			errs = append(errs, notGranted(g, id, right))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	allow := slices.DeleteFunc(slices.Clone(g.allow), func(right string) bool { return slices.Contains(list, right) })
	if err := g.dir.SetGrants(id, allow); err != nil || o.root != "" {
		return err
	}
	o.lenient = true // an app that lacks the right now is what was asked for
	return c.apply(o, nil, "")
}

// notGranted says why a right can't be taken from an app by its grants.
func notGranted(g *grants, id, right string) error {
	kind, _, _ := strings.Cut(right, ":")
	switch origin := g.compiled.GrantsOf(id).OriginIn(g.compiled.Rights[id], right); {
	case slices.Contains(g.allow, kind):
		return fmt.Errorf("%s is granted all rights of the kind %s: revoke %s, and grant those that it is to keep", id, kind, kind)
	case origin == rights.ByOverlay:
		return fmt.Errorf("an overlay of %s asks for %s: change the overlay, archgen rights %s names it", id, right, id)
	case origin == rights.BySettings:
		return fmt.Errorf("archipelago.toml allows %s to all apps: change it there", right)
	}
	return fmt.Errorf("%s is not granted %s; see archgen rights %s", id, right, id)
}
