package manifests

import "slices"

// nodeKind is the shape of a value.
type nodeKind uint8

const (
	nullNode nodeKind = iota
	// brokenNode is a value that a diagnostic was made for already.
	brokenNode
	scalarNode
	listNode
	mapNode
)

// scalarType is what a scalar was written as.
type scalarType uint8

const (
	textScalar scalarType = iota
	intScalar
	floatScalar
	boolScalar
	timeScalar
)

// position is a place in a file; lines and columns count from 1, columns in bytes.
type position struct {
	file         string
	line, column int
}

// node is one value of a manifest, whatever it was written in. Scalars keep
// their source text, so that 1.10 stays 1.10.
type node struct {
	kind   nodeKind
	scalar scalarType
	// plain: the scalar was written without quotes, in YAML.
	plain   bool
	text    string
	at      position
	entries []entry
	items   []*node
}

// entry is one key of a map with its value, in the order of the file.
type entry struct {
	key   string
	at    position
	value *node
}

// get returns the value of a key, or nil.
func (n *node) get(key string) *node {
	if i := n.find(key); i >= 0 {
		return n.entries[i].value
	}
	return nil
}

// find returns the index of a key, or -1.
func (n *node) find(key string) int {
	if n == nil {
		return -1
	}
	return slices.IndexFunc(n.entries, func(e entry) bool { return e.key == key })
}

// describe names what was found, for messages.
func (n *node) describe() string {
	switch n.kind {
	case mapNode:
		return "a map"
	case listNode:
		return "a list"
	case nullNode, brokenNode:
		return "nothing"
	case scalarNode:
	}
	switch n.scalar {
	case intScalar, floatScalar:
		return "a number"
	case boolScalar:
		return "true or false"
	case timeScalar:
		return "a date"
	case textScalar:
	}
	return "text"
}
