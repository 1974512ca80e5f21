package manifests

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// special decodes the types that have a form of their own. It reports whether
// target is one of them.
func (d *decoder) special(n *node, target any, at *step, f *fieldPlan) bool {
	switch v := target.(type) {
	case *Duration:
		ranged(d, n, at, f, v, parseDuration)
	case *Size:
		ranged(d, n, at, f, v, parseSize)
	case *Mode:
		parsed(d, n, at, v, parseMode)
	case *Decimal:
		parsed(d, n, at, v, parseDecimal)
	case *Words:
		d.words(n, v, at, f)
	case *Env:
		d.env(n, v, at)
	case *Port:
		return d.short(n, at, v, parsePort)
	case *Device:
		return d.short(n, at, v, parseDevice)
	default:
		return false
	}
	return true
}

// parsed decodes a scalar with a grammar of its own.
func parsed[T any](d *decoder, n *node, at *step, v *T, parse func(string) (T, error)) bool {
	s, ok := d.scalar(n, at)
	if !ok {
		return false
	}
	value, err := parse(s)
	if err != nil {
		d.fail(n.at, at, diag.BadValue, "", "%s is not understood: %s; %v", name(at), quoted(shorten(s)), err)
		return false
	}
	*v = value
	return true
}

// ranged is parsed with a check of the field's range.
func ranged[T Duration | Size](d *decoder, n *node, at *step, f *fieldPlan, v *T, parse func(string) (T, error)) {
	if !parsed(d, n, at, v, parse) {
		return
	}
	lowest, highest := T(0), T(math.MaxInt64)
	if f.min != "" {
		lowest = must(parse(f.min))
	}
	if f.max != "" {
		highest = must(parse(f.max))
	}
	if *v < lowest || *v > highest {
		d.outOfRange(n, at, f, n.text)
		*v = 0
	}
}

// must is for the ranges in the schema's own tags.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (d *decoder) words(n *node, v *Words, at *step, f *fieldPlan) {
	if n.kind == scalarNode {
		d.split(n, v, at)
	} else if d.want(n, listNode, "a list of words or one string", at) {
		for i, item := range n.items {
			s, _ := d.scalar(item, &step{up: at, index: i})
			*v = append(*v, s)
		}
	}
	if f.hasVariables {
		return
	}
	for i, word := range *v {
		here, from := at, n
		if n.kind == listNode {
			here, from = &step{up: at, index: i}, n.items[i]
		}
		(*v)[i] = d.literal(from, here, word)
	}
}

// split decodes a command that is one string.
func (d *decoder) split(n *node, v *Words, at *step) {
	s, ok := d.scalar(n, at)
	if !ok {
		return
	}
	list, err := splitWords(s)
	if err != nil {
		d.fail(n.at, at, diag.BadValue, "", "%s can't be split into words: %v", name(at), err)
		return
	}
	*v = list
}

// env decodes variables, from a map or a list of NAME=value.
func (d *decoder) env(n *node, v *Env, at *step) {
	switch n.kind {
	case mapNode:
		for _, e := range n.entries {
			here := &step{up: at, key: e.key}
			if s, ok := d.scalar(e.value, here); ok {
				d.variable(v, e.key, s, e.at, here)
			}
		}
	case listNode:
		for i, item := range n.items {
			here := &step{up: at, index: i}
			s, ok := d.scalar(item, here)
			if !ok {
				continue
			}
			key, value, found := strings.Cut(s, "=")
			if !found {
				d.fail(item.at, here, diag.BadValue, "write "+shorten(s)+"=value", "%s has no value", here)
				continue
			}
			d.variable(v, key, value, item.at, here)
		}
	default:
		d.want(n, mapNode, "a map, or a list of NAME=value", at)
	}
	slices.SortFunc(*v, func(a, b Variable) int { return cmp.Compare(a.Name, b.Name) })
}

