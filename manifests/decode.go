package manifests

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// decoder fills the schema's structs from a tree and reports what does not fit.
type decoder struct {
	m     *Manifest
	diags diag.List
	// isVerbatim: the file has no variables, and ${ is nothing special in it.
	isVerbatim bool
}

// plan is what the tags of a struct say, read once.
type plan struct {
	fields []fieldPlan
	byKey  map[string]int
	keys   []string
	// filled is the structure with the defaults that depend on nothing.
	filled reflect.Value
}

type fieldPlan struct {
	key      string
	required bool
	enum     []string
	pattern  *pattern
	min, max string
	fallback defaultTag
	// hasVariables: ${…} is replaced in the value.
	hasVariables bool
}

var plans sync.Map // reflect.Type → *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{byKey: map[string]int{}}
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		f := fieldPlan{key: tag.Get("key"), required: tag.Get("need") == "required", min: tag.Get("min"), max: tag.Get("max"), hasVariables: tag.Get("variables") == "yes"}
		if words := tag.Get("enum"); words != "" {
			f.enum = strings.Split(words, "|")
		}
		if name := tag.Get("pattern"); name != "" {
			f.pattern = patterns[name]
		}
		if text := tag.Get("default"); text != "" {
			f.fallback = readDefault(text, t.Field(i).Type)
		}
		p.byKey[f.key] = i
		p.keys = append(p.keys, f.key)
		p.fields = append(p.fields, f)
	}
	p.fill(t)
	plans.Store(t, p)
	return p
}

// step is one element of the way to a value; the path is put together only
// when a diagnostic needs it.
type step struct {
	up    *step
	key   string
	index int
}

func (s *step) String() string {
	if s == nil {
		return ""
	}
	if s.key == "" {
		return fmt.Sprintf("%s[%d]", s.up, s.index)
	}
	return syntax.JoinPath(s.up.String(), s.key)
}

func (d *decoder) fail(n syntax.Position, at *step, code diag.Code, hint, format string, args ...any) {
	d.report(diag.Error, n, at, code, hint, format, args...)
}

func (d *decoder) report(severity diag.Severity, n syntax.Position, at *step, code diag.Code, hint, format string, args ...any) {
	d.diags = append(d.diags, diag.Diagnostic{
		Severity: severity, Code: code, File: n.File, Line: n.Line, Column: n.Column, Path: at.String(), Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// root decodes the file into the structure that is pointed to.
func (d *decoder) root(structure any) {
	d.value(d.m.tree, reflect.ValueOf(structure).Elem(), nil, &fieldPlan{})
}

// fileName demands that the file is called after the app.
func (d *decoder) fileName(id string) {
	base := filepath.Base(d.m.File)
	if stem := strings.TrimSuffix(base, filepath.Ext(base)); stem != id {
		d.diags = append(d.diags, d.m.Diag(diag.Error, diag.FileName, "app.id", "name the file "+id+filepath.Ext(base), "the file is called %s, the app %s", base, id))
	}
}

// value decodes n into v. f says what the field demands of scalars in it.
func (d *decoder) value(n *syntax.Node, v reflect.Value, at *step, f *fieldPlan) {
	if v.Kind() == reflect.Struct {
		v.Set(planOf(v.Type()).filled)
	}
	if n.Kind == syntax.BrokenNode || d.special(n, v.Addr().Interface(), at, f) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), at, f)
	case reflect.Struct:
		if n.Kind == syntax.MapNode {
			d.structure(n, v, at)
			return
		}
		d.fail(n.At, at, diag.WrongType, "its keys are "+strings.Join(planOf(v.Type()).keys, ", "), "%s must be a map, found %s", name(at), n.Describe())
	case reflect.Slice:
		if d.want(n, syntax.ListNode, "a list", at) {
			d.list(n, v, at, f)
		}
	case reflect.Map:
		if d.want(n, syntax.MapNode, "a map", at) {
			d.mapping(n, v, at, f)
		}
	case reflect.String:
		if s, ok := d.text(n, at, f); ok {
			v.SetString(s)
		}
	case reflect.Int:
		d.integer(n, v, at, f)
	case reflect.Bool:
		d.boolean(n, v, at)
	default:
		panic("the schema has a field of kind " + v.Kind().String())
	}
}

