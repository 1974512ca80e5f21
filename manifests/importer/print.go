package importer

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// width is how long a line may get before a list or map is written over several.
const width = 96

// print writes a tree as YAML that a person can read. Small maps and lists are on one line.
func print(tree *syntax.Node) []byte {
	var b bytes.Buffer
	printMap(&b, tree, "")
	return b.Bytes()
}

// spread is the keys whose maps are never on one line.
var spread = []string{"app", "container", "containers", "main", "env", "volumes", "secrets", "labels"}

func printMap(b *bytes.Buffer, n *syntax.Node, indent string) {
	for _, e := range n.Entries {
		b.WriteString(indent + word(e.Key) + ":")
		printValue(b, e.Value, e.Key, e.At, indent, len(indent)+len(e.Key)+2)
	}
}

// printValue writes a value behind a key or a dash, with the end of the line.
func printValue(b *bytes.Buffer, n *syntax.Node, key string, from syntax.Position, indent string, column int) {
	line := flow(n)
	isSpread := n.Kind == syntax.MapNode && (slices.Contains(spread, key) || holdsNotes(n)) || n.Kind == syntax.ListNode && holdsNotes(n)
	isShort := column+len(line) <= width
	switch {
	case n.Kind == syntax.ScalarNode, len(n.Entries)+len(n.Items) == 0, !isSpread && isShort && !isListOfMaps(n):
		b.WriteString(" " + line + comment(from) + "\n")
	case n.Kind == syntax.MapNode:
		b.WriteString(comment(from) + "\n")
		printMap(b, n, indent+"  ")
	case !isSpread && !isListOfMaps(n) && longest(n) <= wordWidth:
		printWrapped(b, n, from, indent+"  ")
	default:
		b.WriteString(comment(from) + "\n")
		for _, item := range n.Items {
			printItem(b, item, indent+"  ")
		}
	}
}

// wordWidth is the longest word of a list that is written in lines, as a text is.
const wordWidth = 24

func longest(n *syntax.Node) (most int) {
	for _, item := range n.Items {
		most = max(most, len(item.Text))
	}
	return most
}

// printWrapped writes a list of short words over several lines, within brackets.
func printWrapped(b *bytes.Buffer, n *syntax.Node, from syntax.Position, indent string) {
	b.WriteString(" [" + comment(from) + "\n" + indent)
	column := len(indent)
	for i, item := range n.Items {
		word := flow(item) + ","
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

func printItem(b *bytes.Buffer, n *syntax.Node, indent string) {
	line := flow(n)
	if n.Kind != syntax.MapNode || len(indent)+2+len(line) <= width {
		b.WriteString(indent + "- " + line + comment(n.At) + "\n")
		return
	}
	var below bytes.Buffer
	whole := *n
	whole.Entries = slices.Clone(n.Entries)
	whole.Entries[0].At = n.At
	printMap(&below, &whole, indent+"  ")
	b.WriteString(indent + "- " + strings.TrimPrefix(below.String(), indent+"  "))
}

func isListOfMaps(n *syntax.Node) bool {
	return n.Kind == syntax.ListNode && slices.ContainsFunc(n.Items, func(i *syntax.Node) bool { return i.Kind == syntax.MapNode })
}

// holdsNotes reports whether something below has a comment of its own.
func holdsNotes(n *syntax.Node) bool {
	return slices.ContainsFunc(n.Entries, func(e syntax.Entry) bool { return e.At.Line > 0 || holdsNotes(e.Value) }) ||
		slices.ContainsFunc(n.Items, func(i *syntax.Node) bool { return i.At.Line > 0 || holdsNotes(i) })
}

// comment names the place in the source that a value comes from.
func comment(from syntax.Position) string {
	if from.Line == 0 {
		return ""
	}
	return fmt.Sprintf("  # from %s:%d", from.File, from.Line)
}

// mark stands before the brace of a variable of the manifest. It is no character, so no source
// has it by chance.
const mark = "\uFDD0"

// Reference is a variable of the manifest within a value, such as capability.tor.host. A ${ that
// the source has stays text.
func Reference(name string) string { return mark + "{" + name + "}" }

var references = regexp.MustCompile(mark + `\{([^}]*)\}`)

// References is the names of the variables of the manifest in a text.
func References(text string) (names []string) {
	for _, m := range references.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// Sample is a text with a word for each variable of the manifest, to compare it with a pattern.
func Sample(text string) string { return references.ReplaceAllString(text, "x") }

// Template is a template whose result is the text, with the variables of the manifest in it.
func Template(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("{{"), []byte(`{{"{{"}}`))
	return references.ReplaceAllFunc(text, func(whole []byte) []byte {
		name := string(references.FindSubmatch(whole)[1])
		if rest, ok := strings.CutPrefix(name, "capability."); ok {
			capability, export, _ := strings.Cut(rest, ".")
			return fmt.Appendf(nil, "{{(capability %q).%s}}", capability, export)
		}
		return []byte("{{." + name + "}}")
	})
}

var referred = strings.NewReplacer(mark, "$", "${", "$${")

// word is text of the source with the variables of the manifest in it.
func word(text string) string { return quoted(referred.Replace(text)) }

// shown is a message with the variables of the manifest as a person writes them.
var shown = strings.NewReplacer(mark, "$", `\ufdd0`, "$")

// flow is a value on one line.
func flow(n *syntax.Node) string {
	switch n.Kind {
	case syntax.MapNode:
		parts := make([]string, 0, len(n.Entries))
		for _, e := range n.Entries {
			parts = append(parts, word(e.Key)+": "+flow(e.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case syntax.ListNode:
		parts := make([]string, 0, len(n.Items))
		for _, item := range n.Items {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		if n.Scalar != syntax.TextScalar {
			return n.Text
		}
		return word(n.Text)
	}
}

var (
	// plain is text that YAML reads as text, also within brackets.
	plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+-]*(?:[ :][A-Za-z0-9_./@+-]+)*$`)
	// measure is durations and sizes.
	measure = regexp.MustCompile(`^(?:[0-9]+(?:ms|[smhdkgb]))+$`)
	// otherwise is words that YAML reads as something else than text.
	otherwise = regexp.MustCompile(`(?i)^(?:y|n|yes|no|on|off|true|false|null)$`)
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
