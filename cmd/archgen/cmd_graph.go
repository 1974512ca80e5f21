package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

func (c *cli) graphCommand() *cobra.Command {
	var (
		from   source
		format string
		asJSON bool
	)
	formats := map[string]func(*graph) string{"dot": (*graph).dot, "mermaid": (*graph).mermaid}
	cmd := &cobra.Command{
		Use:   "graph [PATH…|ID…]",
		Short: "Draw which app uses which",
		Long: `graph draws the apps and the capabilities between them. An arrow leads from an
app to the one that it requires; a dashed one stands for an optional
requirement. Without arguments it draws the installed apps.

An app whose manifest has errors is left out: graph prints the errors to
standard error and draws the other apps.

dot is the language of Graphviz; many Markdown viewers draw mermaid. With --json
graph prints nodes, the apps (id, name), and edges, what they require: from is
the id of the app that requires, to that of the app that provides, capability
and optional say what.

Exit status: 0 done, even if apps were left out; 1 it failed, or every app has
errors.`,
		Example: `  archgen graph | dot -Tsvg > node.svg
  archgen graph --format mermaid ./apps
  archgen graph --json > node.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			draw := formats[format]
			if draw == nil {
				return usageError{fmt.Errorf("there is no format %q: use dot or mermaid; for an SVG picture run archgen graph | dot -Tsvg", format)}
			}
			from.grants = nowhere
			g, err := c.graph(&from, args)
			switch {
			case err != nil:
				return err
			case asJSON:
				return c.printJSON(g)
			}
			_, err = fmt.Fprint(c.stdout, draw(g))
			return err
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&format, "format", "dot", "draw as `FORMAT`: dot or mermaid")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.MarkFlagsMutuallyExclusive("format", "json")
	return cmd
}

// graph loads manifests and returns the graph of the apps that have no errors.
func (c *cli) graph(from *source, args []string) (*graph, error) {
	k, err := c.load(from, args)
	if err != nil {
		return nil, err
	}
	invalid, isAttributed := invalidApps(k, c.from(from).Paths().Settings())
	g := graphOf(k.Set, invalid)
	if !isAttributed || len(invalid) > 0 && len(g.Nodes) == 0 {
		return nil, c.report(k, false)
	}
	k.Diags.Sort()
	if err := c.printer(k).Print(c.stderr, k.Diags); err != nil {
		return nil, err
	}
	if len(invalid) > 0 {
		c.say(fmt.Errorf("left out because of these errors: %s", strings.Join(invalid, ", ")))
	}
	return g, nil
}

// invalidApps is the apps whose manifests have errors. It reports false where an error
// belongs to no app, but to the settings or a directory.
func invalidApps(k *compile.Compiled, settings []string) (ids []string, isAttributed bool) {
	for _, d := range k.Diags {
		if d.Severity != diag.Error {
			continue
		}
		id := manifests.AppOf(d.File)
		if id == "" || slices.Contains(settings, d.File) {
			return nil, false
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), true
}

// graph is apps and what they use of each other. The names of the fields are a contract.
type graph struct {
	Nodes []node `json:"nodes"`
	Edges []edge `json:"edges"`
}

type node struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// edge leads from an app to the provider of what it requires.
type edge struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Capability string `json:"capability"`
	Optional   bool   `json:"optional"`
}

// graphOf is the graph of a set without some apps.
func graphOf(set *manifests.Set, without []string) *graph {
	g := &graph{Nodes: []node{}, Edges: []edge{}}
	isShown := func(app *manifests.Resolved) bool { return !slices.Contains(without, manifests.AppOf(app.File)) }
	for _, app := range set.Apps {
		if !isShown(app) {
			continue
		}
		g.Nodes = append(g.Nodes, node{ID: app.ID(), Name: app.Document.App.Name})
		for _, n := range app.Needs {
			if n.Provider != nil && n.Provider != app && isShown(n.Provider) {
				g.Edges = append(g.Edges, edge{app.ID(), n.Provider.ID(), n.Capability, n.Optional})
			}
		}
	}
	return g
}

func (g *graph) dot() string {
	var b strings.Builder
	b.WriteString("digraph archipelago {\n  rankdir=BT;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %q [label=%q];\n", n.ID, n.Name)
	}
	for _, e := range g.Edges {
		style := ""
		if e.Optional {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  %q -> %q [label=%q%s];\n", e.From, e.To, e.Capability, style)
	}
	b.WriteString("}\n")
	return b.String()
}

func (g *graph) mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart BT\n")
	quote := strings.NewReplacer("#", "#35;", "&", "#amp;", "<", "#lt;", ">", "#gt;", `"`, "#quot;")
	number := map[string]int{}
	for i, n := range g.Nodes {
		number[n.ID] = i
		fmt.Fprintf(&b, "  n%d[\"%s\"]\n", i, quote.Replace(n.Name))
	}
	for _, e := range g.Edges {
		arrow := "-->"
		if e.Optional {
			arrow = "-.->"
		}
		fmt.Fprintf(&b, "  n%d %s|%s| n%d\n", number[e.From], arrow, e.Capability, number[e.To])
	}
	return b.String()
}
