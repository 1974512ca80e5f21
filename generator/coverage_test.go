package generator_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests"
)

// TestEveryKeyHasACase demands that each key of the schema, and each word that
// a key takes, is in the input of a case in testdata/keys. It fails for a new
// key without one.
func TestEveryKeyHasACase(t *testing.T) {
	used := usage{}
	for file, a := range cases(t, "testdata/keys/*.txtar") {
		for _, f := range inputs(a) {
			switch {
			case f.Name == settingsName:
				used.add(reflect.TypeFor[manifests.Settings](), decode(t, file, f))
			case isManifest(f.Name):
				used.add(reflect.TypeFor[manifests.Document](), decode(t, file, f))
			}
		}
	}
	for _, root := range []reflect.Type{reflect.TypeFor[manifests.Document](), reflect.TypeFor[manifests.Settings]()} {
		for _, k := range schemaKeys(root) {
			if !used[k.in.Name()+"."+k.name] {
				t.Errorf("no case in testdata/keys has the key %s", k.path)
			}
			for _, word := range k.words {
				if !used[k.in.Name()+"."+k.name+"="+word] {
					t.Errorf("no case in testdata/keys has %s: %s", k.path, word)
				}
			}
		}
	}
}

// schemaKey is one field of the schema's structs.
type schemaKey struct {
	in         reflect.Type
	name, path string
	words      []string
}

// schemaKeys lists every key below a struct, each with the first path that
// leads to it: the keys of a probe are the same at every level of health.
func schemaKeys(root reflect.Type) []schemaKey {
	var keys []schemaKey
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type, string)
	visit = func(s reflect.Type, at string) {
		if seen[s] {
			return
		}
		seen[s] = true
		for f := range s.Fields() {
			k := schemaKey{in: s, name: f.Tag.Get("key")}
			k.path = strings.TrimPrefix(at+"."+k.name, ".")
			if enum := f.Tag.Get("enum"); enum != "" {
				k.words = strings.Split(enum, "|")
			}
			keys = append(keys, k)
			if element, ok := structOf(f.Type); ok {
				visit(element, k.path)
			}
		}
	}
	visit(root, "")
	return keys
}

// structOf is the schema's struct inside of pointers, lists and maps.
func structOf(t reflect.Type) (reflect.Type, bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("key") != ""
}

// usage is the keys that were met, as "Struct.key" and "Struct.key=word".
type usage map[string]bool

// add notes the keys of a decoded value, with the schema's type beside it.
func (u usage) add(t reflect.Type, value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			u.add(t.Elem(), item)
		}
	case map[string]any:
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		for key, item := range v {
			if t.Kind() == reflect.Map {
				u.add(t.Elem(), item)
			} else if t.Kind() == reflect.Struct {
				u.field(t, strings.TrimSuffix(key, "+"), item)
			}
		}
	}
}

func (u usage) field(t reflect.Type, key string, value any) {
	for f := range t.Fields() {
		if f.Tag.Get("key") != key || value == nil {
			continue
		}
		u[t.Name()+"."+key] = true
		words, isList := value.([]any)
		if !isList {
			words = []any{value}
		}
		for _, v := range words {
			if word, ok := v.(string); ok {
				u[t.Name()+"."+key+"="+word] = true
			}
		}
		u.add(f.Type, value)
	}
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".toml"}, path.Ext(name))
}

func decode(t *testing.T, file string, f txtar.File) map[string]any {
	t.Helper()
	var v map[string]any
	err := yaml.Unmarshal(f.Data, &v)
	if path.Ext(f.Name) == ".toml" {
		v = nil
		err = toml.Unmarshal(f.Data, &v)
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", file, f.Name, err)
	}
	return v
}

// cases reads the archives that match a pattern.
func cases(tb testing.TB, pattern string) map[string]*txtar.Archive {
	tb.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		tb.Fatalf("no file matches %s: %v", pattern, err)
	}
	all := map[string]*txtar.Archive{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		all[file] = a
	}
	return all
}

// TestCasesAreUsed finds what TestGolden would skip silently: an archive in the wrong
// directory, one without a manifest, a file in it that no test reads.
func TestCasesAreUsed(t *testing.T) {
	all := cases(t, "testdata/*/*.txtar")
	err := filepath.WalkDir("testdata", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(file, "testdata/fuzz/") {
			return err
		}
		if all[file] == nil {
			t.Errorf("%s is no case: those are testdata/GROUP/NAME.txtar", file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for file, a := range all {
		manifest := false
		for _, f := range inputs(a) {
			switch inOverlay := strings.Contains(f.Name, ".d/"); {
			case f.Name == settingsName || f.Name == "targets" || f.Name == "strict" || isTemplate(f.Name):
			case !isManifest(f.Name):
				t.Errorf("%s: no test reads %s", file, f.Name)
			default:
				manifest = manifest || !inOverlay
			}
		}
		if !manifest {
			t.Errorf("%s holds no manifest", file)
		}
	}
}

func isTemplate(name string) bool {
	return strings.Contains(name, ".files/") || strings.Contains(name, ".d/files/")
}

// TestKeyCasesAreNamed keeps testdata/keys an index: a case is called after the
// key that it is about, with what is special about it behind a dash.
func TestKeyCasesAreNamed(t *testing.T) {
	known := map[string]bool{}
	for _, k := range append(schemaKeys(reflect.TypeFor[manifests.Document]()), schemaKeys(reflect.TypeFor[manifests.Settings]())...) {
		known[k.name] = true
	}
	for file := range cases(t, "testdata/keys/*.txtar") {
		if key, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".txtar"), "-"); !known[key] {
			t.Errorf("%s: the schema has no key %s", file, key)
		}
	}
}

// TestAppsAreTheShippedOnes keeps copies from growing old: where a manifest of
// testdata/apps is one of the catalog's or of the test machine's, it is that.
func TestAppsAreTheShippedOnes(t *testing.T) {
	compared := 0
	for file, a := range cases(t, "testdata/apps/*.txtar") {
		for _, f := range inputs(a) {
			for _, dir := range []string{"../manifests/catalog", "../test/e2e/testdata/node"} {
				shipped, err := os.ReadFile(filepath.Join(dir, f.Name))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				compared++
				if !bytes.Equal(shipped, f.Data) {
					t.Errorf("%s: %s differs from %s/%[2]s: copy that", file, f.Name, dir)
				}
			}
		}
	}
	if compared == 0 {
		t.Error("testdata/apps holds no shipped manifest")
	}
}
