package manifests_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/strict"
)

// Whatever a file holds: no panic, and every finding can be shown.

func FuzzYAML(f *testing.F) { fuzz(f, "x.yaml") }

func FuzzTOML(f *testing.F) { fuzz(f, "x.toml") }

func fuzz(f *testing.F, name string) {
	f.Helper()
	for _, text := range seeds(f, filepath.Ext(name)) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		src := manifests.Source{Name: name, Data: text}
		first, diags := judge(manifests.Input{Manifest: src})
		demandShowable(t, diags, src)
		again, repeated := judge(manifests.Input{Manifest: src})
		if d := cmp.Diff(diags, repeated); d != "" {
			t.Errorf("the second reading finds something else:\n%s", d)
		}
		if first == nil || diags.HasErrors() {
			return
		}
		if d := cmp.Diff(first.Document, again.Document); d != "" {
			t.Errorf("the second reading gives something else:\n%s", d)
		}
	})
}

func FuzzOverlay(f *testing.F) {
	base := manifests.Source{Name: "x.yaml", Data: []byte("app: {id: x, name: x, version: 1.0.0, container: {image: x, ports: [80], env: {A: b}}}\n")}
	for _, text := range seeds(f, ".yaml") {
		f.Add(text, true)
	}
	for _, text := range seeds(f, ".toml") {
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text []byte, isYAML bool) {
		over := manifests.Source{Name: "over.toml", Data: text}
		if isYAML {
			over.Name = "over.yaml"
		}
		_, diags := judge(manifests.Input{Manifest: base, Overlays: []manifests.Source{over}})
		demandShowable(t, diags, base, over)
	})
}

// seeds is the catalog's manifests and those of all cases.
func seeds(f *testing.F, ext string) [][]byte {
	f.Helper()
	var list [][]byte
	files, err := catalog.Files()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range files {
		if filepath.Ext(c.Name) == ext {
			list = append(list, c.Data)
		}
	}
	for _, pattern := range []string{"testdata/*/*.txtar", "../generator/testdata/*/*.txtar"} {
		cases, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range cases {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, c := range txtar.Parse(text).Files {
				if filepath.Ext(c.Name) == ext {
					list = append(list, c.Data)
				}
			}
		}
	}
	return list
}

// judge is everything that is said about a manifest on its own.
func judge(in manifests.Input) (*manifests.Manifest, diag.List) {
	m, diags := manifests.Parse(in)
	if m == nil {
		return nil, diags
	}
	diags = append(diags, manifests.Validate(m)...)
	set, problems := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	diags = append(diags, problems...)
	for _, app := range set.Apps {
		if found := strict.Check(app); !diags.HasErrors() { // of any manifest, but only good ones are judged
			diags = append(diags, found...)
		}
	}
	diags.Sort()
	return m, diags
}

// demandShowable demands that each finding has a code of the reference, a
// message, and a place that its file has.
func demandShowable(t *testing.T, diags diag.List, sources ...manifests.Source) {
	t.Helper()
	known := map[diag.Code]bool{}
	for _, e := range diag.Codes {
		known[e.Code] = true
	}
	for _, d := range diags {
		if d.Message == "" || !known[d.Code] {
			t.Errorf("%+v has no message or an unknown code", d)
		}
		for _, src := range sources {
			if src.Name == d.File && !has(src.Data, d.Line, d.Column) {
				t.Errorf("%s:%d:%d is not in the file: %s", d.File, d.Line, d.Column, d.Message)
			}
		}
	}
}

// has reports whether a text has the place, or the end of its line. A finding
// about the whole file has none.
func has(text []byte, line, column int) bool {
	if line == 0 && column == 0 {
		return true
	}
	lines := bytes.Split(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\n"))
	return line >= 1 && line <= len(lines) && column >= 1 && column <= len(lines[line-1])+1
}
