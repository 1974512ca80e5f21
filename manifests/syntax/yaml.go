package syntax

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// yaml reads the only document of a YAML file; nil when there is none.
func (r *Reader) yaml(data []byte) *Node {
	if i, size := foreignBreak(data); i >= 0 {
		line, column := Place(data, i)
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
		return &Node{Kind: MapNode, At: Position{r.File, 1, 1}}
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
	case r.values > r.maxValues():
		return nil
	case tree.Kind == NullNode:
		tree.Kind = MapNode
	}
	return tree
}

// foreignBreak finds a line break that only YAML knows. Keys behind one in a comment look like
// a part of the comment in an editor.
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

// columns turns columns in characters into columns in bytes. Positions come in the order of
// the file, so it continues where it stopped.
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

func (r *Reader) at(y *yaml.Node) Position {
	return Position{r.File, max(y.Line, 1), r.columns.bytes(y.Line, y.Column)}
}

func (r *Reader) convert(y *yaml.Node, depth int) *Node {
	n := &Node{At: r.at(y)}
	r.count(n.At)
	if depth > maxDepth {
		r.tooDeep(n.At.Line, n.At.Column)
		n.Kind = BrokenNode
		return n
	}
	if r.FollowAliases && y.Kind == yaml.AliasNode {
		return r.convert(y.Alias, depth+1)
	}
	if !r.FollowAliases && (y.Anchor != "" || y.Kind == yaml.AliasNode) {
		r.fail(diag.Alias, n.At.Line, n.At.Column, "write the value out", "anchors and aliases are not accepted")
		n.Kind = BrokenNode
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.Kind = MapNode
		r.convertMap(n, y, depth)
	case yaml.SequenceNode:
		n.Kind = ListNode
		for _, item := range y.Content {
			if r.values > r.maxValues() {
				break
			}
			n.Items = append(n.Items, r.convert(item, depth+1))
		}
	case yaml.ScalarNode:
		r.convertScalar(n, y)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return n
}

func (r *Reader) convertMap(n *Node, y *yaml.Node, depth int) {
	n.Entries = make([]Entry, 0, min(len(y.Content)/2, r.maxValues()))
	first := make(map[string]int, cap(n.Entries))
	var merges []Entry
	for i := 0; i+1 < len(y.Content) && r.values <= r.maxValues(); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		at := r.at(k)
		line, again := first[k.Value]
		switch {
		case k.ShortTag() == "!!merge" && r.FollowAliases:
			merges = append(merges, Entry{At: at, Value: r.convert(v, depth+1)})
		case k.ShortTag() == "!!merge":
			r.fail(diag.Alias, at.Line, at.Column, "write the keys out", "merge keys are not accepted")
		case k.Kind != yaml.ScalarNode:
			r.fail(diag.WrongType, at.Line, at.Column, "", "a key has to be text")
		case again:
			r.fail(diag.DuplicateKey, at.Line, at.Column, "remove one of them", "the key %s is already given in line %d", diag.Quote(k.Value), line)
		default:
			first[k.Value] = at.Line
			n.Entries = append(n.Entries, Entry{k.Value, at, r.convert(v, depth+1)})
			continue
		}
		r.count(at)
	}
	for _, m := range merges {
		r.merge(n, m.Value, m.At)
	}
}

// merge adds the keys of a merge that the map does not have itself. Of several maps the
// first that has a key wins.
func (r *Reader) merge(n, merged *Node, at Position) {
	from := []*Node{merged}
	if merged.Kind == ListNode {
		from = merged.Items
	}
	for _, other := range from {
		if other.Kind != MapNode {
			r.fail(diag.WrongType, at.Line, at.Column, "", "a merge key takes a map, or a list of maps")
			return
		}
		for _, e := range other.Entries {
			if n.Find(e.Key) >= 0 {
				continue
			}
			value := *e.Value
			value.At = at
			n.Entries = append(n.Entries, Entry{e.Key, at, &value})
		}
	}
}

func (r *Reader) convertScalar(n *Node, y *yaml.Node) {
	n.Kind, n.Text = ScalarNode, y.Value
	n.Plain = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch y.ShortTag() {
	case "!!null":
		n.Kind = NullNode
	case "!!int":
		n.Scalar = IntScalar
	case "!!float":
		n.Scalar = FloatScalar
	case "!!bool":
		n.Scalar = BoolScalar
	case "!!timestamp":
		n.Scalar = TimeScalar
	case "!!str":
	default:
		r.fail(diag.Syntax, n.At.Line, n.At.Column, "leave the tag out", "the tag %s is not accepted", diag.Quote(diag.Shorten(y.Tag)))
	}
}
