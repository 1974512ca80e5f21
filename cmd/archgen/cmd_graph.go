package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/manifests/graph"
)

func (c *cli) graphCommand() *cobra.Command {
	var (
		from   source
		format string
		asJSON bool
	)
	formats := map[string]func(*graph.Graph) string{"dot": (*graph.Graph).DOT, "mermaid": (*graph.Graph).Mermaid}
	cmd := &cobra.Command{
		Use:   "graph [PATH…|ID…]",
		Short: "Draw the dependencies between apps",
		Long: `graph draws the apps and the capabilities between them. An arrow points from an
app to the one that it requires; a dashed arrow is an optional requirement.
Without arguments it draws the installed apps.

An app whose manifest has errors is left out: graph prints the errors to
standard error and draws the other apps.

dot is the language of Graphviz; many Markdown viewers draw mermaid. With
--json, graph prints nodes, the apps (id, name), and edges, their requirements:
from is the id of the consumer, to the id of the provider, capability its name,
and optional whether the consumer runs without it.

Exit status: 0 done, even if apps were left out; 1 it failed, or every app has
errors.`,
		Example: `  archgen graph | dot -Tsvg > node.svg
  archgen graph --format mermaid ./apps
  archgen graph --json > node.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			draw := formats[format]
			if draw == nil {
				return usageError{fmt.Errorf("unknown format %q: use dot or mermaid; for an SVG picture run archgen graph | dot -Tsvg", format)}
			}
			from.grants = session.Nowhere
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
func (c *cli) graph(from *source, args []string) (*graph.Graph, error) {
	s := c.session(from)
	k, err := s.Load(args)
	if err != nil {
		return nil, err
	}
	invalid, isAttributed := s.Compiler().Faulty(k.Diags)
	g := graph.Of(k.Set, invalid)
	if !isAttributed || len(invalid) > 0 && len(g.Nodes) == 0 {
		return nil, s.Report(k, false)
	}
	k.Diags.Sort()
	if err := s.Printer(k).Print(c.stderr, k.Diags); err != nil {
		return nil, err
	}
	if len(invalid) > 0 {
		s.Say(fmt.Errorf("left out because of these errors: %s", strings.Join(invalid, ", ")))
	}
	return g, nil
}
