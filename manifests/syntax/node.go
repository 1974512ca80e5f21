package syntax

import (
	"slices"
	"strconv"
	"strings"
)

// NodeKind is the shape of a value.
type NodeKind uint8

// The shapes.
const (
	NullNode NodeKind = iota
	// BrokenNode is a value that a diagnostic was made for already.
	BrokenNode
	ScalarNode
	ListNode
	MapNode
)

// ScalarType is what a scalar was written as.
type ScalarType uint8

// What scalars are written as.
const (
	TextScalar ScalarType = iota
	IntScalar
	FloatScalar
	BoolScalar
	TimeScalar
)

// Position is a place in a file; lines and columns count from 1, columns in bytes.
type Position struct {
	File         string
	Line, Column int
}

// Node is one value of a manifest, whatever it was written in. Scalars keep
// their source text, so that 1.10 stays 1.10.
type Node struct {
	Kind   NodeKind
	Scalar ScalarType
	// plain: the scalar was written without quotes, in YAML.
	Plain   bool
	Text    string
	At      Position
	Entries []Entry
	Items   []*Node
}

// Entry is one key of a map with its value, in the order of the file.
type Entry struct {
	Key   string
	At    Position
	Value *Node
}

// Get returns the value of a key, or nil.
func (n *Node) Get(key string) *Node {
	if i := n.Find(key); i >= 0 {
		return n.Entries[i].Value
	}
	return nil
}

// List returns the items of a list; none if it is no list.
func (n *Node) List() []*Node {
	if n == nil {
		return nil
	}
	return n.Items
}

// Find returns the index of a key, or -1.
func (n *Node) Find(key string) int {
	if n == nil {
		return -1
	}
	return slices.IndexFunc(n.Entries, func(e Entry) bool { return e.Key == key })
}

// Describe names what was found, for messages.
func (n *Node) Describe() string {
	switch n.Kind {
	case MapNode:
		return "a map"
	case ListNode:
		return "a list"
	case NullNode, BrokenNode:
		return "nothing"
	case ScalarNode:
	}
	switch n.Scalar {
	case IntScalar, FloatScalar:
		return "a number"
	case BoolScalar:
		return "true or false"
	case TimeScalar:
		return "a date"
	case TextScalar:
	}
	return "text"
}

// Step follows the first element of a path. Keys may hold dots, so the longest
// key that fits is taken.
func (n *Node) Step(path string) (next *Node, at Position, rest string) {
	if inside, ok := strings.CutPrefix(path, "["); ok {
		index, rest, _ := strings.Cut(inside, "]")
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(n.Items) {
			return nil, Position{}, ""
		}
		return n.Items[i], n.Items[i].At, strings.TrimPrefix(rest, ".")
	}
	best := -1
	for i, e := range n.Entries {
		tail, ok := strings.CutPrefix(path, e.Key)
		if ok && (tail == "" || tail[0] == '.' || tail[0] == '[') && (best < 0 || len(e.Key) > len(n.Entries[best].Key)) {
			best = i
		}
	}
	if best < 0 {
		return nil, Position{}, ""
	}
	e := n.Entries[best]
	at = e.Value.At
	if e.Value.Kind == MapNode || e.Value.Kind == NullNode {
		at = e.At // the key says more than the first key of a block
	}
	return e.Value, at, strings.TrimPrefix(path[len(e.Key):], ".")
}

// Add adds a scalar to a map, unless it is empty.
func (n *Node) Add(key, text string) {
	if text != "" {
		n.Entries = append(n.Entries, Entry{Key: key, Value: &Node{Kind: ScalarNode, Text: text}})
	}
}
