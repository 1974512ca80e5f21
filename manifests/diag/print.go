package diag

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// excerptWidth is the most bytes of a source line that an excerpt shows.
const excerptWidth = 160

// Printer writes findings for a person.
type Printer struct {
	// Source returns the text of a file for the excerpt, nil when there is none.
	Source func(file string) []byte
	// Color turns on ANSI colours.
	Color bool
}

// Print writes every finding with its excerpt, then one line that counts them.
func (p Printer) Print(w io.Writer, l List) error {
	var b bytes.Buffer
	for _, d := range l {
		p.one(&b, d)
	}
	if errs, warns := l.Count(); errs+warns > 0 {
		fmt.Fprintf(&b, "%s\n", summary(errs, warns))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p Printer) one(b *bytes.Buffer, d Diagnostic) {
	if d.File != "" {
		b.WriteString(d.File)
		if d.Line > 0 {
			fmt.Fprintf(b, ":%d:%d", d.Line, d.Column)
		}
		b.WriteString(": ")
	}
	color := "31;1"
	if d.Severity == Warning {
		color = "33;1"
	}
	fmt.Fprintf(b, "%s: %s [%s]\n", p.paint(color, d.Severity.String()), d.Message, d.Code)
	p.excerpt(b, d)
	if d.Hint != "" {
		fmt.Fprintf(b, "       %s %s\n", p.paint("36", "hint:"), d.Hint)
	}
}

func (p Printer) excerpt(b *bytes.Buffer, d Diagnostic) {
	if d.Line <= 0 || p.Source == nil {
		return
	}
	line, ok := nthLine(p.Source(d.File), d.Line)
	if !ok {
		return
	}
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

// nthLine returns the 1-based line n without its end.
func nthLine(text []byte, n int) (string, bool) {
	for ; n > 1; n-- {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return "", false
		}
		text = text[i+1:]
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r"), len(text) > 0
}

// printable keeps a hostile manifest from driving the reader's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < 0x20 || (r >= 0x7f && r < 0xa0) || r == utf8.RuneError {
			return '.'
		}
		return r
	}, s)
}

// blank returns as many columns of space as s takes on a terminal.
func blank(s string) string {
	return strings.Repeat(" ", utf8.RuneCountInString(s))
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
