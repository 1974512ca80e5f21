// Package rights owns the rights that a manifest asks for beyond its own containers, each with
// a severity, one sentence, and the position in the manifest that asks for it.
//
// It reads resolved manifests and says which rights need a grant. It refuses nothing, inspects
// no machine, and never prints.
package rights

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/manifests"
)

// Severity is how far a right reaches.
type Severity int

// The severities, least severe first.
const (
	// Low is part of the safe set: other apps notice it, and none has to trust it.
	Low Severity = iota
	// Medium reaches the network or an app that offers itself, or weakens a limit.
	Medium
	// High reads or changes what belongs to the host or to another app, or switches
	// off a part of the container's confinement.
	High
	// Critical can take over the account that runs the apps, or another app.
	Critical
)

// Severities is the names of the severities, least severe first.
var Severities = []string{Low: "low", Medium: "medium", High: "high", Critical: "critical"}

// String returns the lower-case name for text and JSON.
func (s Severity) String() string { return Severities[s] }

// MarshalJSON writes the severity by name.
func (s Severity) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// Right is one thing that an app can do beyond its own containers.
type Right struct {
	// ID is KIND, or KIND:SUBJECT. It does not depend on where the manifest asks for
	// it, so two parts that ask for the same have the same ID.
	ID       string   `json:"id"`
	Kind     Kind     `json:"kind"`
	Subject  string   `json:"subject,omitempty"`
	Severity Severity `json:"severity"`
	// Allows completes "the app can …".
	Allows string `json:"allows"`
	// Path is the manifest path, such as app.container.ports[0].bind.
	Path   string `json:"path"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// OfManifest: the manifest itself asks for it, no overlay of the operator's.
	OfManifest bool `json:"-"`
}

// BeyondSafe reports whether the right is not part of the safe set.
func (r Right) BeyondSafe() bool { return r.Severity > Low }

// Of lists the rights that an app asks for, the most severe first.
func Of(app *manifests.Resolved) []Right {
	c := &collector{app: app}
	c.walk("app", reflect.ValueOf(&app.Document.App))
	for i := range app.Parts {
		c.part = &app.Parts[i]
		c.walk(c.part.Path, reflect.ValueOf(c.part.Container))
	}
	slices.SortStableFunc(c.found, func(a, b Right) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.ID, b.ID))
	})
	return c.found
}

// collector gathers the rights of one app.
type collector struct {
	app *manifests.Resolved
	// part is the container that is walked, nil outside of one.
	part  *manifests.Part
	found []Right
	// written is the paths of the host that the app can write to; nil until it is needed.
	written map[string]bool
}

func (c *collector) add(kind Kind, subject string, severity Severity, at, allows string, args ...any) {
	r := Right{ID: string(kind), Kind: kind, Subject: subject, Severity: severity, Allows: fmt.Sprintf(allows, args...), Path: at}
	if subject != "" {
		r.ID += ":" + subject
	}
	r.File, r.Line, r.Column = c.app.Position(at)
	r.OfManifest = r.File == c.app.File
	c.found = append(c.found, r)
}

// walk applies the rules to every key that is given below a structure of the
// schema. Containers are left to Of: it walks them with their defaults filled in.
func (c *collector) walk(at string, structure reflect.Value) {
	v := structure.Elem()
	for _, f := range fieldsOf(v.Type()) {
		value := v.Field(f.index)
		if value.IsZero() {
			continue
		}
		if rule := asks[f.name]; rule != nil {
			rule(c, at+"."+f.key, structure.Interface())
		}
		if f.holds {
			c.below(at+"."+f.key, value)
		}
	}
}

// field is a key of a structure of the schema that can ask for a right, or that holds keys
// which can.
type field struct {
	index int
	// name is TYPE.KEY.
	key, name string
	holds     bool
}

var fields sync.Map // reflect.Type → []field

func fieldsOf(t reflect.Type) []field {
	if known, ok := fields.Load(t); ok {
		return known.([]field)
	}
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("key")
		holds := holdsStructure(f.Type)
		if key == "" || f.Type == typeOfContainer || f.Type == typeOfContainers || !holds && asks[t.Name()+"."+key] == nil {
			continue
		}
		list = append(list, field{i, key, t.Name() + "." + key, holds})
	}
	fields.Store(t, list)
	return list
}

// holdsStructure reports whether values of a type hold structures.
func holdsStructure(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return holdsStructure(t.Elem())
	default:
		return false
	}
}

var (
	typeOfContainer  = reflect.TypeFor[*manifests.Container]()
	typeOfContainers = reflect.TypeFor[map[string]*manifests.Container]()
)

// below walks the structures that a value holds.
func (c *collector) below(at string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		c.walk(at, v.Addr())
	case reflect.Pointer:
		if !v.IsNil() && v.Type().Elem().Kind() == reflect.Struct {
			c.walk(at, v)
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.below(fmt.Sprintf("%s[%d]", at, i), v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			if v.MapIndex(k).Kind() == reflect.Pointer {
				c.below(at+"."+k.String(), v.MapIndex(k))
			}
		}
	default: // a scalar holds none
	}
}
