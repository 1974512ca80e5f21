// Package view owns the text in which verbs show values: the actions of a pass or plan, and
// tables of rights, the catalog, containers, secrets and generations.
//
// It only formats values: it reads nothing, decides nothing and asks no questions.
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

// newTable begins a table with or without the titles of its columns.
func newTable(w io.Writer, titles ...any) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(titles) > 0 {
		t.row("", titles...)
	}
	return t
}

// row adds a row. The text of a cell may come from the author of a manifest, and could
// contain control characters for the terminal.
func (t table) row(indent string, cells ...any) {
	texts := make([]string, 0, len(cells))
	for _, c := range cells {
		texts = append(texts, ui.OneLine(fmt.Sprint(c)))
	}
	fmt.Fprintf(t.Writer, "%s%s\n", indent, strings.Join(texts, "\t"))
}
