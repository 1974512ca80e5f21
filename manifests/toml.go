package manifests

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
func (r *reader) toml(data []byte) *node {
	scan := scanTOML(string(data))
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
	c := tomlConverter{reader: r, spans: scan.spans}
	return c.convert(values, "", 0)
}

func (r *reader) tomlSyntax(data []byte, err error) {
	parse := toml.ParseError{}
	if !errors.As(err, &parse) {
		r.fail(diag.Syntax, 1, 1, "", "%v", err)
		return
	}
	line, column := place(data, min(max(parse.Position.Start, 0), len(data)))
	name, clash := strings.CutPrefix(parse.Message, "Key '")
	if !clash {
		r.fail(diag.Syntax, line, column, "", "%s", cmp.Or(parse.Message, parse.Error()))
		return
	}
	if again, ok := scanTOML(string(data)).again(line); ok {
		r.fail(diag.DuplicateKey, again.line, again.column, "remove one of them", "the key %s is already given in line %d", quoted(again.text), again.keyLine)
		return
	}
	// The library looks back at the key only when it has read the value.
	text, _, _ := bytes.Cut(data[bytes.LastIndexByte(data[:min(parse.Position.Start, len(data))], '\n')+1:], []byte("\n"))
	r.fail(diag.DuplicateKey, line, 1+len(text)-len(bytes.TrimLeft(text, " \t[")), "give it a value once, or make it a table", "%s is given in two ways", quoted(name[:max(0, strings.LastIndexByte(name, '\''))]))
}

type tomlConverter struct {
	*reader
	spans map[string]tomlSpan
}

func (c *tomlConverter) convert(value any, path string, depth int) *node {
	span := c.spans[path]
	n := &node{kind: scalarNode, at: position{c.file, max(span.line, 1), max(span.column, 1)}}
	if depth > maxDepth {
		c.tooDeep(n.at.line, n.at.column)
		return n
	}
	switch v := value.(type) {
	case map[string]any:
		n.kind = mapNode
		c.convertMap(n, v, path, depth)
	case []map[string]any:
		n.kind = listNode
		for i, item := range v {
			n.items = append(n.items, c.convert(item, tomlIndex(path, i), depth+1))
		}
	case []any:
		n.kind = listNode
		for i, item := range v {
			n.items = append(n.items, c.convert(item, tomlIndex(path, i), depth+1))
		}
	case string:
		n.text = v
	case int64:
		n.scalar, n.text = intScalar, cmp.Or(span.text, strconv.FormatInt(v, 10))
	case float64:
		n.scalar, n.text = floatScalar, cmp.Or(span.text, strconv.FormatFloat(v, 'g', -1, 64))
	case bool:
		n.scalar, n.text = boolScalar, strconv.FormatBool(v)
	case time.Time:
		n.scalar, n.text = timeScalar, cmp.Or(span.text, v.Format(time.RFC3339Nano))
	default:
		n.scalar, n.text = timeScalar, cmp.Or(span.text, fmt.Sprint(v))
	}
	return n
}

func (c *tomlConverter) convertMap(n *node, values map[string]any, path string, depth int) {
	n.entries = make([]entry, 0, len(values))
	for key := range values {
		span := c.spans[tomlKey(path, key)]
		n.entries = append(n.entries, entry{key: key, at: position{c.file, max(span.keyLine, 1), max(span.keyColumn, 1)}})
	}
	slices.SortFunc(n.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column), cmp.Compare(a.key, b.key))
	})
	for i := range n.entries {
		e := &n.entries[i]
		e.value = c.convert(values[e.key], tomlKey(path, e.key), depth+1)
	}
}
