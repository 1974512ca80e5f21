package syntax_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// values draws trees of few keys and texts, so that two of them have much in common.
func values(keys []string, texts *rapid.Generator[string], depth int) *rapid.Generator[*syntax.Node] {
	scalar := rapid.Custom(func(t *rapid.T) *syntax.Node {
		return &syntax.Node{Kind: syntax.ScalarNode, Text: texts.Draw(t, "text")}
	})
	number := rapid.Custom(func(t *rapid.T) *syntax.Node {
		return &syntax.Node{Kind: syntax.ScalarNode, Scalar: syntax.IntScalar, Text: rapid.SampledFrom([]string{"1", "0x1F", "-2"}).Draw(t, "number")}
	})
	truth := rapid.Just(&syntax.Node{Kind: syntax.ScalarNode, Scalar: syntax.BoolScalar, Text: "true"})
	null := rapid.Just(&syntax.Node{Kind: syntax.NullNode})
	if depth == 0 {
		return rapid.OneOf(scalar, number, truth, null)
	}
	below := values(keys, texts, depth-1)
	items := rapid.Custom(func(t *rapid.T) *syntax.Node {
		return &syntax.Node{Kind: syntax.ListNode, Items: rapid.SliceOfN(below, 0, 3).Draw(t, "items")}
	})
	return rapid.OneOf(scalar, number, truth, null, items, mapsOf(keys, below), mapsOf(keys, below))
}

func mapsOf(keys []string, below *rapid.Generator[*syntax.Node]) *rapid.Generator[*syntax.Node] {
	return rapid.Custom(func(t *rapid.T) *syntax.Node {
		n := &syntax.Node{Kind: syntax.MapNode}
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, len(keys), rapid.ID).Draw(t, "keys") {
			n.Entries = append(n.Entries, syntax.Entry{Key: key, Value: below.Draw(t, key)})
		}
		return n
	})
}

// manifest draws a tree whose root is a map.
func manifest(keys ...string) *rapid.Generator[*syntax.Node] {
	return mapsOf(keys, values(keys, rapid.SampledFrom([]string{"x", "y", "", "1", "true"}), 3))
}

// read reads a text without errors.
func read(t *rapid.T, text []byte) *syntax.Node {
	r := syntax.Reader{File: "x.yaml"}
	n := r.Read(text)
	if n == nil || len(r.Diags) > 0 {
		t.Fatalf("%v\n%s", r.Diags, text)
	}
	return n
}

// copied is a tree that shares nothing with another: Overlay changes its first argument.
func copied(n *syntax.Node) *syntax.Node {
	c := *n
	c.Entries, c.Items = nil, nil
	for _, e := range n.Entries {
		c.Entries = append(c.Entries, syntax.Entry{Key: e.Key, At: e.At, Value: copied(e.Value)})
	}
	for _, item := range n.Items {
		c.Items = append(c.Items, copied(item))
	}
	return &c
}

// merged is a tree with an overlay, which has no errors.
func merged(t *rapid.T, base, overlay *syntax.Node) *syntax.Node {
	r := syntax.Reader{File: "overlay.yaml"}
	n := r.Overlay(copied(base), copied(overlay), "")
	if len(r.Diags) > 0 {
		t.Fatal(r.Diags)
	}
	return n
}

