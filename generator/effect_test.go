package generator_test

import (
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests"
)

// readElsewhere is the keys and words that change no unit, and who reads them.
var readElsewhere = map[string]string{
	"App.description":          "archgen catalog",
	"App.icon":                 "archgen catalog --json",
	"App.links":                "archgen catalog show",
	"App.notices":              "archgen install, catalog show",
	"App.revision":             "archgen updates, update",
	"Backup.exclude":           "archgen catalog show",
	"Backup.include":           "archgen catalog show",
	"Data.backup":              "archgen catalog show",
	"Data.retain":              "archgen remove",
	"Document.schema":          "every program that reads a manifest",
	"Generate.alphabet":        "archgen pull",
	"Generate.alphabet=alnum":  "archgen pull",
	"Generate.alphabet=base64": "archgen pull",
	"Generate.alphabet=hex":    "archgen pull",
	"Generate.length":          "archgen pull",
	"Hold.until":               "archgen updates, update --all",
	"Hold.why":                 "archgen updates",
	"Secret.derive":            "archgen pull",
	"Secret.description":       "archgen secret list",
	"Secret.generate":          "archgen pull",
	"Secret.show":              "archgen install",
	"SecretMount.waiver":       "archgen check --strict",
	"Update.hold":              "archgen updates, update --all",
	"Update.policy=auto":       "archgen updates",
	"Update.policy=hold":       "archgen updates, update --all",
	"Update.policy=security":   "archgen updates",
	"Update.restore":           "archgen updates, update",
	"Update.restore=auto":      "archgen updates, update",
	"Update.restore=never":     "archgen updates, update",
	"Update.trial":             "archgen update",
	"Update.wait":              "archgen updates, update --all",
}

// TestEveryKeyHasAnEffect removes each key from the cases that have it. The rendered files
// have to differ then, or another command has to read the key. A key that is accepted and
// has no effect is a promise that archgen does not keep.
func TestEveryKeyHasAnEffect(t *testing.T) {
	effects := map[string]bool{}
	for file, a := range cases(t, "testdata/keys/*.txtar") {
		for i, f := range a.Files {
			if !isManifest(f.Name) || path.Ext(f.Name) == ".toml" || f.Name == settingsName {
				continue
			}
			e := effect{t: t, effects: effects, archive: a, file: i, before: rendered(t, a)}
			e.document = decode(t, file, f)
			e.try(reflect.TypeFor[manifests.Document](), e.document)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(effects)) {
		_, isElsewhere := readElsewhere[name]
		if effects[name] == isElsewhere {
			t.Errorf("%s changes what is rendered: %v; read elsewhere: %v", name, effects[name], isElsewhere)
		}
	}
}

// effect takes keys out of one manifest of a case.
type effect struct {
	t        *testing.T
	effects  map[string]bool
	archive  *txtar.Archive
	file     int
	before   string
	document map[string]any
}

// try takes out each key below a value.
func (e *effect) try(in reflect.Type, value any) {
	for in.Kind() == reflect.Pointer {
		in = in.Elem()
	}
	switch v := value.(type) {
	case []any:
		if in.Kind() == reflect.Slice {
			for _, item := range v {
				e.try(in.Elem(), item)
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if in.Kind() == reflect.Map {
				e.try(in.Elem(), v[key])
			} else if f, known := keyed(in, key); known {
				e.without(in, f, v, key)
				e.try(f.Type, v[key])
			}
		}
	}
}

// keyed is the field of a key.
func keyed(in reflect.Type, key string) (reflect.StructField, bool) {
	if in.Kind() != reflect.Struct {
		return reflect.StructField{}, false
	}
	for _, f := range reflect.VisibleFields(in) {
		if f.Tag.Get("key") == strings.TrimSuffix(key, "+") {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// without renders the case without a key, unless that is known to have an effect.
func (e *effect) without(in reflect.Type, f reflect.StructField, v map[string]any, key string) {
	if f.Tag.Get("need") != "" {
		return
	}
	names := []string{in.Name() + "." + f.Tag.Get("key")}
	value := v[key]
	if word, isWord := value.(string); isWord && f.Tag.Get("enum") != "" {
		if fallback, _, _ := strings.Cut(f.Tag.Get("default"), ";"); word != fallback {
			names = append(names, names[0]+"="+word)
		}
	}
	if !slices.ContainsFunc(names, func(n string) bool { return !e.effects[n] }) {
		return
	}
	delete(v, key)
	text, err := yaml.Marshal(e.document)
	v[key] = value
	if err != nil {
		e.t.Fatal(err)
	}
	a := *e.archive
	a.Files = slices.Clone(a.Files)
	a.Files[e.file].Data = text
	differs := rendered(e.t, &a) != e.before
	for _, n := range names {
		e.effects[n] = e.effects[n] || differs
	}
}

// rendered is all that comes of a case: units and what is said of the manifest, but for
// where in it.
func rendered(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	var b strings.Builder
	for _, f := range runCase(t, a, false) {
		if f.Name != "diagnostics" {
			b.WriteString(f.Name + "\n" + string(f.Data))
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			_, said, _ := strings.Cut(line, ": ")
			b.WriteString(said)
		}
	}
	return b.String()
}
