package configfile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// bounds is how far one rendering has gone.
type bounds struct {
	turns, made int
	deadline    time.Time
}

// longest is how long a rendering may take.
const longest = 2 * time.Second

func (b *bounds) begin() { b.turns, b.made, b.deadline = 0, 0, time.Now().Add(longest) }

// tollError is why a loop was ended, with the offset of the loop.
type tollError struct {
	at  int
	why string
}

func (e *tollError) Error() string { return e.why }

// toll is the function that each turn of a loop begins with. text/template knows
// no limit itself, and a goroutine of it can't be stopped from outside.
const toll = "_turn"

func (b *bounds) turn(at int) (string, error) {
	b.turns++
	switch {
	case b.turns > maxTurns:
		return "", &tollError{at, fmt.Sprintf("the loops of the template take more than %d turns", maxTurns)}
	case b.isLate():
		return "", &tollError{at, fmt.Sprintf("the template takes longer than %v", longest)}
	}
	return "", nil
}

func (b *bounds) isLate() bool { return !b.deadline.IsZero() && time.Now().After(b.deadline) }

// charge puts the toll into every loop.
func charge(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			charge(child)
		}
	case *parse.RangeNode:
		chargeBranch(&n.BranchNode)
		n.List.Nodes = append([]parse.Node{tollNode(int(n.Pos))}, n.List.Nodes...)
	case *parse.IfNode:
		chargeBranch(&n.BranchNode)
	case *parse.WithNode:
		chargeBranch(&n.BranchNode)
	}
}

func chargeBranch(b *parse.BranchNode) {
	charge(b.List)
	charge(b.ElseList)
}

func tollNode(at int) parse.Node {
	t := template.Must(template.New(toll).Funcs(template.FuncMap{toll: func(int) string { return "" }}).Parse(fmt.Sprintf("{{%s %d}}", toll, at)))
	return t.Root.Nodes[0]
}

// limited ends a template that gives too much.
type limited struct{ out *bytes.Buffer }

var errTooLong = fmt.Errorf("the file would have more than %d bytes", MaxOutput)

func (l *limited) Write(p []byte) (int, error) {
	if l.out.Len()+len(p) > MaxOutput {
		return 0, errTooLong
	}
	return l.out.Write(p)
}

// make counts what a function makes against the bounds of a rendering.
func (b *bounds) make(s string) (string, error) {
	return s, b.spend(len(s))
}

// spend is asked before as well where a function would make far more than it is
// given.
func (b *bounds) spend(bytes int) error {
	b.made += bytes
	switch {
	case b.made > maxMade:
		return fmt.Errorf("the functions of the template make more than %d bytes", maxMade)
	case b.isLate():
		return fmt.Errorf("the template takes longer than %v", longest)
	}
	return nil
}

// said takes the place out of text/template's messages, which count columns of
// executions from 0 and give none of parsing.
var (
	said      = regexp.MustCompile(`(?s)^template: ` + name + `:(\d+)(?::(\d+))?: (.*)$`)
	executing = regexp.MustCompile(`(?s)^executing "` + name + `" at <(.*?)>: (.*)$`)
	undefined = regexp.MustCompile(`function "(\w+)" not defined`)
)

// located makes one of our errors of one of text/template's.
func located(text string, err error) *Error {
	if e, ok := errors.AsType[*tollError](err); ok {
		return at(text, e.at, "%s", e.why)
	}
	if errors.Is(err, errTooLong) {
		return &Error{1, 1, errTooLong.Error()}
	}
	m := said.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{1, 1, err.Error()}
	}
	e := &Error{Line: number(m[1]), Column: number(m[2]) + 1, Message: strings.ReplaceAll(m[3], name+":", "line ")}
	if m[2] == "" {
		e.Column = columnOf(text, e.Line, e.Message)
	}
	if x := executing.FindStringSubmatch(m[3]); x != nil {
		e.Message = x[1] + ": " + x[2]
	}
	return e
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // digits, or nothing
	return n
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
	return &Error{1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n'), fmt.Sprintf(format, args...)}
}
