package syntax

import (
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Overlay lays the tree of an overlay over that of a manifest: maps are merged
// by key, other values replaced, null takes a value away, and a list under
// `key+` is appended. Values keep the file that they came from.
func (r *Reader) Overlay(base, over *Node, path string) *Node {
	if base == nil || base.Kind != MapNode || over.Kind != MapNode {
		return over
	}
	for _, e := range over.Entries {
		name, appends := strings.CutSuffix(e.Key, "+")
		i := base.Find(name)
		switch {
		case appends:
			r.append(base, i, name, e, path)
		case e.Value.Kind == NullNode:
			if i >= 0 {
				base.Entries = append(base.Entries[:i], base.Entries[i+1:]...)
			}
		case i < 0:
			base.Entries = append(base.Entries, Entry{name, e.At, r.Overlay(emptyMap(e), e.Value, path)})
		default:
			base.Entries[i].Value = r.Overlay(base.Entries[i].Value, e.Value, JoinPath(path, name))
		}
	}
	return base
}

// emptyMap gives the merge of a new map something to begin with, so that
// `key+` means the same in it.
func emptyMap(e Entry) *Node { return &Node{Kind: MapNode, At: e.Value.At} }

func (r *Reader) append(base *Node, i int, name string, e Entry, path string) {
	if e.Value.Kind != ListNode {
		r.fail(diag.WrongType, e.Value.At.Line, e.Value.At.Column, "", "%s+ appends to a list, found %s", name, e.Value.Describe())
		return
	}
	if i < 0 {
		base.Entries = append(base.Entries, Entry{name, e.At, e.Value})
		return
	}
	old := base.Entries[i].Value
	if old.Kind != ListNode {
		r.fail(diag.WrongType, e.At.Line, e.At.Column, "", "%s is %s in the manifest, so nothing can be appended", JoinPath(path, name), old.Describe())
		return
	}
	base.Entries[i].Value = &Node{Kind: ListNode, At: old.At, Items: append(append([]*Node{}, old.Items...), e.Value.Items...)}
}

// JoinPath is the path of a key below another.
func JoinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
