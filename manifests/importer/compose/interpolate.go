package compose

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// variable is a value that replaces ${NAME}.
type variable struct {
	value string
	at    syntax.Position
}

// use is one variable of a text.
type use struct {
	name string
	// isSet: there is a value, from an answer, `.env` or the default in the text.
	isSet bool
	value string
	// at is the place of the value, or of the variable where it has none.
	at syntax.Position
	// demand is the message of ${NAME:?message}.
	demand string
}

// expanded is a text with its variables replaced.
type expanded struct {
	text string
	uses []use
	// isWhole: the text was one variable and nothing else.
	isWhole bool
	problem string
}

// readEnv reads `.env`, which gives variables their values.
func (p *project) readEnv() {
	p.vars = map[string]variable{}
	data, err := fs.ReadFile(p.fsys, ".env")
	if err != nil {
		return
	}
	p.Sources[".env"] = data
	for _, v := range p.dotenv(".env", data) {
		p.vars[v.name] = variable{v.value, v.at}
	}
}

// lookup is the value of a variable that is used at a place. An answer takes precedence.
func (p *project) lookup(name string, at syntax.Position) (variable, bool) {
	if value, ok := p.Answer("variable." + name); ok {
		p.Ask(importer.Question{Code: importer.Variable, Key: "variable." + name, Text: "the variable " + name + " has a value", HasDefault: true}.From(at, ""))
		return variable{value: value}, true
	}
	if v, ok := p.vars[name]; ok {
		return v, true
	}
	return p.Platform.lookup(name)
}

// text is a scalar with its variables replaced. It reports variables without a value, and
// leaves out a text that a secret is a part of.
func (p *project) text(n *syntax.Node, key string) string {
	switch n.Kind {
	case syntax.ScalarNode:
	case syntax.NullNode, syntax.BrokenNode:
		return ""
	default:
		p.Report(importer.BadSourceValue, n.At, key, "%s must be one value, found %s", key, n.Describe())
		return ""
	}
	text, _ := p.word(item{node: n, at: n.At, key: key}, key)
	return text
}

// word is a text, unless a secret is a part of it.
func (p *project) word(it item, key string) (text string, ok bool) {
	x := p.expand(it.node)
	if text, ok = p.withoutSecrets(x, it, lastOf(key)); ok {
		p.settle(x, it.node, it.key)
	}
	return text, ok
}

// asWritten is a value that stands where text does, as Compose turns it into text: a number in
// its shortest form.
func asWritten(n *syntax.Node) *syntax.Node {
	text := n.Text
	switch n.Scalar {
	case syntax.IntScalar:
		if i, err := strconv.ParseInt(n.Text, 0, 64); err == nil {
			text = strconv.FormatInt(i, 10)
		}
	case syntax.FloatScalar:
		if f, err := strconv.ParseFloat(n.Text, 64); err == nil {
			text = fmt.Sprint(f)
		}
	case syntax.BoolScalar:
		text = strings.ToLower(n.Text)
	case syntax.TextScalar, syntax.TimeScalar:
	}
	if text == n.Text {
		return n
	}
	written := *n
	written.Text = text
	return &written
}

// quiet is text without a report.
func (p *project) quiet(n *syntax.Node) string { return p.expand(n).text }

// settle reports what is wrong with an expansion.
func (p *project) settle(x expanded, n *syntax.Node, key string) {
	if x.problem != "" {
		p.Report(importer.BadInterpolation, n.At, key, "%s", x.problem)
	}
	for _, u := range x.uses {
		if u.isSet || p.unset[u.name] {
			continue
		}
		p.unset[u.name] = true
		p.Ask(importer.Question{
			Code: importer.UnsetVariable, Key: "variable." + u.name,
			Text: first(u.demand, fmt.Sprintf("the variable %s has no value", u.name)),
		}.From(u.at, key))
	}
}

// expand replaces the variables of a scalar.
func (p *project) expand(n *syntax.Node) expanded { return p.expandWith(n, nil) }

