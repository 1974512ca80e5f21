package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
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
		Long: `catalog lists the apps that archgen brings and those in
/usr/share/archipelago/catalog, /etc/archipelago/catalog and
~/.config/archipelago/catalog. A later place wins; FROM says which it is, and
what it hides.`,
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
		Short: "Show what an app is, and what it wants of the machine",
		Long: `show prints what there is to know of an app of the catalog before it is
installed: its notices, what it provides and requires, the Bitcoin networks that
it knows, its ports, data, rights, times, checks and images, with every default
filled in and without overlays. Its rights are what it can do beyond its own
containers; docs/rights.md explains them. With --manifest it prints the manifest
instead, to be copied and changed; with --json the entry of catalog --json, and
the rights.`,
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

// catalogEntry is one app of the catalog.
type catalogEntry struct {
	ID          string `json:"id"`
	Version     string `json:"version"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Icon        string `json:"icon"`
	// Links is addresses by what is there, such as "website".
	Links    map[string]string `json:"links"`
	Provides []string          `json:"provides"`
	Requires []string          `json:"requires"`
	// Notices is what a person has to know before the app is installed.
	Notices []string `json:"notices"`
	// Networks is the Bitcoin networks that the app can follow, empty for every one.
	Networks []string `json:"networks"`
	From     string   `json:"from"`
	// Hides is where an entry of the same id is from that this one takes the place of,
	// empty for none.
	Hides string `json:"hides"`

	// needs is what the app can't do without of Requires.
	needs    []string
	manifest *manifests.Manifest
	// file is the name of the manifest's file, data its text, and templates those of
	// its templates by name.
	file      string
	data      []byte
	templates map[string][]byte
	// grants is the text of the grants.toml that is installed with it, nil for none.
	grants []byte
}

// catalogEntries lists the catalog, sorted by id.
func (c *cli) catalogEntries() ([]catalogEntry, diag.List, error) {
	byID := map[string]catalogEntry{}
	var diags diag.List
	add := func(from, name string, data []byte, template func(id, name string) ([]byte, error)) {
		m, problems := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: name, Data: data}})
		diags = append(diags, problems...)
		if m == nil || problems.HasErrors() {
			return
		}
		e := entryOf(m, from, filepath.Base(name), data)
		diags = append(diags, e.addTemplates(m, template)...)
		e.Hides = byID[e.ID].From
		byID[e.ID] = e
	}
	embedded, err := catalog.Files()
	if err != nil {
		return nil, nil, err
	}
	for _, f := range embedded {
		add("archgen", f.Name, f.Data, catalog.Template)
	}
	for _, dir := range c.catalogDirs() {
		for _, pattern := range []string{"*.yaml", "*.yml", "*.toml"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return nil, nil, err
			}
			for _, file := range files {
				data, err := manifests.ReadFile(file)
				if err != nil {
					diags = append(diags, diag.Diagnostic{Code: diag.Unreadable, File: file, Message: fmt.Sprintf("it can't be read: %v", manifests.CauseOf(err))})
					continue
				}
				add(dir, file, data, templatesBeside(file))
			}
		}
	}
	var list []catalogEntry
	for _, e := range byID {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b catalogEntry) int { return strings.Compare(a.ID, b.ID) })
	return list, diags, nil
}

// templatesBeside reads templates from beside a manifest.
func templatesBeside(manifest string) func(id, name string) ([]byte, error) {
	return func(id, name string) ([]byte, error) {
		return manifests.ReadTemplate(filepath.Join(filepath.Dir(manifest), manifests.FilesDir(id)), name)
	}
}

// addTemplates reads the templates that a manifest names, so that they are
// installed with it.
func (e *catalogEntry) addTemplates(m *manifests.Manifest, read func(id, name string) ([]byte, error)) (diags diag.List) {
	e.templates = map[string][]byte{}
	for _, name := range m.Document.App.TemplateNames() {
		data, err := read(e.ID, name)
		if err != nil {
			diags = append(diags, diag.Diagnostic{
				Code: diag.Unreadable, File: m.File, Message: fmt.Sprintf("its template %s can't be read: %v", filepath.Join(manifests.FilesDir(e.ID), name), manifests.CauseOf(err)),
			})
			continue
		}
		e.templates[name] = data
	}
	return diags
}

func (c *cli) catalogDirs() []string { return paths.Env{Getenv: c.getenv}.Catalog() }

func entryOf(m *manifests.Manifest, from, file string, data []byte) catalogEntry {
	a := &m.Document.App
	e := catalogEntry{ID: a.ID, Version: a.Version, Name: a.Name, Description: a.Description, Icon: a.Icon, Links: a.Links, Provides: []string{}, Requires: []string{}, Notices: append([]string{}, a.Notices...), Networks: append([]string{}, a.Networks...), From: from, manifest: m, file: file, data: data}
	if e.Links == nil {
		e.Links = map[string]string{}
	}
	for _, p := range a.Provides {
		e.Provides = append(e.Provides, p.Capability)
	}
	for _, r := range a.Requires {
		e.Requires = append(e.Requires, r.Capability)
		if !r.Optional {
			e.needs = append(e.needs, r.Capability)
		}
	}
	return e
}

// origin is where the entry is from, and what it takes the place of.
func (e catalogEntry) origin() string {
	if e.Hides != "" {
		return e.From + " (hides that of " + e.Hides + ")"
	}
	return e.From
}

func (c *cli) listCatalog(asJSON bool) error {
	entries, diags, err := c.catalogEntries()
	if err != nil {
		return err
	}
	if asJSON {
		return c.printJSON(struct {
			Apps        []catalogEntry `json:"apps"`
			Diagnostics diag.List      `json:"diagnostics"`
		}{append([]catalogEntry{}, entries...), append(diag.List{}, diags...)})
	}
	if err := (diag.Printer{Color: ui.HasColor(c.stderr, c.getenv)}).Print(c.stderr, diags); err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tVERSION\tPROVIDES\tREQUIRES\tFROM\tDESCRIPTION")
	for _, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, ui.OneLine(e.Version), ui.DashList(e.Provides), ui.DashList(e.Requires), ui.OneLine(e.origin()), ui.OneLine(e.Description))
	}
	return w.Flush()
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
	i := slices.IndexFunc(entries, func(e catalogEntry) bool { return e.ID == id })
	if i < 0 {
		return fmt.Errorf("the catalog has no app %q; see archgen catalog", id)
	}
	if asManifest {
		_, err = c.stdout.Write(entries[i].data)
		return err
	}
	// What it requires of others is not there, and is not asked for.
	set, _ := manifests.Resolve([]*manifests.Manifest{entries[i].manifest}, manifests.Settings{})
	if asJSON {
		return c.printJSON(struct {
			catalogEntry
			Rights []rights.Right `json:"rights"`
		}{entries[i], append([]rights.Right{}, rights.Of(set.Apps[0])...)})
	}
	return printSheet(c.stdout, entries[i], datasheet.Of(set.Apps, func(name string) string { return name }))
}

// printSheet prints what there is to know of one app: what it is line by line, where to
// read on, and a table of each thing that it has.
func printSheet(to io.Writer, e catalogEntry, tables []datasheet.Table) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	overview, rest := tables[0], tables[1:]
	for i, text := range overview.Rows[0] {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", overview.Heads[i], ui.OneLine(text))
		}
	}
	fmt.Fprintf(w, "from\t%s\n", ui.OneLine(e.origin()))
	for _, name := range slices.Sorted(maps.Keys(e.Links)) {
		fmt.Fprintf(w, "%s\t%s\n", name, ui.OneLine(e.Links[name]))
	}
	if overview.Text != "" {
		fmt.Fprintf(w, "\n%s\n", overview.Text)
	}
	for _, t := range rest {
		if len(t.Rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", t.Title)
		if t.Text != "" {
			fmt.Fprintln(w, t.Text)
		}
		fmt.Fprintf(w, "  %s\n", strings.ToUpper(strings.Join(t.Heads, "\t")))
		for _, cells := range t.Rows {
			fmt.Fprintf(w, "  %s\n", strings.Join(filled(cells), "\t"))
		}
	}
	return w.Flush()
}

// filled is cells of which none is empty, fit for a terminal.
func filled(cells []string) []string {
	out := make([]string, 0, len(cells))
	for _, text := range cells {
		out = append(out, cmp.Or(ui.OneLine(text), "-"))
	}
	return out
}
