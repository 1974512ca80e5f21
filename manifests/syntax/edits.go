package syntax

import (
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Edits returns the overlay that turns base into edited: merged with base, it is the Same as
// edited. It is nil if base and edited are. Items that were added at the end of a list are
// appended, so that they stay when base gets other items. The keys are in the order of edited,
// those that it lacks after them.
//
// The only edits that an overlay can't express are those of a key that ends in + and is in a map of
// both: an overlay appends to a list by such a key. They are errors.
func Edits(base, edited *Node) (overlay *Node, diags diag.List) {
	var c comparison
	overlay = c.edits(base, edited, "")
	return overlay, c.diags
}

// comparison collects the edits that no overlay can express.
type comparison struct{ diags diag.List }

func (c *comparison) edits(base, edited *Node, path string) *Node {
	switch {
	case Same(base, edited):
		return nil
	case base.Kind != MapNode || edited.Kind != MapNode:
		return edited // as it is: an overlay merges maps only with maps
	}
	overlay := &Node{Kind: MapNode, At: edited.At}
	for _, e := range edited.Entries {
		before := base.value(e.Key)
		if after := edited.value(e.Key); after != nil && !Same(before, after) && c.isExpressible(e, path) {
			key, value := c.entry(before, after, e.Key, path)
			overlay.Entries = append(overlay.Entries, Entry{key, e.At, value})
		}
	}
	for _, e := range base.Entries {
		if base.value(e.Key) != nil && edited.value(e.Key) == nil && c.isExpressible(e, path) {
			overlay.Entries = append(overlay.Entries, Entry{e.Key, e.At, &Node{Kind: NullNode, At: e.At}})
		}
	}
	return overlay
}

// entry returns the key and the value with which an overlay changes one value of a map.
func (c *comparison) entry(before, after *Node, key, path string) (string, *Node) {
	if before == nil && after.Kind == MapNode {
		before = &Node{Kind: MapNode}
		if Same(before, after) {
			return key, before
		}
	}
	if before == nil {
		return key, after
	}
	if added := appended(before, after); added != nil {
		return key + "+", added
	}
	return key, c.edits(before, after, JoinPath(path, key))
}

// appended returns the items that a list has more than another, at its end. It is nil if the lists
// differ in another way.
func appended(before, after *Node) *Node {
	n := len(before.Items)
	if before.Kind != ListNode || after.Kind != ListNode || len(after.Items) <= n || !slices.EqualFunc(before.Items, after.Items[:n], Same) {
		return nil
	}
	return &Node{Kind: ListNode, At: after.Items[n].At, Items: after.Items[n:]}
}

// isExpressible reports a changed key that means something else in an overlay.
func (c *comparison) isExpressible(e Entry, path string) bool {
	if !strings.HasSuffix(e.Key, "+") {
		return true
	}
	c.diags = append(c.diags, diag.Diagnostic{
		Code: diag.BadValue, File: e.At.File, Line: e.At.Line, Column: e.At.Column, Path: JoinPath(path, e.Key),
		Message: "an overlay can't change the key " + diag.Quote(e.Key) + ": the + at its end appends to a list there",
		Hint:    "undo the change, or rename the key",
	})
	return false
}

// Same reports whether two values mean the same in a manifest. Numbers and dates are text there, so
// quotes make no difference to them. The order of keys makes none, and a key without a value is no
// key.
func Same(a, b *Node) bool {
	if a == nil || b == nil || a.Kind != b.Kind {
		return a == b
	}
	switch a.Kind {
	case ScalarNode:
		return a.Text == b.Text && (a.Scalar == BoolScalar) == (b.Scalar == BoolScalar)
	case ListNode:
		return slices.EqualFunc(a.Items, b.Items, Same)
	case MapNode:
		return a.holds(b) && b.holds(a)
	case NullNode, BrokenNode:
	}
	return true
}

// holds reports whether a map has all values of another.
func (n *Node) holds(other *Node) bool {
	return !slices.ContainsFunc(other.Entries, func(e Entry) bool { return e.Value.Kind != NullNode && !Same(n.value(e.Key), e.Value) })
}

// value returns the value of a key, nil for a key without one.
func (n *Node) value(key string) *Node { return given(n.Get(key)) }

// given returns a value, nil for none.
func given(n *Node) *Node {
	if n != nil && n.Kind == NullNode {
		return nil
	}
	return n
}

// HiddenKey is a key of an overlay that hides a change.
type HiddenKey struct {
	Path string
	At   Position
}

// Hidden returns what an overlay hides of the changes from one version of a manifest to the next:
// the keys of the overlay that decide values in which both versions differ. It is in the order of
// the overlay. A list that the overlay appends to is not hidden, nor is a value that the new
// version shares with the overlay.
func Hidden(overlay, before, after *Node) []HiddenKey {
	return hidden(nil, overlay, before, after, "")
}

func hidden(list []HiddenKey, overlay, before, after *Node, path string) []HiddenKey {
	for _, e := range overlay.Entries {
		if strings.HasSuffix(e.Key, "+") {
			continue
		}
		here := JoinPath(path, e.Key)
		was, is := before.value(e.Key), after.value(e.Key)
		switch {
		case Same(was, is), Same(given(e.Value), is):
		case e.Value.Kind == MapNode && (is == nil || is.Kind == MapNode):
			list = hidden(list, e.Value, was, is, here)
		default:
			list = append(list, HiddenKey{here, e.At})
		}
	}
	return list
}
