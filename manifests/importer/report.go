// Package importer owns what every importer shares: the table of what happens to the keys of a
// source, the report with positions, questions and their answers, and the manifest that is
// written.
//
// It reads no file and knows no format: manifests/importer/compose and its like read a source
// and say what it means. What they write always passes archgen check: a value that does not is
// left out and reported.
package importer

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Finding is what happens to one key of the source.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	// Key is the path in the source, such as services.web.ports[0].
	Key string `json:"key,omitempty"`
	// To is the path in the manifest of what is kept.
	To      string `json:"to,omitempty"`
	Message string `json:"message"`
	// Hint is what a person can do.
	Hint string `json:"hint,omitempty"`
}

// File is one file to write, relative to the directory of the manifest.
type File struct {
	Path         string `json:"path"`
	Data         []byte `json:"-"`
	IsExecutable bool   `json:"executable,omitempty"`
}

// Result is one imported app.
type Result struct {
	ID string
	// Version is that of the app.
	Version string
	// Files is the manifest and its templates. It is empty if no app could be made.
	Files []File
	// Findings is in the order of the files.
	Findings []Finding
	// Questions is what was asked, in the order in which it was asked.
	Questions []Question
	// Sources is the text of the files that were read, for excerpts; secrets are masked.
	Sources map[string][]byte
}

// Worst is the highest severity of the findings.
func (r *Result) Worst() Severity {
	worst := Kept
	for _, f := range r.Findings {
		if rank(f.Severity) > rank(worst) {
			worst = f.Severity
		}
	}
	return worst
}

// IsLossy reports whether the app differs from the source.
func (r *Result) IsLossy() bool { return rank(r.Worst()) > rank(Asked) }

// Below puts the directory of the source before the names of its files, as its reader sees
// them.
func (r *Result) Below(dir string) {
	sources := make(map[string][]byte, len(r.Sources))
	for name, data := range r.Sources {
		sources[path.Join(dir, name)] = data
	}
	r.Sources = sources
	for i, f := range r.Findings {
		if f.File != "" {
			r.Findings[i].File = path.Join(dir, f.File)
		}
	}
}

// Counts is the number of findings of each severity.
func (r *Result) Counts() map[Severity]int {
	counts := map[Severity]int{}
	for _, f := range r.Findings {
		counts[f.Severity]++
	}
	return counts
}

var severities = []Severity{Kept, Asked, Approximated, Dropped, Refused}

func rank(s Severity) int { return slices.Index(severities, s) }

// colors is how the report shows the severities.
var colors = map[Severity]string{Asked: "36;1", Approximated: "33;1", Dropped: "33;1", Refused: "31;1"}

// Print writes the report as text: each finding but what is kept, with its excerpt, and a
// summary.
func (r *Result) Print(w io.Writer, color bool) error {
	var b bytes.Buffer
	p := diag.Printer{Source: func(file string) []byte { return r.Sources[file] }, Color: color}
	for _, f := range r.Findings {
		if f.Severity == Kept {
			continue
		}
		p.Line(&b, diag.Label{Text: string(f.Severity), Color: colors[f.Severity]}, diag.Diagnostic{
			Code: diag.Code(f.Code), File: f.File, Line: f.Line, Column: f.Column, Message: f.Message, Hint: f.Hint,
		})
	}
	fmt.Fprintf(&b, "%s\n", r.Summary())
	_, err := w.Write(b.Bytes())
	return err
}

// Summary is one line that counts the findings.
func (r *Result) Summary() string {
	counts := r.Counts()
	parts := make([]string, 0, len(severities))
	for _, s := range severities {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return fmt.Sprintf("%s: %s", cmp.Or(r.ID, "no app"), cmp.Or(strings.Join(parts, ", "), "nothing"))
}

// sortFindings orders findings by position.
func sortFindings(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), -cmp.Compare(rank(a.Severity), rank(b.Severity)))
	})
}

// at puts a position into a finding.
func at(f Finding, p syntax.Position) Finding {
	f.File, f.Line, f.Column = p.File, p.Line, p.Column
	return f
}
