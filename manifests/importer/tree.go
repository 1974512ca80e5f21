package importer

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// tree is the manifest as a tree in the order of the schema. Values that are left out and
// zero values are not in it. The position of an entry is where it was inferred from.
func (d *Draft) tree() *syntax.Node {
	app := d.value(reflect.ValueOf(d.App), "app")
	return &syntax.Node{Kind: syntax.MapNode, Entries: []syntax.Entry{{Key: "app", Value: app}}}
}

// value is one value of the schema; nil for what need not be written.
func (d *Draft) value(v reflect.Value, path string) *syntax.Node {
	switch x := v.Interface().(type) {
	case manifests.Words:
		return d.list(v, path)
	case manifests.Env:
		return d.env(x, path)
	case fmt.Stringer:
		if v.IsZero() {
			return nil
		}
		return &syntax.Node{Kind: syntax.ScalarNode, Text: x.String()}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return d.pointer(v, path)
	case reflect.Struct:
		return d.structure(v, path)
	case reflect.Slice:
		return d.list(v, path)
	case reflect.Map:
		return d.mapping(v, path)
	default:
		if v.IsZero() {
			return nil
		}
		return scalar(v)
	}
}

func scalar(v reflect.Value) *syntax.Node {
	n := &syntax.Node{Kind: syntax.ScalarNode}
	switch v.Kind() {
	case reflect.Bool:
		n.Scalar, n.Text = syntax.BoolScalar, strconv.FormatBool(v.Bool())
	case reflect.Int:
		n.Scalar, n.Text = syntax.IntScalar, strconv.FormatInt(v.Int(), 10)
	case reflect.String:
		n.Text = v.String()
	default:
		panic("the schema has a field of kind " + v.Kind().String())
	}
	return n
}

// pointer writes what a pointer leads to, also if it is zero.
func (d *Draft) pointer(v reflect.Value, path string) *syntax.Node {
	if v.IsNil() {
		return nil
	}
	if v.Elem().Kind() != reflect.Struct {
		return scalar(v.Elem())
	}
	if n := d.structure(v.Elem(), path); n != nil {
		return n
	}
	return &syntax.Node{Kind: syntax.MapNode}
}

func (d *Draft) structure(v reflect.Value, path string) *syntax.Node {
	n := &syntax.Node{Kind: syntax.MapNode}
	for i := range v.NumField() {
		d.add(n, v.Field(i), path, v.Type().Field(i).Tag.Get("key"))
	}
	if len(n.Entries) == 0 {
		return nil
	}
	return n
}

func (d *Draft) add(n *syntax.Node, v reflect.Value, path, key string) {
	here := syntax.JoinPath(path, key)
	below := d.value(v, here)
	if below == nil && d.zeros[here] {
		below = scalar(v)
	}
	if below != nil {
		n.Entries = append(n.Entries, syntax.Entry{Key: key, At: d.notes[here], Value: below})
	}
}

func (d *Draft) list(v reflect.Value, path string) *syntax.Node {
	if v.Len() == 0 {
		return nil
	}
	n := &syntax.Node{Kind: syntax.ListNode}
	for i := range v.Len() {
		here := fmt.Sprintf("%s[%d]", path, i)
		item := v.Index(i)
		below := d.value(item, here)
		if below == nil && item.Kind() == reflect.String {
			below = scalar(item)
		}
		if below != nil {
			below.At = d.notes[here]
			n.Items = append(n.Items, below)
		}
	}
	return n
}

func (d *Draft) env(env manifests.Env, path string) *syntax.Node {
	if len(env) == 0 {
		return nil
	}
	n := &syntax.Node{Kind: syntax.MapNode}
	for _, v := range env {
		n.Entries = append(n.Entries, textEntry(v.Name, v.Value, d.notes[syntax.JoinPath(path, v.Name)]))
	}
	return n
}

func (d *Draft) mapping(v reflect.Value, path string) *syntax.Node {
	if v.Len() == 0 {
		return nil
	}
	n := &syntax.Node{Kind: syntax.MapNode}
	keys := make(map[string]reflect.Value, v.Len())
	for _, k := range v.MapKeys() {
		keys[k.String()] = v.MapIndex(k)
	}
	for _, k := range inOrder(keys) {
		if keys[k].Kind() == reflect.String {
			n.Entries = append(n.Entries, textEntry(k, keys[k].String(), d.notes[syntax.JoinPath(path, k)]))
			continue
		}
		d.add(n, keys[k], path, k)
	}
	return n
}

// inOrder is the keys of a map, the part main first.
func inOrder(keys map[string]reflect.Value) []string {
	sorted := slices.Sorted(maps.Keys(keys))
	if i := slices.Index(sorted, "main"); i > 0 {
		sorted = append([]string{"main"}, slices.Delete(sorted, i, i+1)...)
	}
	return sorted
}

func textEntry(key, text string, p syntax.Position) syntax.Entry {
	return syntax.Entry{Key: key, At: p, Value: &syntax.Node{Kind: syntax.ScalarNode, Text: text}}
}

// remove takes the value of a path out of the tree, and the maps and lists that it leaves
// empty. It refuses to remove a part or the app.
func remove(tree *syntax.Node, path string) bool {
	next, _, rest := tree.Step(path)
	if next == nil {
		return false
	}
	if rest != "" && remove(next, rest) {
		if len(next.Entries)+len(next.Items) == 0 && next.Kind != syntax.ScalarNode {
			drop(tree, next)
		}
		return true
	}
	if isVital(path, rest) {
		return false
	}
	drop(tree, next)
	return true
}

// vital is the keys without which there is no app.
var vital = []string{"app", "id", "name", "version", "container", "containers", "image", "build"}

// isVital reports whether the first element of a path must stay. A name below `containers` has
// a map with an image as its value, which is found by the image itself.
func isVital(path, rest string) bool {
	first := strings.TrimSuffix(strings.TrimSuffix(path, rest), ".")
	return slices.Contains(vital, first)
}

func drop(from, what *syntax.Node) {
	from.Entries = slices.DeleteFunc(from.Entries, func(e syntax.Entry) bool { return e.Value == what })
	from.Items = slices.DeleteFunc(from.Items, func(n *syntax.Node) bool { return n == what })
}
