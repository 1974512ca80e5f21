package manifests_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
)

// every has each structure of the schema that a default is in, with its required keys only.
const every = `app:
  id: x
  name: X
  version: 1.0.0
  ui: {port: web}
  container:
    image: localhost/x:1
    ports: [{name: web, container: 80, host: 8080}]
    files: [{template: x.conf, target: /etc/x.conf}]
    secrets: [{name: pw}]
    build: {context: src}
    health:
      alive: {https: {port: web}}
      synced: {jsonrpc: {port: web, method: getinfo}}
    after: [{part: db}]
  secrets: [{name: pw, generate: {}}]
  provides: [{capability: web}]
  requires: [{capability: rpc}]
  hooks:
    pre_start:
      - ensure_dir: {volume: data, path: a}
      - wait_for: {capability: rpc}
    once: [{name: first, run: [x]}]
`

// names is what stands for the names in a default that depends on others.
var names = strings.NewReplacer("ID", "x", "VERSION", "1.0.0", "NAME", "pw")

// TestEveryDefault: a key that is left out has the value that its tag says and the
// reference prints.
func TestEveryDefault(t *testing.T) {
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(every)}})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if steps := m.Document.App.Hooks.PreStart; steps[1].WaitFor.Timeout != steps[1].Timeout {
		t.Errorf("a wait takes %v without a value; its step takes %v", steps[1].WaitFor.Timeout, steps[1].Timeout)
	}
	found := map[string]string{}
	collect(reflect.ValueOf(m.Document), found)
	collect(reflect.ValueOf(manifests.DefaultSettings()), found)
	reference := referenceRows(t)
	for key, tag := range defaults(map[string]string{}, reflect.TypeFor[manifests.Document](), reflect.TypeFor[manifests.Settings]()) {
		want, _, _ := strings.Cut(tag, ";")
		switch got, isThere := found[key]; {
		case !isThere:
			t.Errorf("the test leaves %s out: add its structure", key)
		case got != names.Replace(want):
			t.Errorf("%s is %s without a value; its default is %s", key, got, want)
		}
		if !strings.Contains(reference[key], "; default: "+tag+" |") {
			t.Errorf("docs/manifest.md has another default of %s: %s", key, reference[key])
		}
	}
}

// defaults is the defaults of all keys of structures and of those that they hold, by TYPE.KEY.
func defaults(all map[string]string, structures ...reflect.Type) map[string]string {
	for _, t := range structures {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			defaults(all, t.Elem())
		case reflect.Struct:
			for f := range t.Fields() {
				if text, isGiven := f.Tag.Lookup("default"); isGiven {
					all[t.Name()+"."+f.Tag.Get("key")] = text
				}
				defaults(all, f.Type)
			}
		default:
		}
	}
	return all
}

// collect notes the values of all keys that have a default, by TYPE.KEY.
func collect(v reflect.Value, found map[string]string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			collect(v.Elem(), found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			collect(v.Index(i), found)
		}
	case reflect.Map:
		for _, value := range v.Seq2() {
			collect(value, found)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if _, isGiven := f.Tag.Lookup("default"); isGiven {
				found[v.Type().Name()+"."+f.Tag.Get("key")] = fmt.Sprint(v.Field(i).Interface())
			}
			collect(v.Field(i), found)
		}
	default:
	}
}

// referenceRows is the row of each key in the reference, by TYPE.KEY.
func referenceRows(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../docs/manifest.md")
	if err != nil {
		t.Fatal(err)
	}
	structures := map[string]string{"The file": "Document", "Settings of the node (archipelago.toml)": "Settings"}
	rows, structure := map[string]string{}, ""
	for line := range strings.Lines(string(page)) {
		if title, isTitle := strings.CutPrefix(line, "### "); isTitle {
			structure = strings.TrimSpace(title)
			if name := structures[structure]; name != "" {
				structure = name
			}
		}
		if row, isRow := strings.CutPrefix(line, "| `"); isRow {
			key, _, _ := strings.Cut(row, "`")
			rows[structure+"."+key] = row
		}
	}
	return rows
}

// TestDependentDefaults: what another key decides about a key that is left out.
func TestDependentDefaults(t *testing.T) {
	for text, want := range map[string]struct {
		of  func(c *manifests.Container) any
		are any
	}{
		"kind: database":                             {func(c *manifests.Container) any { return c.Stop.Timeout.String() }, "2m"},
		"kind: chain":                                {func(c *manifests.Container) any { return c.Stop.Timeout.String() }, "30m"},
		"kind: service":                              {func(c *manifests.Container) any { return c.Stop.Timeout.String() }, "30s"},
		"oneshot: true":                              {func(c *manifests.Container) any { return c.Restart.Policy }, "no"},
		"restart: {delay: 10m}":                      {func(c *manifests.Container) any { return c.Restart.MaxDelay.String() }, "10m"},
		"restart: {delay: 10s}":                      {func(c *manifests.Container) any { return c.Restart.MaxDelay.String() }, "5m"},
		"secrets: [{name: pw, env: PW}]":             {func(c *manifests.Container) any { return c.Secrets[0].Target }, ""},
		"health: {alive: {exec: [x], interval: 2s}}": {func(c *manifests.Container) any { return c.Health.Alive.Timeout.String() }, "2s"},
		"health: {alive: {exec: [x], interval: 9s}}": {func(c *manifests.Container) any { return c.Health.Alive.Timeout.String() }, "5s"},
	} {
		if c, diags := container(t, text); len(diags) > 0 || want.of(c) != want.are {
			t.Errorf("%s: %v, not %v (%v)", text, want.of(c), want.are, diags)
		}
	}
}
