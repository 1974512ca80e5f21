package manifests

import (
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
	var values map[string]any
	if _, err := toml.Decode(string(data), &values); err != nil {
		r.tomlSyntax(err)
		return nil
	}
	c := tomlConverter{reader: r, spans: scanTOML(string(data))}
	return c.convert(values, "", 0)
}

func (r *reader) tomlSyntax(err error) {
	parse := toml.ParseError{}
	if !errors.As(err, &parse) {
		r.fail(diag.Syntax, 1, 1, "", "%v", err)
		return
	}
	code := diag.Syntax
	if parse.Message != "" && parse.LastKey != "" && strings.Contains(parse.Message, "already") {
		code = diag.DuplicateKey
	}
	message := parse.Message
	if message == "" {
		message = parse.Error()
	}
	r.fail(code, max(parse.Position.Line, 1), max(parse.Position.Col, 1), "", "%s", message)
}

type tomlConverter struct {
	*reader
	spans map[string]tomlSpan
}

func (c *tomlConverter) convert(value any, path string, depth int) *node {
	span := c.spans[path]
	n := &node{kind: scalarNode, at: position{c.file, max(span.line, 1), max(span.column, 1)}}
	if depth > maxDepth {
		c.fail(diag.TooDeep, n.at.line, n.at.column, "", "the value is nested more than %d levels deep", maxDepth)
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
	for key, v := range values {
		at := tomlKey(path, key)
		span := c.spans[at]
		n.entries = append(n.entries, entry{key, position{c.file, max(span.keyLine, 1), max(span.keyColumn, 1)}, c.convert(v, at, depth+1)})
	}
	slices.SortFunc(n.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column), cmp.Compare(a.key, b.key))
	})
}
