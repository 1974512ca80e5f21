package manifests

import (
	"cmp"
	"reflect"
	"slices"
)

// Question is what a probe asks from the host's side.
type Question struct {
	// Kind is the key in the probe, such as http.
	Kind string
	// Port is the name of the port that is asked.
	Port string
	// Options is the other keys that have a value; nil if the probe is of another kind.
	Options map[string]any
}

// Question is nil for a probe that runs a command in the container, and for no probe.
func (p *Probe) Question() *Question {
	if p == nil || len(p.Exec) > 0 {
		return nil
	}
	all := p.questions()
	i := slices.IndexFunc(all, func(q Question) bool { return q.Options != nil })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// questions is every kind of question of the schema, by name, with what the probe asks of it.
func (p *Probe) questions() (all []Question) {
	v := reflect.ValueOf(p).Elem()
	for i, f := range planOf(v.Type()).fields {
		if kind := v.Field(i); kind.Kind() == reflect.Pointer {
			q := Question{Kind: f.key}
			if !kind.IsNil() {
				q.Port, q.Options = options(kind.Elem())
			}
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b Question) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

// options is the keys of a question that have a value.
func options(v reflect.Value) (port string, others map[string]any) {
	others = map[string]any{}
	for i, f := range planOf(v.Type()).fields {
		switch value := v.Field(i); {
		case f.key == "port":
			port = value.String()
		case !value.IsZero():
			others[f.key] = value.Interface()
		}
	}
	return port, others
}
