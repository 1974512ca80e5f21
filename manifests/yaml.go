package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// maxDepth is deeper than the schema goes.
const maxDepth = 32

// reader turns one file into a tree and collects what is wrong with it.
type reader struct {
	file  string
	diags diag.List
}

func (r *reader) fail(code diag.Code, line, column int, hint, format string, args ...any) {
	r.diags = append(r.diags, diag.Diagnostic{
		Code: code, File: r.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// yaml reads the only document of a YAML file; nil when there is none.
func (r *reader) yaml(data []byte) *node {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.fail(diag.Syntax, 1, 1, "", "the file is empty")
		return nil
	case err != nil:
		r.yamlSyntax(data, err)
		return nil
	}
	switch err := d.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.yamlSyntax(data, err)
	default:
		r.fail(diag.SecondDocument, more.Line, max(more.Column, 1), "one file describes one app", "a second document begins here")
	}
	return r.convert(doc.Content[0], 0)
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// yamlSyntax reports the parser's error where it says it is.
func (r *reader) yamlSyntax(data []byte, err error) {
	m := yamlError.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		m = []string{"", "", err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	line = min(max(line, 1), 1+bytes.Count(data, []byte("\n")))
	code := diag.Syntax
	if strings.Contains(m[2], "anchor") {
		code = diag.Alias
	}
	if strings.Contains(m[2], "max depth") {
		code = diag.TooDeep
	}
	r.fail(code, line, 1, "", "%s", m[2])
}

func (r *reader) convert(y *yaml.Node, depth int) *node {
	n := &node{at: position{r.file, y.Line, y.Column}}
	if depth > maxDepth {
		r.fail(diag.TooDeep, y.Line, y.Column, "", "the value is nested more than %d levels deep", maxDepth)
		return n
	}
	if y.Anchor != "" || y.Kind == yaml.AliasNode {
		r.fail(diag.Alias, y.Line, y.Column, "write the value out", "anchors and aliases are not accepted")
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapNode
		r.convertMap(n, y, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		for _, item := range y.Content {
			n.items = append(n.items, r.convert(item, depth+1))
		}
	case yaml.ScalarNode:
		r.convertScalar(n, y)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return n
}

func (r *reader) convertMap(n *node, y *yaml.Node, depth int) {
	n.entries = make([]entry, 0, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		switch {
		case k.ShortTag() == "!!merge":
			r.fail(diag.Alias, k.Line, k.Column, "write the keys out", "merge keys are not accepted")
			continue
		case k.Kind != yaml.ScalarNode:
			r.fail(diag.WrongType, k.Line, k.Column, "", "a key has to be text")
			continue
		case n.find(k.Value) >= 0:
			first := n.entries[n.find(k.Value)].at
			r.fail(diag.DuplicateKey, k.Line, k.Column, "remove one of them", "the key %s is already given in line %d", quoted(k.Value), first.line)
			continue
		}
		n.entries = append(n.entries, entry{k.Value, position{r.file, k.Line, k.Column}, r.convert(v, depth+1)})
	}
}

func (r *reader) convertScalar(n *node, y *yaml.Node) {
	n.kind, n.text = scalarNode, y.Value
	n.plain = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch y.ShortTag() {
	case "!!null":
		n.kind = nullNode
	case "!!int":
		n.scalar = intScalar
	case "!!float":
		n.scalar = floatScalar
	case "!!bool":
		n.scalar = boolScalar
	case "!!timestamp":
		n.scalar = timeScalar
	case "!!str":
	default:
		r.fail(diag.Syntax, y.Line, y.Column, "leave the tag out", "the tag %s is not accepted", y.Tag)
	}
}

func quoted(s string) string { return strconv.QuoteToGraphic(s) }
