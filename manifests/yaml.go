package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

const (
	// maxDepth is deeper than the schema goes.
	maxDepth = 32
	// maxValues bounds what checks cost that compare everything with everything.
	maxValues = 5000
)

// reader turns one file into a tree and collects what is wrong with it.
type reader struct {
	file  string
	diags diag.List
	// values counts the values of the file.
	values int
	// columns turns the columns of the YAML library, which counts characters.
	columns columns
}

// count counts a value, or a key whose value is left out, and reports the
// first that is too many.
func (r *reader) count(at position) {
	if r.values++; r.values == maxValues+1 {
		r.tooMany(at.line, at.column)
	}
}

func (r *reader) tooMany(line, column int) {
	r.fail(diag.TooLarge, line, column, "", "the file has more than %d values", maxValues)
}

func (r *reader) tooDeep(line, column int) {
	r.fail(diag.TooDeep, line, column, "", "the value is nested more than %d levels deep", maxDepth)
}

func (r *reader) fail(code diag.Code, line, column int, hint, format string, args ...any) {
	r.diags = append(r.diags, diag.Diagnostic{
		Code: code, File: r.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// yaml reads the only document of a YAML file; nil when there is none.
func (r *reader) yaml(data []byte) *node {
	if i, size := foreignBreak(data); i >= 0 {
		line, column := place(data, i)
		r.fail(diag.Syntax, line, column, "end lines with a line feed; in quotes, write it as an escape",
			"%+q ends a line in YAML, but not in an editor", data[i:i+size])
		return nil
	}
	r.columns = columns{lines: bytes.Split(data, []byte("\n"))}
	r.values = 0
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		// Only comments, as in TOML: an overlay may be that.
		return &node{kind: mapNode, at: position{r.file, 1, 1}}
	case err != nil:
		r.yamlSyntax(data, err)
		return nil
	}
	switch err := d.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.yamlSyntax(data, err)
	default:
		r.fail(diag.SecondDocument, more.Line, r.columns.bytes(more.Line, more.Column), "one file describes one app", "a second document begins here")
	}
	tree := r.convert(doc.Content[0], 0)
	switch {
	case r.values > maxValues:
		return nil
	case tree.kind == nullNode:
		tree.kind = mapNode
	}
	return tree
}

// foreignBreak finds a line break that only YAML knows. A comment that holds one
// would hide the keys behind it from a person.
func foreignBreak(data []byte) (i, size int) {
	for i := range data {
		switch data[i] {
		case '\r':
			if i+1 < len(data) && data[i+1] != '\n' {
				return i, 1
			}
		case 0xc2, 0xe2:
			for _, b := range []string{"\u0085", "\u2028", "\u2029"} {
				if bytes.HasPrefix(data[i:], []byte(b)) {
					return i, len(b)
				}
			}
		}
	}
	return -1, 0
}

// columns turns columns in characters into columns in bytes. Places come in
// the order of the file, so it goes on where it was.
type columns struct {
	lines               [][]byte
	line, runes, offset int
}

func (c *columns) bytes(line, column int) int {
	if line < 1 || line > len(c.lines) {
		return max(column, 1)
	}
	if line != c.line || column < c.runes {
		c.line, c.runes, c.offset = line, 1, 0
	}
	for text := c.lines[line-1]; c.runes < column && c.offset < len(text); c.runes++ {
		_, size := utf8.DecodeRune(text[c.offset:])
		c.offset += size
	}
	return c.offset + 1
}

func (r *reader) at(y *yaml.Node) position {
	return position{r.file, max(y.Line, 1), r.columns.bytes(y.Line, y.Column)}
}

func (r *reader) convert(y *yaml.Node, depth int) *node {
	n := &node{at: r.at(y)}
	r.count(n.at)
	if depth > maxDepth {
		r.tooDeep(n.at.line, n.at.column)
		n.kind = brokenNode
		return n
	}
	if y.Anchor != "" || y.Kind == yaml.AliasNode {
		r.fail(diag.Alias, n.at.line, n.at.column, "write the value out", "anchors and aliases are not accepted")
		n.kind = brokenNode
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapNode
		r.convertMap(n, y, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		for _, item := range y.Content {
			if r.values > maxValues {
				break
			}
			n.items = append(n.items, r.convert(item, depth+1))
		}
	case yaml.ScalarNode:
		r.convertScalar(n, y)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return n
}

func (r *reader) convertMap(n *node, y *yaml.Node, depth int) {
	n.entries = make([]entry, 0, min(len(y.Content)/2, maxValues))
	first := make(map[string]int, cap(n.entries))
	for i := 0; i+1 < len(y.Content) && r.values <= maxValues; i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		at := r.at(k)
		line, again := first[k.Value]
		switch {
		case k.ShortTag() == "!!merge":
			r.fail(diag.Alias, at.line, at.column, "write the keys out", "merge keys are not accepted")
		case k.Kind != yaml.ScalarNode:
			r.fail(diag.WrongType, at.line, at.column, "", "a key has to be text")
		case again:
			r.fail(diag.DuplicateKey, at.line, at.column, "remove one of them", "the key %s is already given in line %d", quoted(k.Value), line)
		default:
			first[k.Value] = at.line
			n.entries = append(n.entries, entry{k.Value, at, r.convert(v, depth+1)})
			continue
		}
		r.count(at)
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
		r.fail(diag.Syntax, n.at.line, n.at.column, "leave the tag out", "the tag %s is not accepted", quoted(shorten(y.Tag)))
	}
}

func quoted(s string) string { return strconv.QuoteToGraphic(s) }
