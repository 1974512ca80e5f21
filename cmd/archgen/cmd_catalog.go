package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/datasheet"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"

	"github.com/archipelago-os/archipelago/units/paths"
)

func (c *cli) catalogCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "List the apps that can be installed",
		Long: `catalog lists the apps that archgen includes and those in
/usr/share/archipelago/catalog, /etc/archipelago/catalog and
~/.config/archipelago/catalog. A later directory takes precedence; FROM names
the origin of an entry, and what the entry hides.`,
		Example: `  archgen catalog
  archgen catalog show bitcoin-knots
  archgen catalog show --manifest bitcoin-knots > bitcoin-knots.yaml`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return c.listCatalog(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.AddCommand(c.catalogShowCommand())
	return cmd
}

func (c *cli) catalogShowCommand() *cobra.Command {
	var asManifest, asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show an app of the catalog",
		Long: `show describes an app of the catalog: its notices, what it provides and
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
			return c.catalogIDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.showCatalog(args[0], asManifest, asJSON) },
	}
	cmd.Flags().BoolVar(&asManifest, "manifest", false, "print the manifest")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.MarkFlagsMutuallyExclusive("manifest", "json")
	return cmd
}

// catalogEntries lists the catalog, sorted by id.
func (c *cli) catalogEntries() ([]catalog.Entry, diag.List, error) {
	return catalog.Entries(paths.Env{Getenv: c.getenv}.Catalog())
}

func (c *cli) listCatalog(asJSON bool) error {
	entries, diags, err := c.catalogEntries()
	if err != nil {
		return err
	}
	if asJSON {
		return c.printJSON(document{"apps": list(entries), "diagnostics": list(diags)})
	}
	if err := (diag.Printer{Color: ui.HasColor(c.stderr, c.getenv)}).Print(c.stderr, diags); err != nil {
		return err
	}
	return view.Catalog(c.stdout, entries)
}

// catalogIDs is the apps that can be installed, each with its description after a tab.
func (c *cli) catalogIDs() []string {
	entries, _, err := c.catalogEntries()
	if err != nil {
		return nil
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.ID+"\t"+e.Description)
	}
	return ids
}

func (c *cli) showCatalog(id string, asManifest, asJSON bool) error {
	entries, _, err := c.catalogEntries()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(entries, func(e catalog.Entry) bool { return e.ID == id })
	if i < 0 {
		return fmt.Errorf("the catalog has no app %q; see archgen catalog", id)
	}
	if asManifest {
		_, err = c.stdout.Write(entries[i].Text)
		return err
	}
	// The apps that it requires are missing here; the diagnostics about that are ignored.
	set, _ := manifests.Resolve([]*manifests.Manifest{entries[i].Manifest}, manifests.DefaultSettings())
	if asJSON {
		return c.printJSON(struct {
			catalog.Entry
			Rights []rights.Right `json:"rights"`
		}{entries[i], list(rights.Of(set.Apps[0]))})
	}
	return view.Sheet(c.stdout, entries[i], datasheet.Of(set.Apps, func(name string) string { return name }))
}
