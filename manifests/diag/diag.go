// Package diag owns diagnostics, the findings about input: the type, the table of stable codes,
// and the two forms of output (text with an excerpt, and JSON).
//
// It never decides what is wrong and never reads files: callers pass the text for an excerpt.
// It imports no other package of this module.
package diag

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Severity says whether a diagnostic stops the work.
type Severity int

// The severities, most severe first.
const (
	// Error stops the work: nothing is written.
	Error Severity = iota
	// Warning is worth a look; `check --strict` treats it as an error.
	Warning
)

// String returns the lower-case name for text and JSON.
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// MarshalJSON writes the severity by name.
func (s Severity) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// Diagnostic is one finding. Line and Column are 1-based, Column counts bytes;
// both are 0 where the finding belongs to a whole file or to no file.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	// Path is the manifest path, such as app.container.ports[0].host.
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	// Hint says how to fix it, if that can be guessed.
	Hint string `json:"hint,omitempty"`
}

// String is the one-line form: file:line:column: severity: message [code].
func (d Diagnostic) String() string {
	where := d.File
	if d.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
	}
	if where != "" {
		where += ": "
	}
	return printable(fmt.Sprintf("%s%s: %s [%s]", where, d.Severity, d.Message, d.Code))
}

// List is a collection of findings, in any order until Sort.
type List []Diagnostic

// HasErrors reports whether any finding stops the work.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Count returns the number of errors and of warnings.
func (l List) Count() (errors, warnings int) {
	for _, d := range l {
		if d.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// Sort orders findings by file, position, severity, code and message, so that
// the same input always prints the same report.
func (l List) Sort() {
	slices.SortStableFunc(l, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Message, b.Message),
		)
	})
}