func (d *decoder) variable(v *Env, key, value string, where position, at *step) {
	names := patterns["envname"]
	switch {
	case !names.match(key):
		d.fail(where, at, diag.BadValue, "", "the name %s must be %s", quoted(shorten(key)), names.text)
	case slices.ContainsFunc(*v, func(o Variable) bool { return o.Name == key }):
		d.fail(where, at, diag.DuplicateKey, "remove one of them", "the variable %s is given twice", key)
	default:
		*v = append(*v, Variable{key, value})
	}
}

// short decodes the one-value form of a struct. The form is read into a tree
// of its own, so that the struct's rules hold for it too.
func (d *decoder) short(n *node, at *step, v any, parse func(string) (*node, error)) bool {
	if n.kind != scalarNode {
		return false
	}
	s, ok := d.scalar(n, at)
	if !ok {
		return true
	}
	tree, err := parse(s)
	if err != nil {
		d.fail(n.at, at, diag.BadValue, "", "%s is not understood: %s; %v", name(at), quoted(shorten(s)), err)
		return true
	}
	tree.at = n.at
	for i := range tree.entries {
		tree.entries[i].at, tree.entries[i].value.at = n.at, n.at
	}
	d.structure(tree, reflect.ValueOf(v).Elem(), at)
	return true
}

// add adds a scalar to a map, unless it is empty.
func (n *node) add(key, text string) {
	if text != "" {
		n.entries = append(n.entries, entry{key: key, value: &node{kind: scalarNode, text: text}})
	}
}

// parsePort reads [[BIND:]HOST:]CONTAINER[/PROTOCOL] with ranges A-B.
func parsePort(s string) (*node, error) {
	n := &node{kind: mapNode}
	text, protocol, _ := strings.Cut(s, "/")
	n.add("protocol", protocol)
	bind := ""
	if rest, ok := strings.CutPrefix(text, "["); ok {
		addr, after, ok := strings.Cut(rest, "]:")
		if !ok {
			return nil, fmt.Errorf("write [ADDRESS]:HOST:CONTAINER")
		}
		bind, text = addr, after
	}
	parts := strings.Split(text, ":")
	if len(parts) == 3 && bind == "" {
		bind, parts = parts[0], parts[1:]
	}
	if len(parts) > 2 || bind != "" && len(parts) != 2 {
		return nil, fmt.Errorf("write HOST:CONTAINER, BIND:HOST:CONTAINER or CONTAINER, with /udp for UDP")
	}
	n.add("bind", bind)
	inside, count, err := portRange(parts[len(parts)-1])
	if err != nil {
		return nil, err
	}
	n.add("container", inside)
	if len(parts) == 2 {
		host, hostCount, err := portRange(parts[0])
		if err != nil {
			return nil, err
		}
		if hostCount != count {
			return nil, fmt.Errorf("the two ranges differ in length")
		}
		n.add("host", host)
	}
	if count > 1 {
		n.add("count", strconv.Itoa(count))
	}
	return n, nil
}

func portRange(s string) (first string, count int, err error) {
	first, last, isRange := strings.Cut(s, "-")
	a, err := strconv.Atoi(first)
	if err != nil {
		return "", 0, fmt.Errorf("%s is not a port number", quoted(shorten(first)))
	}
	if !isRange {
		return first, 1, nil
	}
	b, err := strconv.Atoi(last)
	if err != nil || b < a {
		return "", 0, fmt.Errorf("%s is not a range of ports", quoted(shorten(s)))
	}
	return first, b - a + 1, nil
}

// parseDevice reads PATH[:TARGET[:PERMISSIONS]].
func parseDevice(s string) (*node, error) {
	n := &node{kind: mapNode}
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return nil, fmt.Errorf("write PATH, PATH:TARGET or PATH:TARGET:PERMISSIONS")
	}
	for i, key := range []string{"path", "target", "permissions"}[:len(parts)] {
		n.add(key, parts[i])
	}
	return n, nil
}
