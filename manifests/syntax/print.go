package syntax

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// width is how long a line may get before a list or map is written over several.
const width = 96

// Printer writes trees as YAML that a person can read. Small maps and lists are on one line.
type Printer struct {
	// Spread is the keys whose maps are never on one line.
	Spread []string
	// Text, unless nil, changes a text or a key before it is written.
	Text func(string) string
	// Note, unless nil, returns the comment for a value with a position, or nothing. A map or
	// list with such a value is not on one line.
	Note func(Position) string
}

// Print writes a tree. Read makes a tree of the result that is the Same.
func (p Printer) Print(tree *Node) []byte {
	var b bytes.Buffer
	if tree.Kind == MapNode {
		p.entries(&b, tree, "")
	} else {
		b.WriteString(p.flow(tree) + "\n")
	}
	return b.Bytes()
}

func (p Printer) entries(b *bytes.Buffer, n *Node, indent string) {
	for _, e := range n.Entries {
		b.WriteString(indent + p.word(e.Key) + ":")
		p.value(b, e.Value, e.Key, e.At, indent, len(indent)+len(e.Key)+2)
	}
}

// value writes a value behind a key or a dash, with the end of the line.
func (p Printer) value(b *bytes.Buffer, n *Node, key string, from Position, indent string, column int) {
	line := p.flow(n)
	isSpread := n.Kind == MapNode && (slices.Contains(p.Spread, key) || p.hasNotes(n)) || n.Kind == ListNode && p.hasNotes(n)
	isShort := column+len(line) <= width
	switch {
	case n.Kind != MapNode && n.Kind != ListNode, len(n.Entries)+len(n.Items) == 0, !isSpread && isShort && !isListOfMaps(n):
		b.WriteString(" " + line + p.comment(from) + "\n")
	case n.Kind == MapNode:
		b.WriteString(p.comment(from) + "\n")
		p.entries(b, n, indent+"  ")
	case !isSpread && !isListOfMaps(n) && longest(n) <= wordWidth:
		p.wrapped(b, n, from, indent+"  ")
	default:
		b.WriteString(p.comment(from) + "\n")
		for _, item := range n.Items {
			p.item(b, item, indent+"  ")
		}
	}
}

// wordWidth is the longest word of a list that is written in lines, as a text is.
const wordWidth = 24

func longest(n *Node) (most int) {
	for _, item := range n.Items {
		most = max(most, len(item.Text))
	}
	return most
}

// wrapped writes a list of short words over several lines, within brackets.
func (p Printer) wrapped(b *bytes.Buffer, n *Node, from Position, indent string) {
	b.WriteString(" [" + p.comment(from) + "\n" + indent)
	column := len(indent)
	for i, item := range n.Items {
		word := p.flow(item) + ","
		if i == len(n.Items)-1 {
			word = strings.TrimSuffix(word, ",")
		}
		if column > len(indent) && column+1+len(word) > width {
			b.WriteString("\n" + indent)
			column = len(indent)
		}
		if column > len(indent) {
			word = " " + word
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteString("]\n")
}

func (p Printer) item(b *bytes.Buffer, n *Node, indent string) {
	line := p.flow(n)
	if n.Kind != MapNode || len(indent)+2+len(line) <= width {
		b.WriteString(indent + "- " + line + p.comment(n.At) + "\n")
		return
	}
	var below bytes.Buffer
	whole := *n
	whole.Entries = slices.Clone(n.Entries)
	whole.Entries[0].At = n.At
	p.entries(&below, &whole, indent+"  ")
	b.WriteString(indent + "- " + strings.TrimPrefix(below.String(), indent+"  "))
}

func isListOfMaps(n *Node) bool {
	return n.Kind == ListNode && slices.ContainsFunc(n.Items, func(i *Node) bool { return i.Kind == MapNode })
}

// hasNotes reports whether something below has a comment of its own.
func (p Printer) hasNotes(n *Node) bool {
	if p.Note == nil {
		return false
	}
	return slices.ContainsFunc(n.Entries, func(e Entry) bool { return p.Note(e.At) != "" || p.hasNotes(e.Value) }) ||
		slices.ContainsFunc(n.Items, func(i *Node) bool { return p.Note(i.At) != "" || p.hasNotes(i) })
}

// comment is the comment for a position, behind what it is about.
func (p Printer) comment(at Position) string {
	if p.Note == nil || p.Note(at) == "" {
		return ""
	}
	return "  # " + p.Note(at)
}

// flow is a value on one line.
func (p Printer) flow(n *Node) string {
	switch n.Kind {
	case MapNode:
		parts := make([]string, 0, len(n.Entries))
		for _, e := range n.Entries {
			parts = append(parts, p.word(e.Key)+": "+p.flow(e.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case ListNode:
		parts := make([]string, 0, len(n.Items))
		for _, item := range n.Items {
			parts = append(parts, p.flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case NullNode, BrokenNode:
		return "null"
	case ScalarNode:
	}
	if n.Scalar == BoolScalar || n.Scalar != TextScalar && number.MatchString(n.Text) {
		return n.Text
	}
	return p.word(n.Text)
}

// word is text as YAML.
func (p Printer) word(text string) string {
	if p.Text != nil {
		text = p.Text(text)
	}
	return quoted(text)
}

var (
	// plain is text that YAML reads as text, also within brackets.
	plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+-]*(?:[ :][A-Za-z0-9_./@+-]+)*$`)
	// measure is durations and sizes.
	measure = regexp.MustCompile(`^(?:[0-9]+(?:ms|[smhdkgb]))+$`)
	// otherwise is words that YAML reads as something else than text.
	otherwise = regexp.MustCompile(`(?i)^(?:y|n|yes|no|on|off|true|false|null)$`)
	// number is numbers of YAML and TOML that both read as one word.
	number = regexp.MustCompile(`^[-+]?\.?[0-9][0-9A-Za-z_.+-]*$`)
)

// quoted is text as YAML, in quotes where they are needed.
func quoted(s string) string {
	if plain.MatchString(s) && !otherwise.MatchString(s) || measure.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}
