package generator_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units/probe"
)

// TestProbesOfTheSchema: each question of the schema has a kind that asks it, which takes
// all keys of the question, and the other way round.
func TestProbesOfTheSchema(t *testing.T) {
	t.Parallel()
	var kinds []string
	for f := range reflect.TypeFor[manifests.Probe]().Fields() {
		if f.Type.Kind() != reflect.Pointer {
			continue
		}
		kind, members := f.Tag.Get("key"), map[string]any{}
		kinds = append(kinds, kind)
		for option := range f.Type.Elem().Fields() {
			if key := option.Tag.Get("key"); key != "port" {
				members[key] = sample(option.Type)
			}
		}
		target, err := probe.New(kind, members)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		target.Address, target.Interval, target.Timeout, target.Retries = "127.0.0.1:80", 30*time.Second, 1500*time.Millisecond, 3
		parsed, err := probe.Parse([]byte(target.Text()))
		if d := cmp.Diff(target, parsed); err != nil || d != "" {
			t.Errorf("%s: %v, -written +read:\n%s", kind, err, d)
		}
		if target.Shows(strings.ToUpper) == "" {
			t.Errorf("%s: nothing says what it shows", kind)
		}
	}
	slices.Sort(kinds)
	if d := cmp.Diff(kinds, slices.Sorted(slices.Values(probe.Kinds()))); d != "" {
		t.Errorf("-schema +probes:\n%s", d)
	}
}

// sample is a value that any key of the type accepts.
func sample(t reflect.Type) any {
	switch t.Kind() {
	case reflect.Slice:
		return []int{200}
	case reflect.Map:
		return map[string]string{"chain": "main"}
	default:
		return "/x"
	}
}
