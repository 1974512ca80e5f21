package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/manifests"
)

func (c *cli) graphCommand() *cobra.Command {
	var (
		from   source
		format string
	)
	formats := map[string]func(*graph) string{"dot": (*graph).dot, "mermaid": (*graph).mermaid, "svg": (*graph).svg}
	cmd := &cobra.Command{
		Use:   "graph [PATH…|ID…]",
		Short: "Draw which app uses which",
		Long: `graph draws the apps and the capabilities between them. An arrow leads from an
app to the one that it requires; a dashed one stands for an optional
requirement. Without arguments it draws the installed apps.`,
		Example: `  archgen graph --format svg > node.svg
  archgen graph --format mermaid ./apps`,
		RunE: func(_ *cobra.Command, args []string) error {
			draw := formats[format]
			if draw == nil {
				return usageError{fmt.Errorf("there is no format %q: use dot, mermaid or svg", format)}
			}
			from.grants = nowhere
			k, err := c.load(&from, args)
			if err != nil {
				return err
			}
			if err := c.report(k, false); err != nil {
				return err
			}
			_, err = fmt.Fprint(c.stdout, draw(graphOf(k.Set)))
			return err
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&format, "format", "dot", "draw as `FORMAT`: dot, mermaid or svg")
	return cmd
}

// graph is apps and who uses whom.
type graph struct {
	nodes []node
	edges []edge
}

type node struct {
	id, name string
	// layer is 0 for an app that needs nobody, else one more than the highest it needs.
	layer int
}

type edge struct {
	from, to   int
	capability string
	optional   bool
}

func graphOf(set *manifests.Set) *graph {
	g := &graph{}
	index := map[string]int{}
	for i, app := range set.Apps {
		index[app.ID()] = i
		g.nodes = append(g.nodes, node{id: app.ID(), name: app.Document.App.Name})
	}
	for i, app := range set.Apps {
		for _, n := range app.Needs {
			if n.Provider != nil && n.Provider != app {
				g.edges = append(g.edges, edge{i, index[n.Provider.ID()], n.Capability, n.Optional})
			}
		}
	}
	// Resolve has refused circles, so this ends after as many rounds as there are layers.
	for changed := true; changed; {
		changed = false
		for _, e := range g.edges {
			if want := g.nodes[e.to].layer + 1; g.nodes[e.from].layer < want {
				g.nodes[e.from].layer, changed = want, true
			}
		}
	}
	return g
}

func (g *graph) dot() string {
	var b strings.Builder
	b.WriteString("digraph archipelago {\n  rankdir=BT;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for _, n := range g.nodes {
		fmt.Fprintf(&b, "  %q [label=%q];\n", n.id, n.name)
	}
	for _, e := range g.edges {
		style := ""
		if e.optional {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  %q -> %q [label=%q%s];\n", g.nodes[e.from].id, g.nodes[e.to].id, e.capability, style)
	}
	b.WriteString("}\n")
	return b.String()
}

func (g *graph) mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart BT\n")
	quote := strings.NewReplacer("#", "#35;", "&", "#amp;", "<", "#lt;", ">", "#gt;", `"`, "#quot;")
	for i, n := range g.nodes {
		fmt.Fprintf(&b, "  n%d[\"%s\"]\n", i, quote.Replace(n.name))
	}
	for _, e := range g.edges {
		arrow := "-->"
		if e.optional {
			arrow = "-.->"
		}
		fmt.Fprintf(&b, "  n%d %s|%s| n%d\n", e.from, arrow, e.capability, e.to)
	}
	return b.String()
}

// The measures of a drawing, in pixels.
const (
	boxWidth, boxHeight = 180, 44
	gapX, gapY          = 40, 90
	margin              = 24
)

type point struct{ x, y int }

// svg draws the layers from the bottom up: what everybody needs lies lowest.
func (g *graph) svg() string {
	at, size := g.layout()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="14">`+"\n", size.x, size.y, size.x, size.y)
	b.WriteString(`<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z" fill="#567"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", size.x, size.y)
	for i, e := range g.edges {
		which, of := g.share(i)
		g.svgEdge(&b, e, at, which, of)
	}
	for i, n := range g.nodes {
		p := at[i]
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="8" fill="#eef4fb" stroke="#567"/><text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n",
			p.x, p.y, boxWidth, boxHeight, p.x+boxWidth/2, p.y+boxHeight/2+5, escapeXML(shorten(n.name, 22)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// layout places every node, and returns the size of the drawing.
func (g *graph) layout() (at []point, size point) {
	at = make([]point, len(g.nodes))
	layers := map[int][]int{}
	top, widest := 0, 1
	for i, n := range g.nodes {
		layers[n.layer] = append(layers[n.layer], i)
		top = max(top, n.layer)
		widest = max(widest, len(layers[n.layer]))
	}
	size = point{2*margin + widest*(boxWidth+gapX) - gapX, 2*margin + (top+1)*(boxHeight+gapY) - gapY}
	for layer := range top + 1 {
		row := layers[layer]
		// Under what they need, so that arrows cross as little as a simple rule allows.
		slices.SortStableFunc(row, func(a, b int) int { return cmp.Compare(g.center(a, at), g.center(b, at)) })
		left := (size.x - (len(row)*(boxWidth+gapX) - gapX)) / 2
		for i, n := range row {
			at[n] = point{left + i*(boxWidth+gapX), margin + (top-layer)*(boxHeight+gapY)}
		}
	}
	return at, size
}

// center is the mean position of what a node needs.
func (g *graph) center(n int, at []point) int {
	sum, count := 0, 0
	for _, e := range g.edges {
		if e.from == n {
			sum, count = sum+at[e.to].x, count+1
		}
	}
	return sum / max(count, 1)
}

// share tells parallel arrows between two nodes apart: which of how many.
func (g *graph) share(i int) (which, of int) {
	for j, e := range g.edges {
		if e.from == g.edges[i].from && e.to == g.edges[i].to {
			if j < i {
				which++
			}
			of++
		}
	}
	return which, of
}

func (g *graph) svgEdge(b *strings.Builder, e edge, at []point, which, of int) {
	shift := (2*which + 1 - of) * boxWidth / (2 * of)
	x1, y1 := at[e.from].x+boxWidth/2+shift, at[e.from].y+boxHeight
	x2, y2 := at[e.to].x+boxWidth/2+shift, at[e.to].y
	dash := ""
	if e.optional {
		dash = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(b, `<path d="M%d %dL%d %d" stroke="#567" fill="none" marker-end="url(#arrow)"%s/>`, x1, y1, x2, y2, dash)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" font-size="11" fill="#345" stroke="#fff" stroke-width="4" paint-order="stroke">%s</text>`+"\n",
		(x1+x2)/2, (y1+y2)/2+4+(which%2)*12, escapeXML(e.capability))
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func escapeXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
