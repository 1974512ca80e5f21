package syntax

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// toml reads a TOML file. The library gives values without places, so a scan
// of our own finds the places, and the source text of numbers and dates.
func (r *Reader) toml(data []byte) *Node {
	scan := scanTOML(string(data), r.maxValues())
	switch {
	case scan.deep:
		r.tooDeep(scan.line, scan.column)
		return nil
	case scan.many:
		r.tooMany(scan.line, scan.column)
		return nil
	}
	var values map[string]any
	if _, err := toml.Decode(string(data), &values); err != nil {
		r.tomlSyntax(data, err)
		return nil
	}
	c := tomlConverter{Reader: r, spans: scan.spans}
	return c.convert(values, "", 0)
}

func (r *Reader) tomlSyntax(data []byte, err error) {
	parse := toml.ParseError{}
	if !errors.As(err, &parse) {
		r.fail(diag.Syntax, 1, 1, "", "%v", err)
		return
	}
	line, column := Place(data, min(max(parse.Position.Start, 0), len(data)))
	name, clash := strings.CutPrefix(parse.Message, "Key '")
	if !clash {
		r.fail(diag.Syntax, line, column, "", "%s", cmp.Or(parse.Message, parse.Error()))
		return
	}
	if again, ok := scanTOML(string(data), r.maxValues()).again(line); ok {
		r.fail(diag.DuplicateKey, again.line, again.column, "remove one of them", "the key %s is already given in line %d", diag.Quote(again.text), again.keyLine)
		return
	}
	// The library looks back at the key only when it has read the value.
	text, _, _ := bytes.Cut(data[bytes.LastIndexByte(data[:min(parse.Position.Start, len(data))], '\n')+1:], []byte("\n"))
	r.fail(diag.DuplicateKey, line, 1+len(text)-len(bytes.TrimLeft(text, " \t[")), "give it a value once, or make it a table", "%s is given in two ways", diag.Quote(name[:max(0, strings.LastIndexByte(name, '\''))]))
}

type tomlConverter struct {
	*Reader
	spans map[string]tomlSpan
}

func (c *tomlConverter) convert(value any, path string, depth int) *Node {
	span := c.spans[path]
	n := &Node{Kind: ScalarNode, At: Position{c.File, max(span.line, 1), max(span.column, 1)}}
	if depth > maxDepth {
		c.tooDeep(n.At.Line, n.At.Column)
		return n
	}
	switch v := value.(type) {
	case map[string]any:
		n.Kind = MapNode
		c.convertMap(n, v, path, depth)
	case []map[string]any:
		n.Kind = ListNode
		for i, item := range v {
			n.Items = append(n.Items, c.convert(item, tomlIndex(path, i), depth+1))
		}
	case []any:
		n.Kind = ListNode
		for i, item := range v {
			n.Items = append(n.Items, c.convert(item, tomlIndex(path, i), depth+1))
		}
	case string:
		n.Text = v
	case int64:
		n.Scalar, n.Text = IntScalar, cmp.Or(span.text, strconv.FormatInt(v, 10))
	case float64:
		n.Scalar, n.Text = FloatScalar, cmp.Or(span.text, strconv.FormatFloat(v, 'g', -1, 64))
	case bool:
		n.Scalar, n.Text = BoolScalar, strconv.FormatBool(v)
	case time.Time:
		n.Scalar, n.Text = TimeScalar, cmp.Or(span.text, v.Format(time.RFC3339Nano))
	default:
		n.Scalar, n.Text = TimeScalar, cmp.Or(span.text, fmt.Sprint(v))
	}
	return n
}

func (c *tomlConverter) convertMap(n *Node, values map[string]any, path string, depth int) {
	n.Entries = make([]Entry, 0, len(values))
	for key := range values {
		span := c.spans[tomlKey(path, key)]
		n.Entries = append(n.Entries, Entry{Key: key, At: Position{c.File, max(span.keyLine, 1), max(span.keyColumn, 1)}})
	}
	slices.SortFunc(n.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column), cmp.Compare(a.Key, b.Key))
	})
	for i := range n.Entries {
		e := &n.Entries[i]
		e.Value = c.convert(values[e.Key], tomlKey(path, e.Key), depth+1)
	}
}
