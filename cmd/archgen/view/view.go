// Package view owns the text in which verbs show values: what a pass did or would do, and
// tables of rights, the catalog, containers, secrets and generations.
//
// It knows values only: it finds nothing out, decides nothing and asks nobody.
package view

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
)

// table is rows of cells in columns.
type table struct{ *tabwriter.Writer }

// newTable begins a table with the titles of its columns, or without.
func newTable(w io.Writer, titles ...any) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(titles) > 0 {
		t.row("", titles...)
	}
	return t
}

// row adds a row. The text of a cell may be an author's, who could write what a terminal
// obeys.
func (t table) row(indent string, cells ...any) {
	texts := make([]string, 0, len(cells))
	for _, c := range cells {
		texts = append(texts, ui.OneLine(fmt.Sprint(c)))
	}
	fmt.Fprintf(t.Writer, "%s%s\n", indent, strings.Join(texts, "\t"))
}
