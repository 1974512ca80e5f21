package diag

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// excerptWidth is the most bytes of a source line that an excerpt shows.
const excerptWidth = 160

// Printer writes findings as text.
type Printer struct {
	// Source returns the text of a file for the excerpt, nil when there is none.
	Source func(file string) []byte
	// Color turns on ANSI colours.
	Color bool

	lines map[string][]string
}

// Print writes every finding with its excerpt, then one line that counts them.
func (p Printer) Print(w io.Writer, l List) error {
	var b bytes.Buffer
	p.lines = map[string][]string{}
	for _, d := range l {
		p.one(&b, d)
	}
	if errs, warns := l.Count(); errs+warns > 0 {
		fmt.Fprintf(&b, "%s\n", summary(errs, warns))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Label is the word that a finding begins with, and its colour.
type Label struct{ Text, Color string }

func (p Printer) one(b *bytes.Buffer, d Diagnostic) {
	label := Label{d.Severity.String(), "31;1"}
	if d.Severity == Warning {
		label.Color = "33;1"
	}
	p.Line(b, label, d)
}

// Line writes one finding with its excerpt under a label of the caller's. Reports that know
// other severities are made of it.
func (p *Printer) Line(b *bytes.Buffer, label Label, d Diagnostic) {
	if p.lines == nil {
		p.lines = map[string][]string{}
	}
	if d.File != "" {
		b.WriteString(printable(d.File))
		if d.Line > 0 {
			fmt.Fprintf(b, ":%d:%d", d.Line, d.Column)
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(b, "%s: %s [%s]\n", p.paint(label.Color, label.Text), printable(d.Message), d.Code)
	p.excerpt(b, d)
	if d.Hint != "" {
		fmt.Fprintf(b, "       %s %s\n", p.paint("36", "hint:"), printable(d.Hint))
	}
}

func (p Printer) excerpt(b *bytes.Buffer, d Diagnostic) {
	lines := p.source(d.File)
	if d.Line <= 0 || d.Line > len(lines) {
		return
	}
	line := lines[d.Line-1]
	col := min(max(d.Column-1, 0), len(line))
	start := 0
	if col > excerptWidth-20 {
		start = col - 40
	}
	for start > 0 && !utf8.RuneStart(line[start]) {
		start--
	}
	shown := line[start:min(len(line), start+excerptWidth)]
	fmt.Fprintf(b, "%5d | %s\n      | %s%s\n", d.Line, printable(shown), blank(line[start:col]), p.paint("32;1", "^"))
}

func (p Printer) paint(code, s string) string {
	if !p.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// source is the lines of a file without their ends, split once.
func (p Printer) source(file string) []string {
	if p.Source == nil || file == "" {
		return nil
	}
	lines, ok := p.lines[file]
	if !ok {
		text := strings.TrimPrefix(string(p.Source(file)), "\ufeff")
		if text == "" {
			return nil
		}
		lines = strings.Split(strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
		p.lines[file] = lines
	}
	return lines
}

// printable keeps a hostile manifest from driving the reader's terminal, or
// from changing the order in which text shows.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError || r == '\u2028' || r == '\u2029' || unicode.In(r, unicode.Cc, unicode.Bidi_Control):
			return '.'
		}
		return r
	}, s)
}

// wide is the characters that take two columns of a terminal.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115f, 1},
		{0x2e80, 0x303e, 1},
		{0x3041, 0xa4cf, 1},
		{0xac00, 0xd7a3, 1},
		{0xf900, 0xfaff, 1},
		{0xfe30, 0xfe6f, 1},
		{0xff00, 0xff60, 1},
		{0xffe0, 0xffe6, 1},
	},
	R32: []unicode.Range32{{0x1f300, 0x1f64f, 1}, {0x1f680, 0x1f6ff, 1}, {0x1f900, 0x1f9ff, 1}, {0x20000, 0x3fffd, 1}},
}

// blank returns as many columns of space as s takes on a terminal.
func blank(s string) string {
	columns := 0
	for _, r := range printable(s) {
		switch {
		case unicode.Is(wide, r):
			columns += 2
		case !unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
			columns++
		}
	}
	return strings.Repeat(" ", columns)
}

func summary(errs, warns int) string {
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	switch {
	case warns == 0:
		return count(errs, "error")
	case errs == 0:
		return count(warns, "warning")
	}
	return count(errs, "error") + ", " + count(warns, "warning")
}
