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
)

// Budget is what rendering has cost so far.
type Budget struct{ steps, made int }

// What a budget allows. A step takes about 0.2 microseconds; a template of the catalog
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

// tollError is why a loop was ended, with the offset of the loop.
type tollError struct {
	at  int
	why string
}

func (e *tollError) Error() string { return e.why }

// toll is the function that each turn of a loop begins with. text/template knows
// no limit itself, and a goroutine of it can't be stopped from outside.
const toll = "_turn"

// turn counts the steps of one turn of the loop at an offset.
func (b *Budget) turn(at, steps int) (string, error) {
	if err := b.step(steps); err != nil {
		return "", &tollError{at, err.Error()}
	}
	return "", nil
}

// charge puts the toll into every loop: what its body costs, without the turns of loops
// in it.
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
		n.List.Nodes = append([]parse.Node{tollNode(int(n.Pos), tollWeight+weightOf(n.List))}, n.List.Nodes...)
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

// tollWeight is the steps that a turn takes beside those of its body.
const tollWeight = 2

func tollNode(at, steps int) parse.Node {
	t := template.Must(template.New(toll).Funcs(template.FuncMap{toll: func(int, int) string { return "" }}).Parse(fmt.Sprintf("{{%s %d %d}}", toll, at, steps)))
	return t.Root.Nodes[0]
}

// weightOf is the steps that a node takes at most when it is run once. The body of a loop
// is left to its toll; of a condition both branches count.
func weightOf(n parse.Node) int {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return 0
		}
		total := 0
		for _, child := range n.Nodes {
			total += weightOf(child)
		}
		return total
	case *parse.ActionNode:
		return 1 + weightOf(n.Pipe)
	case *parse.IfNode:
		return weightOfBranch(&n.BranchNode) + weightOf(n.List)
	case *parse.WithNode:
		return weightOfBranch(&n.BranchNode) + weightOf(n.List)
	case *parse.RangeNode:
		return weightOfBranch(&n.BranchNode)
	case *parse.PipeNode:
		if n == nil {
			return 0
		}
		total := len(n.Decl)
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				total += weightOf(arg)
			}
		}
		return total
	case *parse.ChainNode:
		return len(n.Field) + weightOf(n.Node)
	case *parse.FieldNode:
		return len(n.Ident)
	case *parse.VariableNode:
		return len(n.Ident)
	default:
		return 1
	}
}

func weightOfBranch(b *parse.BranchNode) int { return 1 + weightOf(b.Pipe) + weightOf(b.ElseList) }

// limited ends a template that gives too much.
type limited struct{ out *bytes.Buffer }

var errTooLong = fmt.Errorf("the file would have more than %d bytes", MaxOutput)

func (l *limited) Write(p []byte) (int, error) {
	if l.out.Len()+len(p) > MaxOutput {
		return 0, errTooLong
	}
	return l.out.Write(p)
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
		return &Error{Line: 1, Column: 1, Message: errTooLong.Error()}
	}
	m := said.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{Line: 1, Column: 1, Message: err.Error()}
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
	return &Error{
		Line: 1 + strings.Count(before, "\n"), Column: len(before) - strings.LastIndexByte(before, '\n'), Message: fmt.Sprintf(format, args...),
	}
}