func (d *decoder) want(n *syntax.Node, kind syntax.NodeKind, what string, at *step) bool {
	if n.Kind == kind || n.Kind == syntax.BrokenNode {
		return n.Kind == kind
	}
	d.fail(n.At, at, diag.WrongType, "", "%s must be %s, found %s", name(at), what, n.Describe())
	return false
}

func name(at *step) string {
	if at == nil {
		return "the file"
	}
	return at.String()
}

func (d *decoder) structure(n *syntax.Node, v reflect.Value, at *step) {
	p := planOf(v.Type())
	given := make([]bool, len(p.fields))
	for i := range n.Entries {
		e := &n.Entries[i]
		index, ok := p.byKey[e.Key]
		if !ok {
			d.unknownKey(e, v.Type(), at)
			continue
		}
		if e.Value.Kind == syntax.NullNode {
			continue
		}
		given[index] = true
		d.value(e.Value, v.Field(index), &step{up: at, key: e.Key}, &p.fields[index])
	}
	for i, f := range p.fields {
		if f.required && !given[i] {
			d.missing(n, at, f.key)
		}
	}
}

// missing reports a required key that is absent, at the structure that needs it.
func (d *decoder) missing(n *syntax.Node, at *step, key string) {
	where := n.At
	if at != nil {
		where.File, where.Line, where.Column = d.m.Position(at.String())
	}
	d.fail(where, &step{up: at, key: key}, diag.MissingKey, "", "%s needs the key %s", name(at), key)
}

func (d *decoder) unknownKey(e *syntax.Entry, in reflect.Type, at *step) {
	p := planOf(in)
	hint := cmp.Or(calledHere(e.Key, in), didYouMean(e.Key, p.keys))
	switch {
	case strings.HasSuffix(e.Key, "+"):
		hint = "only an overlay can append to a list"
	case hint == "" && len(p.keys) <= 8:
		hint = "its keys are " + strings.Join(p.keys, ", ")
	}
	d.fail(e.At, &step{up: at, key: e.Key}, diag.UnknownKey, hint, "%s has no key %s", name(at), diag.Quote(e.Key))
}

func (d *decoder) list(n *syntax.Node, v reflect.Value, at *step, f *fieldPlan) {
	v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
	for i, item := range n.Items {
		here := &step{up: at, index: i}
		if item.Kind == syntax.NullNode {
			d.fail(item.At, here, diag.WrongType, "", "%s is empty", here)
			item = &syntax.Node{Kind: syntax.BrokenNode}
		}
		d.value(item, v.Index(i), here, f)
	}
}

// mapKeys is what the keys of maps have to look like, by the map's name.
var mapKeys = map[string]string{
	"links": "id", "containers": "id", "volumes": "id", "sysctls": "option", "hosts": "dnsname", "labels": "label",
	"args": "envname", "ulimits": "id", "exports": "exportname", "expect": "option", "unit": "directive", "seed": "seedpath",
	"files": "relpath", "apps": "id", // of the index of a catalog
}

func (d *decoder) mapping(n *syntax.Node, v reflect.Value, at *step, f *fieldPlan) {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Entries)))
	keys := patterns[mapKeys[f.key]]
	for i := range n.Entries {
		e := &n.Entries[i]
		here := &step{up: at, key: e.Key}
		isLater := f.hasVariables && hasVariable(e.Key) // hostNames checks it with the values
		if keys != nil && !isLater && !keys.match(e.Key) {
			d.fail(e.At, here, diag.BadValue, "", "the name %s must be %s", diag.Quote(diag.Shorten(e.Key)), keys.text)
			continue
		}
		if e.Value.Kind == syntax.NullNode {
			d.fail(e.At, here, diag.MissingKey, "", "%s is empty", here)
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(e.Value, item, here, &fieldPlan{key: "", enum: f.enum, pattern: f.pattern, min: f.min, max: f.max})
		v.SetMapIndex(reflect.ValueOf(e.Key), item)
	}
}

