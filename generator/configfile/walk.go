package configfile

import (
	"slices"
	"text/template/parse"
)

// walker checks the names in a template, also in branches that Check does not execute.
type walker struct {
	text     string
	data     Data
	errors   []*Error
	exported map[string]bool
	// variables is the capabilities that variables hold, by their names.
	variables map[string]string
}

// dot is the meaning of the dot: the data of the template, the offer of a capability, or a
// value that is unknown here.
type dot struct {
	isRoot     bool
	capability string
}

func (w *walker) fail(n parse.Node, format string, args ...any) {
	w.failAt(int(n.Position()), format, args...)
}

func (w *walker) failAt(offset int, format string, args ...any) {
	w.errors = append(w.errors, at(w.text, offset, format, args...))
}

// list checks a list of nodes.
func (w *walker) list(l *parse.ListNode, d dot) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			w.pipe(n.Pipe, d)
		case *parse.IfNode:
			w.branch(&n.BranchNode, d, d)
		case *parse.WithNode:
			w.branch(&n.BranchNode, d, dot{capability: w.capability(n.Pipe, d)})
		case *parse.RangeNode:
			w.branch(&n.BranchNode, d, dot{})
		case *parse.TemplateNode:
			w.fail(n, "a template uses no others: write the text where it is used")
		}
	}
}

func (w *walker) branch(b *parse.BranchNode, outside, inside dot) {
	w.pipe(b.Pipe, outside)
	if b.NodeType == parse.NodeRange { // its variables are an element, and where it is
		w.assign(b.Pipe, "")
	}
	w.list(b.List, inside)
	w.list(b.ElseList, outside)
}

func (w *walker) pipe(p *parse.PipeNode, d dot) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		w.command(c, d)
		for _, arg := range c.Args {
			w.value(arg, d)
		}
	}
	w.assign(p, w.capability(p, d))
}

// assign notes which capability the variables of a pipeline hold, if any.
func (w *walker) assign(p *parse.PipeNode, capability string) {
	for _, v := range p.Decl {
		w.variables[v.Ident[0]] = capability
	}
}

func (w *walker) value(n parse.Node, d dot) {
	switch n := n.(type) {
	case *parse.PipeNode:
		w.pipe(n, d)
	case *parse.ChainNode:
		w.value(n.Node, d)
		w.offer(n, w.capability(n.Node, d), n.Field[0])
	case *parse.FieldNode:
		if d.isRoot {
			w.field(n, n.Ident)
		}
		w.offer(n, d.capability, n.Ident[0])
	case *parse.VariableNode:
		switch {
		case len(n.Ident) < 2:
		case n.Ident[0] == "$":
			w.field(n, n.Ident[1:])
		default:
			w.offer(n, w.variables[n.Ident[0]], n.Ident[1])
		}
	}
}

// capability is the capability whose offer a value is, empty for any other value.
func (w *walker) capability(n parse.Node, d dot) string {
	switch n := n.(type) {
	case *parse.PipeNode:
		if len(n.Cmds) != 1 {
			return ""
		}
		if function, arg := call(n.Cmds[0]); arg != nil && function == "capability" {
			return arg.Text
		}
		if len(n.Cmds[0].Args) == 1 {
			return w.capability(n.Cmds[0].Args[0], d)
		}
	case *parse.DotNode:
		return d.capability
	case *parse.VariableNode:
		if len(n.Ident) == 1 {
			return w.variables[n.Ident[0]]
		}
	}
	return ""
}

// command checks a call of a function with a literal name.
func (w *walker) command(c *parse.CommandNode, d dot) {
	if len(c.Args) == 3 && c.Args[0].String() == "index" && c.Args[2].String() == `"host"` { // any other name may be absent
		w.offer(c.Args[2], w.capability(c.Args[1], d), "host")
	}
	function, arg := call(c)
	switch {
	case arg == nil:
	case function == "secret":
		if _, ok := w.data.secretName(arg.Text, w.exported); !ok {
			w.fail(arg, "%s", w.data.noSecret(arg.Text))
		}
	case function == "capability":
		if _, ok := w.data.Capabilities[arg.Text]; !ok {
			w.fail(arg, "%s", w.data.noCapability(arg.Text))
		}
	}
}

// call is the function and the literal that a command calls it with.
func call(c *parse.CommandNode) (function string, arg *parse.StringNode) {
	if len(c.Args) != 2 {
		return "", nil
	}
	id, isName := c.Args[0].(*parse.IdentifierNode)
	arg, isText := c.Args[1].(*parse.StringNode)
	if !isName || !isText {
		return "", nil
	}
	return id.Ident, arg
}

// offer checks a member of what a capability offers.
func (w *walker) offer(n parse.Node, capability, name string) {
	offer := w.data.Capabilities[capability]
	why, isOutOfReach := w.data.OutOfReach[capability]
	switch _, isThere := offer[name]; {
	case name == "host" && isOutOfReach:
		w.fail(n, "%s", why)
		w.errors[len(w.errors)-1].OutOfReach = capability
	case len(offer) > 0 && !isThere:
		w.fail(n, "the provider of %s exports no %s%s", capability, name, listed("there is", offer))
	}
}

var machineFacts = []string{"memory", "cores", "address"}

// field checks names such as .app.id.
func (w *walker) field(n parse.Node, ident []string) {
	roots := map[string]map[string]string{
		"app": w.data.App, "settings": w.data.Settings, "port": w.data.Ports, "container_port": w.data.ContainerPorts, "machine": nil, "onions": nil,
	}
	values, known := roots[ident[0]]
	switch {
	case !known && len(ident) > 1: // whose position is that of the second name
		w.failAt(int(n.Position())-len(ident[0])-1, "there is no .%s%s", ident[0], listed("a template knows", roots))
	case !known:
		w.fail(n, "there is no .%s%s", ident[0], listed("a template knows", roots))
	case len(ident) < 2:
	case ident[0] == "machine":
		if !slices.Contains(machineFacts, ident[1]) {
			w.fail(n, "there is no .machine.%s; a template knows memory, cores, address", ident[1])
		}
	default:
		if _, ok := values[ident[1]]; !ok {
			w.fail(n, "there is no .%s.%s%s", ident[0], ident[1], listed("there is", values))
		}
	}
}
