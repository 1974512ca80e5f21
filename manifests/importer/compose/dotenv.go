package compose

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// assignment is one line of a file of variables.
type assignment struct {
	name, value string
	// hasValue: the line has a `=`.
	hasValue bool
	at       syntax.Position
	uses     []use
	// expand is the value with references to secrets instead of their values.
	expand func(secrets map[string]string) expanded
}

var assignmentLine = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(=|:\s|$)\s*`)

// dotenv reads the variables of a file. Values may refer to variables before them.
func (p *project) dotenv(name string, data []byte) (list []assignment) {
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		m := assignmentLine.FindStringSubmatchIndex(lines[i])
		if m == nil {
			continue // a comment, an empty line, or what Compose would not read either
		}
		a := assignment{name: lines[i][m[2]:m[3]], hasValue: m[4] < m[5], at: syntax.Position{File: name, Line: i + 1, Column: m[1] + 1}}
		text, quote, used := dotenvValue(lines[i:], m[1])
		i += used
		if a.value = text; quote != '\'' {
			before, node := slices.Clip(list), &syntax.Node{Kind: syntax.ScalarNode, Text: text, At: a.at}
			a.expand = func(secrets map[string]string) expanded {
				return p.withVars(before, func() expanded { return p.expandWith(node, secrets) })
			}
			x := a.expand(nil)
			a.value, a.uses = x.text, x.uses
		}
		list = append(list, a)
	}
	return list
}

// withVars has a file's own variables stand for themselves while its values are read.
func (p *project) withVars(list []assignment, expand func() expanded) expanded {
	outer := p.vars
	p.vars = make(map[string]variable, len(outer)+len(list))
	maps.Copy(p.vars, outer)
	for _, a := range list {
		p.vars[a.name] = variable{a.value, a.at}
	}
	defer func() { p.vars = outer }()
	return expand()
}

// dotenvValue is the value that begins in the first line, its quote, and how many further
// lines it takes.
func dotenvValue(lines []string, from int) (value string, quote byte, used int) {
	text := lines[0][from:]
	if text == "" || text[0] != '"' && text[0] != '\'' {
		if i := strings.Index(text, " #"); i >= 0 {
			text = text[:i]
		}
		if strings.HasPrefix(text, "#") {
			text = ""
		}
		return strings.TrimSpace(text), 0, 0
	}
	quote = text[0]
	whole := text[1:]
	for used = 0; ; used++ {
		if end := closing(whole, quote); end >= 0 {
			return unescaped(whole[:end], quote), quote, used
		}
		if used+1 >= len(lines) {
			return unescaped(whole, quote), quote, 0
		}
		whole += "\n" + lines[used+1]
	}
}

func closing(text string, quote byte) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return -1
}

func unescaped(text string, quote byte) string {
	if quote == '\'' {
		return text
	}
	return strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\\`, `\`, `\$`, "$$").Replace(text)
}