// sexagesimal is text that YAML 1.1 reads as a number to the base of 60.
var sexagesimal = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+$`)

// scalar returns the source text of any scalar.
func (d *decoder) scalar(n *syntax.Node, at *step) (string, bool) {
	if n.Kind == syntax.BrokenNode {
		return "", false
	}
	if n.Kind != syntax.ScalarNode {
		hint := ""
		if n.Kind == syntax.NullNode {
			hint = `write "" for a text of no letters`
		}
		d.fail(n.At, at, diag.WrongType, hint, "%s must be text, found %s", name(at), n.Describe())
		return "", false
	}
	if n.Plain && sexagesimal.MatchString(n.Text) {
		d.fail(n.At, at, diag.ImplicitNumber, `write "`+n.Text+`"`, "%s without quotes is a number to some YAML parsers", n.Text)
		return "", false
	}
	if hasFactMark(n.Text) {
		d.fail(n.At, at, diag.BadValue, "remove it", "%s holds the noncharacter U+FDD1 or U+FDD2", name(at))
		return "", false
	}
	return n.Text, true
}

// text decodes a string and checks it.
func (d *decoder) text(n *syntax.Node, at *step, f *fieldPlan) (string, bool) {
	s, ok := d.scalar(n, at)
	if !ok {
		return "", false
	}
	if f.hasVariables && hasVariable(s) {
		return s, true // hostNames checks it with the values
	}
	s = d.literal(n, at, s)
	switch {
	case f.enum != nil && !slices.Contains(f.enum, s):
		d.fail(n.At, at, diag.BadValue, didYouMean(s, f.enum), "%s must be one of %s, found %s", name(at), strings.Join(f.enum, ", "), diag.Quote(diag.Shorten(s)))
		return "", false
	case f.pattern != nil && !f.pattern.match(s):
		hint := ""
		if f.pattern.hint != nil {
			hint = f.pattern.hint(s)
		}
		d.fail(n.At, at, diag.BadValue, hint, "%s must be %s, found %s", name(at), f.pattern.text, diag.Quote(diag.Shorten(s)))
		return "", false
	}
	return s, true
}

func (d *decoder) integer(n *syntax.Node, v reflect.Value, at *step, f *fieldPlan) {
	s, ok := d.scalar(n, at)
	if !ok {
		return
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		d.fail(n.At, at, diag.WrongType, plainNumber(s), "%s must be a whole number, found %s", name(at), diag.Quote(diag.Shorten(s)))
		return
	}
	if digits := strings.TrimLeft(s, "+-"); len(digits) > 1 && digits[0] == '0' {
		d.fail(n.At, at, diag.ImplicitNumber, "write "+strconv.FormatInt(i, 10), "%s with a leading zero is octal to some YAML parsers", s)
		return
	}
	lowest, highest := bound(f.min, math.MinInt64), bound(f.max, math.MaxInt64)
	if i < lowest || i > highest {
		d.outOfRange(n, at, f, s)
		return
	}
	v.SetInt(i)
}

// plainNumber is a hint for numbers in another notation, such as 0x10 and 1_000.
func plainNumber(s string) string {
	if i, err := strconv.ParseInt(s, 0, 64); err == nil {
		return "write " + strconv.FormatInt(i, 10)
	}
	return ""
}

func bound(text string, fallback int64) int64 {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return fallback
}

func (d *decoder) outOfRange(n *syntax.Node, at *step, f *fieldPlan, found string) {
	limits := "at least " + f.min
	switch {
	case f.min == "":
		limits = "at most " + f.max
	case f.max != "":
		limits = f.min + " to " + f.max
	}
	d.fail(n.At, at, diag.OutOfRange, "", "%s must be %s, found %s", name(at), limits, found)
}

func (d *decoder) boolean(n *syntax.Node, v reflect.Value, at *step) {
	s, ok := d.scalar(n, at)
	if !ok {
		return
	}
	if n.Scalar == syntax.BoolScalar && (s == "true" || s == "false") {
		v.SetBool(s == "true")
		return
	}
	hint := ""
	switch strings.ToLower(s) {
	case "yes", "on", "true", "1":
		hint = "write true, without quotes"
	case "no", "off", "false", "0":
		hint = "write false, without quotes"
	}
	d.fail(n.At, at, diag.WrongType, hint, "%s must be true or false, found %s", name(at), diag.Quote(diag.Shorten(s)))
}

// didYouMean is a hint that names the candidate nearest to a word, or nothing.
func didYouMean(word string, candidates []string) string {
	best, distance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if n := len(c) - len(word); n >= distance || -n >= distance {
			continue
		}
		if n := editDistance(word, c); n < distance {
			best, distance = c, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", best)
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that lead from a to b.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return math.MaxInt
	}
	var before, prev, row [66]int
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(b)]
}
