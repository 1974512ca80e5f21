package configfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template/parse"
)

// execution is one run of a template. It is written here and not left to text/template, for
// two reasons: its steps can be counted, and text/template finds methods by name, for which the
// linker keeps every method of every type, 2 MB of archgen.
type execution struct {
	text      string
	budget    *Budget
	functions map[string]function
	// variables is those in scope, the innermost last. The first is $, the data.
	variables []variable
	// loops is the loops that are under way, the innermost last.
	loops []*parse.RangeNode
	out   bytes.Buffer
}

type variable struct {
	name  string
	value any
}

// What ends a turn of a loop, and the loop. The parser accepts both only in a loop.
var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// execute is what a template gives within the budget.
func (b *Budget) execute(root *parse.ListNode, text string, funcs map[string]function, data map[string]any) ([]byte, error) {
	x := &execution{text: text, budget: b, functions: funcs, variables: []variable{{"$", data}}}
	if err := x.list(data, root); err != nil {
		return nil, err
	}
	return x.out.Bytes(), nil
}

// fail is an error at a node, which the message names.
func (x *execution) fail(n parse.Node, format string, args ...any) error {
	const longest = 20
	what := n.String()
	if len(what) > longest {
		what = strings.ToValidUTF8(what[:longest], "") + "..."
	}
	return at(x.text, int(n.Position()), "%s: %s", what, fmt.Sprintf(format, args...))
}

// step counts steps. If there are too many, it blames the innermost loop.
func (x *execution) step(n parse.Node, steps int) error {
	err := x.budget.step(steps)
	if err == nil {
		return nil
	}
	if len(x.loops) > 0 {
		n = x.loops[len(x.loops)-1]
	}
	return at(x.text, int(n.Position()), "%v", err)
}

// write adds a text to the output.
func (x *execution) write(text string) error {
	if x.out.Len()+len(text) > MaxOutput {
		return &Error{Line: 1, Column: 1, Message: fmt.Sprintf("the file would have more than %d bytes", MaxOutput)}
	}
	x.out.WriteString(text)
	return nil
}

// list executes nodes one after another.
func (x *execution) list(dot any, l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := x.node(dot, n); err != nil {
			return err
		}
	}
	return nil
}

func (x *execution) node(dot any, n parse.Node) error {
	if err := x.step(n, 1); err != nil {
		return err
	}
	switch n := n.(type) {
	case *parse.TextNode:
		return x.write(string(n.Text))
	case *parse.ActionNode:
		value, err := x.pipe(dot, n.Pipe)
		if err != nil || len(n.Pipe.Decl) > 0 {
			return err
		}
		return x.write(printed(value))
	case *parse.IfNode:
		return x.branch(dot, &n.BranchNode)
	case *parse.WithNode:
		return x.branch(dot, &n.BranchNode)
	case *parse.RangeNode:
		return x.loop(dot, n)
	case *parse.BreakNode:
		return errBreak
	case *parse.ContinueNode:
		return errContinue
	}
	return x.fail(n, "templates have no such action")
}

// branch executes the list of an if or with that its value chooses.
func (x *execution) branch(dot any, b *parse.BranchNode) error {
	defer x.leave(len(x.variables))
	value, err := x.pipe(dot, b.Pipe)
	switch {
	case err != nil:
		return err
	case !isTrue(value):
		return x.list(dot, b.ElseList)
	case b.NodeType == parse.NodeWith:
		return x.list(value, b.List)
	}
	return x.list(dot, b.List)
}

// leave ends the scope of the variables after the first ones.
func (x *execution) leave(first int) { x.variables = x.variables[:first] }

// turnWeight is the steps that a turn of a loop takes beside those of its body.
const turnWeight = 2

// loop executes a range.
func (x *execution) loop(dot any, r *parse.RangeNode) error {
	defer x.leave(len(x.variables))
	value, err := x.pipe(dot, r.Pipe)
	if err != nil {
		return err
	}
	if _, isNumber := value.(int); isNumber && len(r.Pipe.Decl) > 1 {
		return x.fail(r, "numbers are counted with one variable")
	}
	x.loops = append(x.loops, r)
	defer func() { x.loops = x.loops[:len(x.loops)-1] }()
	isEmpty, own := true, len(x.variables)
	err = each(value, func(key, element any) error {
		isEmpty = false
		if err := x.step(r, turnWeight); err != nil {
			return err
		}
		defer x.leave(own)
		if err := x.turn(r.Pipe, own, key, element); err != nil {
			return err
		}
		if err := x.list(element, r.List); !errors.Is(err, errContinue) {
			return err
		}
		return nil
	})
	switch {
	case errors.Is(err, errBreak):
		return nil
	case errors.Is(err, errNoElements):
		return x.fail(r, "range can't iterate over %s", printed(value))
	case err == nil && isEmpty:
		return x.list(dot, r.ElseList)
	}
	return err
}

// turn gives the variables of a loop their values. Those that it declares are the last of own.
func (x *execution) turn(p *parse.PipeNode, own int, key, element any) error {
	values := []any{key, element}
	values = values[len(values)-len(p.Decl):]
	for i, v := range p.Decl {
		if !p.IsAssign {
			x.variables[own-len(p.Decl)+i].value = values[i]
		} else if err := x.assign(v, values[i]); err != nil {
			return err
		}
	}
	return nil
}

func (x *execution) assign(n *parse.VariableNode, value any) error {
	v, err := x.variable(n)
	if err == nil {
		v.value = value
	}
	return err
}

