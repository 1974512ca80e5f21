package graph_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/graph"
)

// TestGraph: an app that is left out has no arrows. Text is quoted as each language wants it.
func TestGraph(t *testing.T) {
	t.Parallel()
	texts := []string{
		`app: {id: database, name: 'The "DB" #1', version: 1.0.0, container: {image: x, ports: [{name: web, container: 80}]}, provides: [{capability: db, port: web}]}`,
		`app: {id: web, name: Web, version: 1.0.0, container: {image: x}, requires: [{capability: db}]}`,
		`app: {id: page, name: Page, version: 1.0.0, container: {image: x}, requires: [{capability: db, optional: true}]}`,
		`app: {id: broken, name: Broken, version: 1.0.0, container: {image: x}, requires: [{capability: db}]}`,
	}
	list := make([]*manifests.Manifest, 0, len(texts))
	for i, id := range []string{"database", "web", "page", "broken"} {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: id + ".yaml", Data: []byte(texts[i])}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		list = append(list, m)
	}
	set, _ := manifests.Resolve(list, manifests.DefaultSettings())
	g := graph.Of(set, []string{"broken"})
	want := &graph.Graph{
		Nodes: []graph.Node{{"database", `The "DB" #1`}, {"page", "Page"}, {"web", "Web"}},
		Edges: []graph.Edge{{"page", "database", "db", true}, {"web", "database", "db", false}},
	}
	if d := cmp.Diff(want, g); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	const dot = `digraph archipelago {
  rankdir=BT;
  node [shape=box, style=rounded, fontname="sans-serif"];
  edge [fontname="sans-serif", fontsize=10];
  "database" [label="The \"DB\" #1"];
  "page" [label="Page"];
  "web" [label="Web"];
  "page" -> "database" [label="db", style=dashed];
  "web" -> "database" [label="db"];
}
`
	if d := cmp.Diff(dot, g.DOT()); d != "" {
		t.Errorf("DOT: -want +got:\n%s", d)
	}
	const mermaid = `flowchart BT
  n0["The #quot;DB#quot; #35;1"]
  n1["Page"]
  n2["Web"]
  n1 -.->|db| n0
  n2 -->|db| n0
`
	if d := cmp.Diff(mermaid, g.Mermaid()); d != "" {
		t.Errorf("Mermaid: -want +got:\n%s", d)
	}
}