// TestPrintRoundTrip: a printed tree is read as the same tree, whatever is in its texts.
func TestPrintRoundTrip(t *testing.T) {
	texts := rapid.OneOf(
		rapid.StringMatching(`[ -~äß日😀\t\n\r\x{85}\x{a0}\x{2028}\x{e000}]{0,40}`),
		rapid.StringMatching(`[-+.:0-9xobe_,~#]{1,6}`),
		rapid.SampledFrom([]string{"yes", "NO", "null", "~", "<<", "=", "-", "---", "...", "? a", ".inf", "1_000", "12:30", "a: b", "a #b", "@a", "%a", "`a", "90s", "0b1", "!a", "&a", "*a"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(texts, 1, 4, rapid.ID).Draw(t, "alphabet")
		tree := mapsOf(keys, values(keys, texts, 3)).Draw(t, "tree")
		text := syntax.Printer{Spread: keys[:1]}.Print(tree)
		if got := read(t, text); !syntax.Same(tree, got) {
			t.Fatalf("%s became %s:\n%s", show(tree), show(got), text)
		}
	})
}

// TestEditsRoundTrip: a tree with the overlay of its edits is the edited tree. There is no overlay
// exactly if both are the same.
func TestEditsRoundTrip(t *testing.T) {
	trees := manifest("a", "b", "c", "")
	rapid.Check(t, func(t *rapid.T) {
		base, edited := trees.Draw(t, "base"), trees.Draw(t, "edited")
		overlay, diags := syntax.Edits(base, edited)
		switch {
		case len(diags) > 0:
			t.Fatal(diags)
		case (overlay == nil) != syntax.Same(base, edited):
			t.Fatalf("the overlay is %s", show(overlay))
		case overlay == nil:
			return
		}
		overlay = read(t, syntax.Printer{}.Print(overlay))
		if got := merged(t, base, overlay); !syntax.Same(got, edited) {
			t.Fatalf("with %s it is %s", show(overlay), show(got))
		}
		if again, _ := syntax.Edits(merged(t, base, overlay), edited); again != nil {
			t.Fatalf("there is more to edit: %s", show(again))
		}
	})
}

// TestEditsOfPlusKeys: with keys that end in +, the round trip holds or there is an error.
func TestEditsOfPlusKeys(t *testing.T) {
	trees := manifest("a", "a+", "b", "+")
	rapid.Check(t, func(t *rapid.T) {
		base, edited := trees.Draw(t, "base"), trees.Draw(t, "edited")
		overlay, diags := syntax.Edits(base, edited)
		if overlay == nil || len(diags) > 0 {
			return
		}
		if got := merged(t, base, overlay); !syntax.Same(got, edited) {
			t.Fatalf("with %s it is %s", show(overlay), show(got))
		}
	})
}

// TestHiddenNamesEachLostChange: a change between two versions is lost in the merged tree exactly
// if it is below a hidden key.
func TestHiddenNamesEachLostChange(t *testing.T) {
	trees := manifest("a", "b", "c")
	rapid.Check(t, func(t *rapid.T) {
		overlay := trees.Draw(t, "overlay")
		before, after := trees.Draw(t, "before"), trees.Draw(t, "after")
		now := merged(t, after, overlay)
		got := map[string]bool{}
		for _, key := range syntax.Hidden(overlay, before, after) {
			got[key.Path] = true
		}
		isBelow := func(path string) bool {
			for ; path != ""; path = parent(path) {
				if got[path] {
					return true
				}
			}
			return false
		}
		lost := lostChanges(before, after, now)
		for path, isLost := range lost {
			if isLost && !isBelow(path) {
				t.Fatalf("%s hides the change of %s from %s to %s, which is %s", show(overlay), path, show(before), show(after), show(now))
			}
		}
		for key := range got {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(lost)), func(path string) bool {
				return (lost[path] || isRemoved(overlay, key)) && (path == key || strings.HasPrefix(path, key+"."))
			}) {
				t.Fatalf("%s of %s hides no change from %s to %s, which is %s", key, show(overlay), show(before), show(after), show(now))
			}
		}
	})
}

// isRemoved reports whether an overlay removes a key. The key is hidden then, whatever changes in it.
func isRemoved(overlay *syntax.Node, path string) bool {
	for path != "" {
		overlay, _, path = overlay.Step(path)
	}
	return overlay.Kind == syntax.NullNode
}

// lostChanges is the values in which two versions differ, by their paths, and whether the merged
// tree has something else there than the new version.
func lostChanges(before, after, merged *syntax.Node) map[string]bool {
	was, is, now := leaves(before), leaves(after), leaves(merged)
	differs := func(path string) bool {
		isEmptied := is[path] == nil && isMap(now[path]) // there are no values in it
		return !syntax.Same(is[path], now[path]) && !isEmptied && (!isMap(is[path]) || !hasBelow(now, path))
	}
	lost := map[string]bool{}
	for _, path := range slices.Concat(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is))) {
		if !syntax.Same(was[path], is[path]) {
			lost[path] = differs(path)
			for above := parent(path); above != ""; above = parent(above) {
				lost[path] = lost[path] || now[above] != nil && differs(above)
			}
		}
	}
	return lost
}

// parent is the path of the map that a value is in.
func parent(path string) string { return path[:max(strings.LastIndexByte(path, '.'), 0)] }

func isMap(n *syntax.Node) bool { return n != nil && n.Kind == syntax.MapNode }

// hasBelow reports whether a tree with those leaves has a map with a value at a path.
func hasBelow(leaves map[string]*syntax.Node, path string) bool {
	for leaf := range leaves {
		if path == "" || strings.HasPrefix(leaf, path+".") {
			return true
		}
	}
	return false
}

// leaves is the scalars, lists and empty maps of a tree by their paths.
func leaves(n *syntax.Node) map[string]*syntax.Node {
	list := map[string]*syntax.Node{}
	var walk func(n *syntax.Node, path string)
	walk = func(n *syntax.Node, path string) {
		isEmpty := true
		for _, e := range n.Entries {
			if e.Value.Kind != syntax.NullNode {
				isEmpty = false
				walk(e.Value, syntax.JoinPath(path, e.Key))
			}
		}
		if isEmpty {
			list[path] = n
		}
	}
	walk(n, "")
	return list
}

// TestHiddenIsInTheOverlay: nothing is hidden between equal versions, or by the edits that made the
// next version.
func TestHiddenIsInTheOverlay(t *testing.T) {
	trees := manifest("a", "b", "c")
	rapid.Check(t, func(t *rapid.T) {
		before, after := trees.Draw(t, "before"), trees.Draw(t, "after")
		overlay, _ := syntax.Edits(before, after)
		if overlay == nil {
			return
		}
		for what, next := range map[string]*syntax.Node{"the same": before, "edited": after} {
			if keys := syntax.Hidden(overlay, before, next); len(keys) > 0 {
				t.Fatalf("%s hides %v: %s", what, keys, show(overlay))
			}
		}
	})
}