// variable finds the innermost variable of a name. The parser takes an assignment for a declaration.
func (x *execution) variable(n *parse.VariableNode) (*variable, error) {
	for i, v := range slices.Backward(x.variables) {
		if v.name == n.Ident[0] {
			return &x.variables[i], nil
		}
	}
	return nil, x.fail(n, "there is no variable %s; %[1]s := declares it", n.Ident[0])
}

// pipe is the value of a pipeline. Each command gets the value of the one before as its last argument.
func (x *execution) pipe(dot any, p *parse.PipeNode) (value any, err error) {
	var last []any
	for _, c := range p.Cmds {
		if value, err = x.command(dot, c, last); err != nil {
			return nil, err
		}
		last = []any{value}
	}
	for _, v := range p.Decl {
		if err := x.step(v, 1); err != nil {
			return nil, err
		}
		if !p.IsAssign {
			x.variables = append(x.variables, variable{v.Ident[0], value})
		} else if err := x.assign(v, value); err != nil {
			return nil, err
		}
	}
	return value, nil
}

// command is the value of one command of a pipeline. last is the value of the one before, if any.
func (x *execution) command(dot any, c *parse.CommandNode, last []any) (any, error) {
	first := c.Args[0]
	switch n := first.(type) {
	case *parse.IdentifierNode:
		return x.call(dot, n.Ident, c, c.Args[1:], last)
	case *parse.NilNode:
		return nil, x.fail(n, "nil is not a command")
	}
	if len(c.Args) > 1 || len(last) > 0 {
		return nil, x.fail(first, "it is no function and takes no argument")
	}
	return x.value(dot, first)
}

// value is the value of an argument.
func (x *execution) value(dot any, n parse.Node) (any, error) {
	if err := x.step(n, 1); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *parse.BoolNode:
		return n.True, nil
	case *parse.StringNode:
		return n.Text, nil
	case *parse.NumberNode:
		return x.number(n)
	case *parse.NilNode:
		return nil, nil
	case *parse.DotNode:
		return dot, nil
	case *parse.FieldNode:
		return x.members(n, dot, n.Ident)
	case *parse.VariableNode:
		v, err := x.variable(n)
		if err != nil {
			return nil, err
		}
		return x.members(n, v.value, n.Ident[1:])
	case *parse.ChainNode:
		value, err := x.value(dot, n.Node)
		if err != nil {
			return nil, err
		}
		return x.members(n, value, n.Field)
	case *parse.PipeNode:
		return x.pipe(dot, n)
	case *parse.IdentifierNode:
		return x.call(dot, n.Ident, n, nil, nil)
	}
	return nil, x.fail(n, "it is no value")
}

// members is what .a.b.c of a value is.
func (x *execution) members(n parse.Node, of any, names []string) (any, error) {
	if err := x.step(n, len(names)); err != nil {
		return nil, err
	}
	for _, name := range names {
		value, isThere, isMap := entry(of, name)
		switch {
		case !isMap:
			return nil, x.fail(n, "%s has no %s", kindOf(of), name)
		case !isThere:
			return nil, x.fail(n, "there is no entry for key %q", name)
		}
		of = value
	}
	return of, nil
}

// number is a constant: an int, unless it is written as one with a fraction, an exponent or an imaginary part.
func (x *execution) number(n *parse.NumberNode) (any, error) {
	isHex := strings.HasPrefix(strings.ToLower(n.Text), "0x") && !strings.ContainsAny(n.Text, "pP")
	switch {
	case n.IsComplex:
		return n.Complex128, nil
	case n.IsFloat && !isHex && n.Text[0] != '\'' && strings.ContainsAny(n.Text, ".eEpP"):
		return n.Float64, nil
	case n.IsInt && int64(int(n.Int64)) == n.Int64:
		return int(n.Int64), nil
	}
	return nil, x.fail(n, "the number is too large")
}

// call is the result of a function.
func (x *execution) call(dot any, name string, n parse.Node, args []parse.Node, last []any) (any, error) {
	if err := x.step(n, 1); err != nil {
		return nil, err
	}
	f := x.functions[name]
	if given := len(args) + len(last); given < f.least || f.isFixed && given > f.least {
		return nil, x.fail(n, "%s takes %s, and has %d", name, f.arguments(), given)
	}
	values := make([]any, 0, len(args)+len(last))
	for _, arg := range args {
		value, err := x.value(dot, arg)
		if err != nil {
			return nil, err
		}
		if f.endsWith != nil && f.endsWith(value) {
			return value, nil
		}
		values = append(values, value)
	}
	result, err := f.call(append(values, last...))
	if err != nil {
		return nil, x.fail(n, "%v", err)
	}
	return result, nil
}

// errNoElements: a value is no list, map or number.
var errNoElements = errors.New("it has no elements")

// each calls do for all elements of a list or a map, the latter in the order of its keys, or as
// often as a number says.
func each(value any, do func(key, element any) error) error {
	switch v := value.(type) {
	case nil:
	case int:
		for i := range v {
			if err := do(nil, i); err != nil {
				return err
			}
		}
	case []map[string]any:
		for i, element := range v {
			if err := do(i, element); err != nil {
				return err
			}
		}
	case map[string]string:
		return eachEntry(v, do)
	case map[string]any:
		return eachEntry(v, do)
	default:
		return errNoElements
	}
	return nil
}

func eachEntry[V any](m map[string]V, do func(key, element any) error) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if err := do(key, m[key]); err != nil {
			return err
		}
	}
	return nil
}

// printed is how a value is written.
func printed(value any) string {
	if value == nil {
		return "<no value>"
	}
	return fmt.Sprint(value)
}
