package ui

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Table is rows of cells below titles.
type Table struct {
	Titles []string
	// Optional is the titles of columns that are left out, in this order, if the terminal is
	// too narrow.
	Optional []string
	// Painted is the title of the column that has the colour of the row.
	Painted string
	Rows    []Row
}

// Row is one line of a table.
type Row struct {
	// Cells is one for each title.
	Cells []string
	// Note is printed on a line below the row, and cut if it does not fit.
	Note  string
	Color Color
}

// Lines formats a table.
func (t Table) Lines(s Style) []string {
	widths := t.widths()
	shown := t.fitting(s, widths)
	lines := []string{t.line(s, Row{Cells: t.Titles}, widths, shown)}
	for _, r := range t.Rows {
		lines = append(lines, t.line(s, r, widths, shown))
		if r.Note != "" {
			lines = append(lines, s.Cut("  "+r.Note))
		}
	}
	return lines
}

// gap is the number of spaces between columns.
const gap = 2

func (t Table) widths() []int {
	widths := make([]int, len(t.Titles))
	for i, title := range t.Titles {
		widths[i] = utf8.RuneCountInString(title)
		for _, r := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r.Cells[i]))
		}
	}
	return widths
}

// fitting is the columns that fit the terminal.
func (t Table) fitting(s Style, widths []int) []bool {
	shown, total := make([]bool, len(widths)), -gap
	for i, w := range widths {
		shown[i] = true
		total += w + gap
	}
	for _, title := range t.Optional {
		if s.Width == 0 || total <= s.Width {
			break
		}
		i := slices.Index(t.Titles, title)
		shown[i] = false
		total -= widths[i] + gap
	}
	return shown
}

// line pads the cells of a row to the widths of their columns.
func (t Table) line(s Style, r Row, widths []int, shown []bool) string {
	var b strings.Builder
	for i, cell := range r.Cells {
		if !shown[i] {
			continue
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+gap)
		if t.Titles[i] == t.Painted {
			cell = s.Paint(r.Color, cell)
		}
		b.WriteString(cell + pad)
	}
	return strings.TrimRight(b.String(), " ")
}
