package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/datasheet"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

func (c *cli) catalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "List the apps that can be installed, and manage their catalogs",
		Long: `catalog lists the apps that can be installed, as catalog list does. Its commands
show an app, manage catalogs from sources, and sign a catalog. docs/catalogs.md
describes such catalogs.`,
		Example: `  archgen catalog
  archgen catalog show bitcoin-knots
  archgen catalog add nodes oci:ghcr.io/me/nodes:1 --key "$KEY"`,
		Args: usageArgs(cobra.NoArgs),
	}
	c.catalogListFlags(cmd)
	cmd.AddCommand(
		c.catalogListCommand(), c.catalogShowCommand(),
		c.catalogSourcesCommand(), c.catalogAddCommand(), c.catalogRemoveCommand(), c.catalogRefreshCommand(),
		c.catalogSignCommand(), c.catalogVerifyCommand(),
	)
	return cmd
}

// catalogListFlags makes a command list the apps.
func (c *cli) catalogListFlags(cmd *cobra.Command) {
	var from source
	var asJSON bool
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(*cobra.Command, []string) error { return c.listCatalog(&from, asJSON) }
}

func (c *cli) catalogListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the apps that can be installed",
		Long: `list prints the apps that archgen includes, those in
/usr/share/archipelago/catalog, /etc/archipelago/catalog and
~/.config/archipelago/catalog, and those of the catalogs that archgen catalog
sources lists. FROM names the origin of an entry. A later directory hides the
entries of earlier ones with the same id. A catalog from a source hides none: if
several catalogs have an app, install and show take CATALOG/ID.`,
		Example: `  archgen catalog list
  archgen catalog list --json`,
		Args: usageArgs(cobra.NoArgs),
	}
	c.catalogListFlags(cmd)
	return cmd
}

func (c *cli) catalogShowCommand() *cobra.Command {
	var from source
	var asManifest, asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID|CATALOG/ID",
		Short: "Show an app of a catalog",
		Long: `show describes an app of a catalog: its notices, what it provides and
requires, the Bitcoin networks that it supports, its ports, data, rights,
timeouts, probes and images, with every default filled in and without overlays.
Its rights are what it can do beyond its own containers; docs/rights.md explains
them. With --manifest it prints the manifest instead, to be copied and changed;
with --json the entry of catalog --json, and the rights.`,
		Example: `  archgen catalog show lnd
  archgen catalog show --json lnd
  archgen catalog show --manifest lnd > lnd.yaml`,
		Args: usageArgs(oneOf("id of an app")),
		ValidArgsFunction: func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(given) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return c.session(&from).CatalogIDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.showCatalog(&from, args[0], asManifest, asJSON) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asManifest, "manifest", false, "print the manifest")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.MarkFlagsMutuallyExclusive("manifest", "json")
	return cmd
}

func (c *cli) listCatalog(from *source, asJSON bool) error {
	entries, diags, err := c.session(from).Entries()
	if err != nil {
		return err
	}
	if asJSON {
		return c.printJSON(document{"apps": list(entries), "diagnostics": list(diags)})
	}
	if err := c.session(from).PrintPlain(diags); err != nil {
		return err
	}
	return view.Catalog(c.stdout, entries)
}

func (c *cli) showCatalog(from *source, ref string, asManifest, asJSON bool) error {
	entries, _, err := c.session(from).Entries()
	if err != nil {
		return err
	}
	e, err := catalog.Find(entries, ref)
	if errors.Is(err, catalog.ErrNone) {
		return fmt.Errorf("no catalog has an app %q; see archgen catalog", ref)
	}
	if err != nil {
		return err
	}
	if asManifest {
		_, err = c.stdout.Write(e.Text)
		return err
	}
	// The apps that it requires are missing here; the diagnostics about that are ignored.
	set, _ := manifests.Resolve([]*manifests.Manifest{e.Manifest}, manifests.DefaultSettings())
	if asJSON {
		return c.printJSON(struct {
			catalog.Entry
			Rights []rights.Right `json:"rights"`
		}{e, list(rights.Of(set.Apps[0]))})
	}
	return view.Sheet(c.stdout, e, datasheet.Of(set.Apps, func(name string) string { return name }))
}