// expandWith replaces variables by references to secrets, and the others by their values.
func (p *project) expandWith(n *syntax.Node, secrets map[string]string) expanded {
	e := expander{p: p, at: n.At, isPlain: n.Plain && !strings.Contains(n.Text, "\n"), secrets: secrets}
	x := expanded{}
	x.text, x.isWhole = e.run(n.Text, 0, 0)
	x.uses, x.problem = e.uses, e.problem
	x.isWhole = x.isWhole && len(x.uses) == 1
	return x
}

// expander replaces the variables of one text.
type expander struct {
	p       *project
	at      syntax.Position
	isPlain bool
	// secrets is the secrets that variables are replaced by, instead of by their values.
	secrets map[string]string
	uses    []use
	problem string
}

// maxNested is how deep defaults may stand within defaults.
const maxNested = 20

// maxExpanded bounds the length of a text with its variables replaced.
const maxExpanded = 1 << 16

// run replaces variables. isWhole: the text is one variable and nothing else.
func (e *expander) run(text string, offset, depth int) (result string, isWhole bool) {
	var out strings.Builder
	for i := 0; i < len(text); {
		if text[i] != '$' || out.Len() > maxExpanded {
			out.WriteByte(text[i])
			i++
			continue
		}
		if strings.HasPrefix(text[i:], "$$") {
			out.WriteByte('$')
			i += 2
			continue
		}
		length, name, rest := cutVariable(text[i:])
		if length == 0 || depth > maxNested {
			e.problem = fmt.Sprintf("%.20s is not a variable", text[i:])
			out.WriteByte('$')
			i++
			continue
		}
		isWhole = i == 0 && length == len(text)
		out.WriteString(e.one(name, rest, offset+i, depth))
		i += length
	}
	return out.String(), isWhole
}

var (
	bareName   = regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)`)
	bracedName = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)`)
)

// cutVariable is the length of the variable that a text begins with, its name, and what follows
// the name within the braces.
func cutVariable(text string) (length int, name, rest string) {
	if m := bareName.FindStringSubmatch(text); m != nil {
		return len(m[0]), m[1], ""
	}
	m := bracedName.FindStringSubmatch(text)
	if m == nil {
		return 0, "", ""
	}
	open := 1
	for i := len(m[0]); i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			open++
		case text[i] == '}':
			if open--; open == 0 {
				return i + 1, m[1], text[len(m[0]):i]
			}
		}
	}
	return 0, "", ""
}

// one is the value of one variable. rest is its operator with what follows.
func (e *expander) one(name, rest string, offset, depth int) string {
	v, isSet := e.p.lookup(name, e.placeOf(offset))
	operator, word := cutOperator(rest)
	if operator == "" && rest != "" {
		e.problem = fmt.Sprintf("${%.20s is not a variable", name+rest)
		return ""
	}
	if operator[:min(1, len(operator))] == ":" {
		isSet = isSet && v.value != ""
	}
	u := use{name: name, isSet: isSet, value: v.value, at: v.at}
	if !isSet || v.at.Line == 0 {
		u.at = e.placeOf(offset)
	}
	switch strings.TrimPrefix(operator, ":") {
	case "-":
		if !isSet {
			u.value, _ = e.run(word, offset, depth+1)
			u.isSet = true
		}
	case "?":
		if !isSet {
			u.demand = fmt.Sprintf("the variable %s has no value: %s", name, first(word, "it is required"))
		}
	case "+":
		u.isSet = true
		if u.value = ""; isSet {
			u.value, _ = e.run(word, offset, depth+1)
		}
	}
	if secret, isPart := e.secrets[name]; isPart && !strings.HasSuffix(operator, "+") {
		return importer.Reference("secret." + secret)
	}
	e.uses = append(e.uses, u)
	return u.value
}

// placeOf is the position of a variable in the source, where that can be told.
func (e *expander) placeOf(offset int) syntax.Position {
	at := e.at
	if e.isPlain {
		at.Column += offset
	}
	return at
}

func cutOperator(rest string) (operator, word string) {
	for _, o := range []string{":-", ":?", ":+", "-", "?", "+"} {
		if word, ok := strings.CutPrefix(rest, o); ok {
			return o, word
		}
	}
	return "", ""
}
