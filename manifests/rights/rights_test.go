package rights

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests"
)

var update = flag.Bool("update", false, "rewrite the expected rights of testdata")

// A case is a txtar archive: x.yaml, overlays in x.d/, other apps of the set, and
// what x asks for in `rights`, a line each.
func TestCases(t *testing.T) {
	for file, a := range cases(t) {
		want := txtar.Format(a)
		a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "rights" })
		a.Files = append(a.Files, txtar.File{Name: "rights", Data: []byte(listed(Of(resolved(t, a))))})
		got := txtar.Format(a)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if d := gocmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s: -want +got (make golden rewrites it):\n%s", file, d)
		}
	}
}

func cases(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	list := map[string]*txtar.Archive{}
	for _, file := range files {
		if list[file], err = txtar.ParseFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// resolved is the app x of a case, in a set with the others.
func resolved(t *testing.T, a *txtar.Archive) *manifests.Resolved {
	t.Helper()
	var all []*manifests.Manifest
	for _, f := range a.Files {
		id, isManifest := strings.CutSuffix(f.Name, ".yaml")
		if !isManifest || strings.Contains(id, "/") {
			continue
		}
		in := manifests.Input{Manifest: manifests.Source{Name: f.Name, Data: f.Data}, Dir: "/home/archy/.config/archipelago/apps"}
		for _, o := range a.Files {
			if strings.HasPrefix(o.Name, id+".d/") {
				in.Overlays = append(in.Overlays, manifests.Source{Name: o.Name, Data: o.Data})
			}
		}
		m, diags := manifests.Parse(in)
		if m == nil || diags.HasErrors() {
			t.Fatalf("%s: %v", a.Comment, diags)
		}
		if diags := manifests.Validate(m); diags.HasErrors() {
			t.Fatalf("%s: %v", a.Comment, diags)
		}
		all = append(all, m)
	}
	set, diags := manifests.Resolve(all, manifests.DefaultSettings())
	if diags.HasErrors() {
		t.Fatalf("%s: %v", a.Comment, diags)
	}
	return set.App("x")
}

func listed(list []Right) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s:%d:%d: %s %s: the app can %s\n", r.File, r.Line, r.Column, r.Severity, r.ID, r.Allows)
	}
	return cmp.Or(b.String(), "none\n")
}

// keys is every key of the schema that holds no keys itself, as TYPE.KEY.
func keys(in reflect.Type, known map[string]bool) {
	for _, f := range reflect.VisibleFields(in) {
		key := f.Tag.Get("key")
		if key == "" {
			continue
		}
		inner := f.Type
		for slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, inner.Kind()) {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && hasKeys(inner) {
			keys(inner, known)
			continue
		}
		known[in.Name()+"."+key] = true
	}
}

func hasKeys(in reflect.Type) bool {
	return slices.ContainsFunc(reflect.VisibleFields(in), func(f reflect.StructField) bool { return f.Tag.Get("key") != "" })
}

// TestEveryKeyIsClassified: a new key of the schema is harmless, or asks for a
// right, and its author says which in keys.go.
func TestEveryKeyIsClassified(t *testing.T) {
	schema, classified := map[string]bool{}, map[string]int{}
	keys(reflect.TypeFor[manifests.Document](), schema)
	for key := range asks {
		classified[key]++
	}
	for _, list := range harmless {
		for key := range strings.FieldsSeq(list) {
			classified[key]++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(schema)) {
		if classified[key] != 1 {
			t.Errorf("%s is classified %d times in keys.go, not once", key, classified[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(classified)) {
		if !schema[key] {
			t.Errorf("keys.go has %s, and the schema does not", key)
		}
	}
}

// TestEveryRuleHasACase: the testdata has a manifest for each key that can ask
// for a right, and for each kind of right.
func TestEveryRuleHasACase(t *testing.T) {
	rules, kinds := maps.Clone(asks), map[Kind]bool{}
	t.Cleanup(func() { asks = rules })
	found := map[string]bool{}
	asks = map[string]rule{}
	for key, r := range rules {
		asks[key] = func(c *collector, at string, holder any) {
			before := len(c.found)
			r(c, at, holder)
			found[key] = found[key] || len(c.found) > before
		}
	}
	for _, a := range cases(t) {
		for _, r := range Of(resolved(t, a)) {
			kinds[r.Kind] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		if !found[key] {
			t.Errorf("no case has a right that %s asks for", key)
		}
	}
	for _, k := range Kinds {
		if !kinds[k.Kind] {
			t.Errorf("no case has the kind %s", k.Kind)
		}
		delete(kinds, k.Kind)
	}
	for k := range kinds {
		t.Errorf("the kind %s is not in Kinds", k)
	}
}
