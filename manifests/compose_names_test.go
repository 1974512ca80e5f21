package manifests

import (
	"reflect"
	"testing"
)

// TestElsewhere: every hint is given somewhere, for a key that is none there.
func TestElsewhere(t *testing.T) {
	types := schemaTypes(reflect.TypeFor[Document](), map[reflect.Type]bool{})
	for key, places := range elsewhere {
		for _, here := range places {
			given := false
			for typ := range types {
				given = given || !has(typ, key) && calledHere(key, typ) == "here that is "+here
			}
			if !given {
				t.Errorf("nowhere does %s lead to %s", key, here)
			}
		}
	}
}

// TestExplained: what is explained is no key, and has no name here.
func TestExplained(t *testing.T) {
	types := schemaTypes(reflect.TypeFor[Document](), map[reflect.Type]bool{})
	for key, hint := range explained {
		for typ := range types {
			if has(typ, key) || calledHere(key, typ) != hint {
				t.Errorf("%s is explained, and %s has it, or a name for it", key, typ)
			}
		}
	}
}

// schemaTypes adds the structures of the schema from one on.
func schemaTypes(typ reflect.Type, to map[reflect.Type]bool) map[reflect.Type]bool {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		schemaTypes(typ.Elem(), to)
	case reflect.Struct:
		if to[typ] {
			break
		}
		to[typ] = true
		for f := range typ.Fields() {
			if f.Tag.Get("key") != "" {
				schemaTypes(f.Type, to)
			}
		}
	default:
	}
	return to
}
