package configfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Budget is what rendering has cost so far.
type Budget struct{ steps, made int }

// What a budget allows. A step takes about 0.03 microseconds; a template of the catalog
// takes a few hundred.
const (
	// maxSteps is the most steps: one for each part of an action that is done.
	maxSteps = 1_000_000
	// maxMade is the most bytes that functions may take and make together.
	maxMade = 8 << 20
)

// step counts steps.
func (b *Budget) step(n int) error {
	b.steps += n
	if b.steps > maxSteps {
		return fmt.Errorf("the templates take more than %d steps together", maxSteps)
	}
	return nil
}

// make counts what a function makes against the budget.
func (b *Budget) make(s string) (string, error) {
	return s, b.spend(len(s))
}

// spend counts bytes. It is asked before as well where a function would make far more than
// it is given, or takes far more than it makes.
func (b *Budget) spend(bytes int) error {
	b.made += bytes
	if b.made > maxMade {
		return fmt.Errorf("the functions of the templates take and make more than %d bytes together", maxMade)
	}
	return nil
}

// said takes the place out of the parser's messages, which give no column.
var (
	said      = regexp.MustCompile(`(?s)^template: ` + name + `:(\d+): (.*)$`)
	undefined = regexp.MustCompile(`function "(\w+)" not defined`)
)

// located makes one of our errors of one of the parser's.
func located(text string, err error) *Error {
	m := said.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{Line: 1, Column: 1, Message: err.Error()}
	}
	e := &Error{Message: strings.ReplaceAll(m[2], name+":", "line ")}
	e.Line, _ = strconv.Atoi(m[1]) // digits
	e.Column = columnOf(text, e.Line, e.Message)
	return e
}

// columnOf is the likeliest place in a line that can't be parsed.
func columnOf(text string, line int, message string) int {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return 1
	}
	word := "{{"
	if m := undefined.FindStringSubmatch(message); m != nil {
		word = m[1]
	}
	return max(strings.Index(lines[line-1], word), 0) + 1
}

// at is an error at an offset.
func at(text string, offset int, format string, args ...any) *Error {
	before := text[:min(max(offset, 0), len(text))]
	return &Error{
		Line: 1 + strings.Count(before, "\n"), Column: len(before) - strings.LastIndexByte(before, '\n'), Message: fmt.Sprintf(format, args...),
	}
}
