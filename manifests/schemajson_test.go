package manifests_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
)

func editorSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(manifests.JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("manifest.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is a YAML text as an editor hands it to the schema.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return plain(v)
}

// plain turns what YAML can hold beyond JSON, such as dates, into text.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			v[k] = plain(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = plain(inner)
		}
	case nil, string, bool, int, float64:
	default:
		return fmt.Sprint(v)
	}
	return v
}

// An editor finds no fault with a manifest that archgen takes.
func TestEditorsAcceptTheCatalog(t *testing.T) {
	files, err := catalog.Files()
	if err != nil || len(files) == 0 {
		t.Fatalf("no catalog: %v", err)
	}
	schema := editorSchema(t)
	for _, f := range files {
		if err := schema.Validate(asJSON(t, f.Data)); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func TestEditorsAcceptEveryValidCase(t *testing.T) {
	cases, err := filepath.Glob("../generator/testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	schema, checked := editorSchema(t), 0
	for _, file := range cases {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if strings.Contains(f.Name, "/") || filepath.Ext(f.Name) != ".yaml" {
				continue
			}
			_, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: f.Name, Data: f.Data}})
			if diags.HasErrors() {
				continue
			}
			checked++
			if err := schema.Validate(asJSON(t, f.Data)); err != nil {
				t.Errorf("%s, %s: %v", file, f.Name, err)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d manifests were checked", checked)
	}
}

func TestEditorsShowMistakes(t *testing.T) {
	schema := editorSchema(t)
	for mistake, text := range map[string]string{
		"unknown key":           "app: {id: x, name: x, version: 1.0.0, colour: red}",
		"unknown key in a part": "app: {id: x, name: x, version: 1.0.0, container: {image: x, readonly: true}}",
		"unknown top-level key": "app: {id: x, name: x, version: 1.0.0}\napps: {}",
		"missing key":           "app: {id: x, name: x}",
		"wrong kind":            "app: {id: x, name: x, version: 1.0.0, container: [a]}",
		"unknown word":          "app: {id: x, name: x, version: 1.0.0, container: {image: x, pull: sometimes}}",
		"out of range":          "app: {id: x, name: x, version: 1.0.0, container: {image: x, ports: [{container: 70000}]}}",
	} {
		if schema.Validate(asJSON(t, []byte(text))) == nil {
			t.Errorf("%s: the schema accepts it", mistake)
		}
	}
}
