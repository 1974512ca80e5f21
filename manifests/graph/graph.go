// Package graph owns the picture of which app uses which: the graph of a set of apps, in the
// languages of programs that draw it.
//
// It draws nothing, and never decides which apps are in the picture.
package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

// Graph is apps and what they use of each other. The names of the fields are a contract.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// Node is an app.
type Node struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Edge leads from an app to the provider of what it requires.
type Edge struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Capability string `json:"capability"`
	Optional   bool   `json:"optional"`
}

// Of is the graph of a set without some apps.
func Of(set *manifests.Set, without []string) *Graph {
	g := &Graph{Nodes: []Node{}, Edges: []Edge{}}
	isShown := func(app *manifests.Resolved) bool { return !slices.Contains(without, manifests.AppOf(app.File)) }
	for _, app := range set.Apps {
		if !isShown(app) {
			continue
		}
		g.Nodes = append(g.Nodes, Node{ID: app.ID(), Name: app.Document.App.Name})
		for _, n := range app.Needs {
			if n.Provider != nil && n.Provider != app && isShown(n.Provider) {
				g.Edges = append(g.Edges, Edge{app.ID(), n.Provider.ID(), n.Capability, n.Optional})
			}
		}
	}
	return g
}

// DOT is the graph in the language of Graphviz.
func (g *Graph) DOT() string {
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

// Mermaid is the graph as many Markdown viewers draw it.
func (g *Graph) Mermaid() string {
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
