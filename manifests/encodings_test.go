package manifests_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/manifests"
)

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// decode is the document of a text that has no errors.
func decode(t fataler, name, text string) manifests.Document {
	t.Helper()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: name, Data: []byte(text)}})
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, text)
	}
	return m.Document
}

// testdata/encodings holds manifests written in both encodings.
func TestBothEncodingsMeanTheSame(t *testing.T) {
	files, err := filepath.Glob("testdata/encodings/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) != 2 {
				t.Fatalf("a case is a YAML and a TOML file: %v", err)
			}
			first := decode(t, a.Files[0].Name, string(a.Files[0].Data))
			second := decode(t, a.Files[1].Name, string(a.Files[1].Data))
			if d := cmp.Diff(first, second); d != "" {
				t.Errorf("-%s +%s:\n%s", a.Files[0].Name, a.Files[1].Name, d)
			}
		})
	}
}

// The same for whatever a program writes: every text arrives, in both.
func TestBothEncodingsMeanTheSameForAnyText(t *testing.T) {
	text := rapid.StringMatching(`[ -~äöß日本😀\t\n]{0,12}`)
	name := rapid.StringMatching(`[A-Z][A-Z0-9_.]{0,5}`)
	rapid.Check(t, func(t *rapid.T) {
		env := rapid.MapOf(name, text).Draw(t, "env")
		labels := rapid.MapOf(rapid.StringMatching(`[a-z][a-z0-9./-]{0,5}`), text).Draw(t, "labels")
		words := rapid.SliceOf(text).Draw(t, "command")
		host := rapid.IntRange(1, 65535).Draw(t, "host")
		readOnly := rapid.Bool().Draw(t, "read_only")
		tree := map[string]any{"app": map[string]any{
			"id": "x", "name": "x", "version": "1.10",
			"container": map[string]any{
				"image": "x", "env": env, "labels": labels, "command": words, "read_only": readOnly,
				"ports": []any{map[string]any{"host": host, "container": 80}, "8080:80/udp"},
			},
		}}
		asYAML, err := json.Marshal(tree) // JSON is YAML
		if err != nil {
			t.Fatal(err)
		}
		var asTOML bytes.Buffer
		if err := toml.NewEncoder(&asTOML).Encode(tree); err != nil {
			t.Fatal(err)
		}
		got := decode(t, "x.yaml", string(asYAML))
		if d := cmp.Diff(got, decode(t, "x.toml", asTOML.String())); d != "" {
			t.Fatalf("-YAML +TOML:\n%s\n%s\n%s", d, asYAML, asTOML.String())
		}
		c := got.App.Container
		if !slices.Equal(c.Command, words) || len(c.Env) != len(env) || len(c.Labels) != len(labels) || c.Ports[0].Host != host || c.ReadOnly != readOnly {
			t.Fatalf("%v became %+v", tree, c)
		}
		for _, v := range c.Env {
			if env[v.Name] != v.Value {
				t.Fatalf("%s=%q became %q", v.Name, env[v.Name], v.Value)
			}
		}
	})
}

// A value is text as it was written: no encoding makes a number, a date or a
// truth of it that is printed in another way.
func TestScalarsKeepTheirText(t *testing.T) {
	for _, s := range []string{
		"1.10", "0777", "0o17", "0x1F", "1e3", "1_000", "+1", "-0", ".5", "1.0", "12345678901234567890123",
		"2024-01-01", "2024-01-01T00:00:00Z", "1979-05-27 07:32:00",
		"yes", "No", "on", "True", "false", "y", ".inf", ".NaN", "<<", "=", "a: b", "a #b", "é",
	} {
		for file, text := range map[string]string{
			"quoted.yaml": "app:\n  container: {env: {A: " + strconv.Quote(s) + "}}\n",
			"listed.yaml": "app:\n  container: {env: [" + strconv.Quote("A="+s) + "]}\n",
			"x.toml":      "app.container.env.A = " + strconv.Quote(s) + "\n",
		} {
			if got := variable(t, file, text); got != s {
				t.Errorf("%s: %q became %q", file, s, got)
			}
		}
	}
}

func TestScalarsWithoutQuotesKeepTheirText(t *testing.T) {
	for file, values := range map[string][]string{
		"x.yaml": {"1.10", "0777", "0o17", "0x1F", "1e3", "1_000", "+1", "-0", ".5", "2024-01-01", "2024-01-01T00:00:00Z", "yes", "True", "false", ".inf", "1.2.3"},
		"x.toml": {"1.10", "0o17", "0x1F", "1e3", "1_000", "+1", "-0", "0.50", "2024-01-01", "07:32:00", "2024-01-01T00:00:00Z", "2024-01-01 00:00:00.50", "true", "inf"},
	} {
		for _, s := range values {
			text := "app:\n  container:\n    env:\n      A: " + s + " # comment\n"
			if filepath.Ext(file) == ".toml" {
				text = "app.container.env.A = " + s + " # comment\n"
			}
			if got := variable(t, file, text); got != s {
				t.Errorf("%s: %s became %q", file, s, got)
			}
		}
	}
}

// variable is the value of the variable A.
func variable(t *testing.T, file, text string) string {
	t.Helper()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: file, Data: []byte(text)}})
	if m == nil || m.Document.App.Container == nil || len(m.Document.App.Container.Env) != 1 {
		t.Fatalf("%s: %v", text, diags)
	}
	return m.Document.App.Container.Env[0].Value
}
