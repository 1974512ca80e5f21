package manifests

import (
	"cmp"
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// special decodes the types that have a form of their own. It reports whether
// target is one of them.
func (d *decoder) special(n *syntax.Node, target any, at *step, f *fieldPlan) bool {
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
	case encoding.TextUnmarshaler:
		d.ofText(n, v, at)
	default:
		return false
	}
	return true
}

// ofText decodes a scalar into a type of another package.
func (d *decoder) ofText(n *syntax.Node, v encoding.TextUnmarshaler, at *step) {
	if s, ok := d.scalar(n, at); ok {
		if err := v.UnmarshalText([]byte(s)); err != nil {
			d.fail(n.At, at, diag.BadValue, "", "%s is not understood: %s; %v", name(at), diag.Quote(diag.Shorten(s)), err)
		}
	}
}

// parsed decodes a scalar with a grammar of its own.
func parsed[T any](d *decoder, n *syntax.Node, at *step, v *T, parse func(string) (T, error)) bool {
	s, ok := d.scalar(n, at)
	if !ok {
		return false
	}
	value, err := parse(s)
	if err != nil {
		d.fail(n.At, at, diag.BadValue, "", "%s is not understood: %s; %v", name(at), diag.Quote(diag.Shorten(s)), err)
		return false
	}
	*v = value
	return true
}

// ranged is parsed with a check of the field's range.
func ranged[T Duration | Size](d *decoder, n *syntax.Node, at *step, f *fieldPlan, v *T, parse func(string) (T, error)) {
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
		d.outOfRange(n, at, f, n.Text)
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

func (d *decoder) words(n *syntax.Node, v *Words, at *step, f *fieldPlan) {
	if n.Kind == syntax.ScalarNode {
		d.split(n, v, at)
	} else if d.want(n, syntax.ListNode, "a list of words or one string", at) {
		for i, item := range n.Items {
			s, _ := d.scalar(item, &step{up: at, index: i})
			*v = append(*v, s)
		}
	}
	if f.hasVariables {
		return
	}
	for i, word := range *v {
		here, from := at, n
		if n.Kind == syntax.ListNode {
			here, from = &step{up: at, index: i}, n.Items[i]
		}
		(*v)[i] = d.literal(from, here, word)
	}
}

// split decodes a command that is one string.
func (d *decoder) split(n *syntax.Node, v *Words, at *step) {
	s, ok := d.scalar(n, at)
	if !ok {
		return
	}
	list, err := splitWords(s)
	if err != nil {
		d.fail(n.At, at, diag.BadValue, "", "%s can't be split into words: %v", name(at), err)
		return
	}
	*v = list
}

// env decodes variables, from a map or a list of NAME=value.
func (d *decoder) env(n *syntax.Node, v *Env, at *step) {
	switch n.Kind {
	case syntax.MapNode:
		for _, e := range n.Entries {
			here := &step{up: at, key: e.Key}
			if s, ok := d.scalar(e.Value, here); ok {
				d.variable(v, e.Key, s, e.At, here)
			}
		}
	case syntax.ListNode:
		for i, item := range n.Items {
			here := &step{up: at, index: i}
			s, ok := d.scalar(item, here)
			if !ok {
				continue
			}
			key, value, found := strings.Cut(s, "=")
			if !found {
				d.fail(item.At, here, diag.BadValue, "write "+diag.Shorten(s)+"=value", "%s has no value", here)
				continue
			}
			d.variable(v, key, value, item.At, here)
		}
	default:
		d.want(n, syntax.MapNode, "a map, or a list of NAME=value", at)
	}
	slices.SortFunc(*v, func(a, b Variable) int { return cmp.Compare(a.Name, b.Name) })
}

func (d *decoder) variable(v *Env, key, value string, where syntax.Position, at *step) {
	names := patterns["envname"]
	switch {
	case !names.match(key):
		d.fail(where, at, diag.BadValue, "", "the name %s must be %s", diag.Quote(diag.Shorten(key)), names.text)
	case slices.ContainsFunc(*v, func(o Variable) bool { return o.Name == key }):
		d.fail(where, at, diag.DuplicateKey, "remove one of them", "the variable %s is given twice", key)
	default:
		*v = append(*v, Variable{key, value})
	}
}

// short decodes the one-value form of a struct. The form is read into a tree
// of its own, so that the struct's rules hold for it too.
func (d *decoder) short(n *syntax.Node, at *step, v any, parse func(string) (*syntax.Node, error)) bool {
	if n.Kind != syntax.ScalarNode {
		return false
	}
	s, ok := d.scalar(n, at)
	if !ok {
		return true
	}
	tree, err := parse(s)
	if err != nil {
		d.fail(n.At, at, diag.BadValue, "", "%s is not understood: %s; %v", name(at), diag.Quote(diag.Shorten(s)), err)
		return true
	}
	tree.At = n.At
	for i := range tree.Entries {
		tree.Entries[i].At, tree.Entries[i].Value.At = n.At, n.At
	}
	d.structure(tree, reflect.ValueOf(v).Elem(), at)
	return true
}

// parsePort reads [[BIND:]HOST:]CONTAINER[/PROTOCOL] with ranges A-B.
func parsePort(s string) (*syntax.Node, error) {
	n := &syntax.Node{Kind: syntax.MapNode}
	text, protocol, _ := strings.Cut(s, "/")
	n.Add("protocol", protocol)
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
	n.Add("bind", bind)
	inside, count, err := portRange(parts[len(parts)-1])
	if err != nil {
		return nil, err
	}
	n.Add("container", inside)
	if len(parts) == 2 {
		host, hostCount, err := portRange(parts[0])
		if err != nil {
			return nil, err
		}
		if hostCount != count {
			return nil, fmt.Errorf("the two ranges differ in length")
		}
		n.Add("host", host)
	}
	if count > 1 {
		n.Add("count", strconv.Itoa(count))
	}
	return n, nil
}

func portRange(s string) (first string, count int, err error) {
	first, last, isRange := strings.Cut(s, "-")
	a, err := strconv.Atoi(first)
	if err != nil {
		return "", 0, fmt.Errorf("%s is not a port number", diag.Quote(diag.Shorten(first)))
	}
	if !isRange {
		return first, 1, nil
	}
	b, err := strconv.Atoi(last)
	if err != nil || b < a {
		return "", 0, fmt.Errorf("%s is not a range of ports", diag.Quote(diag.Shorten(s)))
	}
	return first, b - a + 1, nil
}

// parseDevice reads PATH[:TARGET[:PERMISSIONS]] or VENDOR/CLASS=NAME.
func parseDevice(s string) (*syntax.Node, error) {
	n := &syntax.Node{Kind: syntax.MapNode}
	if !strings.HasPrefix(s, "/") && strings.Contains(s, "=") {
		n.Add("cdi", s)
		return n, nil
	}
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return nil, fmt.Errorf("write PATH, PATH:TARGET or PATH:TARGET:PERMISSIONS")
	}
	for i, key := range []string{"path", "target", "permissions"}[:len(parts)] {
		n.Add(key, parts[i])
	}
	return n, nil
}
