package configfile

import (
	"slices"
	"text/template/parse"
)

// walker looks at what a template names, also where no rehearsal would come by.
type walker struct {
	text     string
	data     Data
	errors   []*Error
	exported map[string]bool
}

func (w *walker) fail(n parse.Node, format string, args ...any) {
	w.failAt(int(n.Position()), format, args...)
}

func (w *walker) failAt(offset int, format string, args ...any) {
	w.errors = append(w.errors, at(w.text, offset, format, args...))
}

// list looks at a list of nodes. In isRoot, the dot is what the template began with.
func (w *walker) list(l *parse.ListNode, isRoot bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			w.pipe(n.Pipe, isRoot)
		case *parse.IfNode:
			w.branch(&n.BranchNode, isRoot, isRoot)
		case *parse.WithNode:
			w.branch(&n.BranchNode, isRoot, false)
		case *parse.RangeNode:
			w.branch(&n.BranchNode, isRoot, false)
		case *parse.TemplateNode:
			w.fail(n, "a template uses no others: write the text where it is used")
		}
	}
}

func (w *walker) branch(b *parse.BranchNode, isRoot, insideIsRoot bool) {
	w.pipe(b.Pipe, isRoot)
	w.list(b.List, insideIsRoot)
	w.list(b.ElseList, isRoot)
}

func (w *walker) pipe(p *parse.PipeNode, isRoot bool) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		w.command(c)
		for _, arg := range c.Args {
			w.value(arg, isRoot)
		}
	}
}

func (w *walker) value(n parse.Node, isRoot bool) {
	switch n := n.(type) {
	case *parse.PipeNode:
		w.pipe(n, isRoot)
	case *parse.ChainNode:
		w.value(n.Node, isRoot)
		w.chain(n)
	case *parse.FieldNode:
		if isRoot {
			w.field(n, n.Ident)
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			w.field(n, n.Ident[1:])
		}
	}
}

// command looks at a call of a function with a name that stands there.
func (w *walker) command(c *parse.CommandNode) {
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

// chain looks at (capability "x").name.
func (w *walker) chain(n *parse.ChainNode) {
	p, ok := n.Node.(*parse.PipeNode)
	if !ok || len(p.Cmds) != 1 {
		return
	}
	function, arg := call(p.Cmds[0])
	if arg == nil || function != "capability" {
		return
	}
	offer := w.data.Capabilities[arg.Text]
	if _, ok := offer[n.Field[0]]; len(offer) > 0 && !ok {
		w.fail(n, "the provider of %s exports no %s%s", arg.Text, n.Field[0], listed("there is", offer))
	}
}

var machineFacts = []string{"memory", "cores", "address"}

// field looks at .app.id and the like.
func (w *walker) field(n parse.Node, ident []string) {
	roots := map[string]map[string]string{
		"app": w.data.App, "settings": w.data.Settings, "port": w.data.Ports, "container_port": w.data.ContainerPorts, "machine": nil, "onions": nil,
	}
	values, known := roots[ident[0]]
	switch {
	case !known && len(ident) > 1: // whose place is that of the second name
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
