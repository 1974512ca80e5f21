package manifests_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// A case in testdata/edits is a manifest as it was installed, the same as a person edited it, and
// the overlay that says the difference. With "says" instead, the findings, one a line. Between them
// are the overlays of earlier edits.
func TestEdits(t *testing.T) {
	eachCase(t, "testdata/edits/*.txtar", func(t *testing.T, files []txtar.File) {
		t.Helper()
		last := len(files) - 1
		edited, want := manifests.Input{Manifest: source(files[1])}, files[last]
		for _, f := range files[2:last] {
			edited.Overlays = append(edited.Overlays, source(f))
		}
		overlay, diags := manifests.Edits(source(files[0]), edited)
		got := string(overlay)
		if want.Name == "says" {
			got += list(diags)
		} else if len(diags) > 0 {
			t.Fatal(diags)
		}
		if d := cmp.Diff(string(want.Data), got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// A case in testdata/hidden is an overlay, two versions of a manifest, and the keys of the overlay
// that hide changes between them, or the findings.
func TestHidden(t *testing.T) {
	eachCase(t, "testdata/hidden/*.txtar", func(t *testing.T, files []txtar.File) {
		t.Helper()
		keys, diags := manifests.Hidden(source(files[0]), source(files[1]), source(files[2]))
		var got strings.Builder
		got.WriteString(list(diags))
		for _, k := range keys {
			fmt.Fprintf(&got, "%s:%d:%d: %s\n", k.At.File, k.At.Line, k.At.Column, k.Path)
		}
		if d := cmp.Diff(string(files[3].Data), got.String()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

func eachCase(t *testing.T, pattern string, test func(*testing.T, []txtar.File)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			test(t, a.Files)
		})
	}
}

func list(diags diag.List) string {
	var b strings.Builder
	for _, d := range diags {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}

// TestEditsThatAreTooLarge: an overlay that archgen would refuse to read is not written.
func TestEditsThatAreTooLarge(t *testing.T) {
	of := func(letter string) manifests.Source {
		var b strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&b, "%s%d: x\n", letter, i)
		}
		return manifests.Source{Name: letter + ".yaml", Data: []byte(b.String())}
	}
	overlay, diags := manifests.Edits(of("a"), manifests.Input{Manifest: of("b")})
	const want = "b.yaml: error: its differences from a.yaml can't be written as an overlay: the file has more than 5000 values [too-large]\n"
	if got := list(diags); len(overlay) > 0 || got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzEdits: a manifest with the overlay of its edits is the edited manifest, as Parse reads both, if
// both are valid.
func FuzzEdits(f *testing.F) {
	for _, text := range seeds(f, ".yaml") {
		f.Add([]byte("app: {id: x, name: x, version: 1.0.0, container: {image: x, ports: [80], env: {A: b}}}\n"), text, true, true)
	}
	for _, text := range seeds(f, ".toml") {
		f.Add([]byte("[app]\nid = \"x\"\ncontainer.image = \"x\"\n"), text, false, false)
	}
	f.Fuzz(func(t *testing.T, base, edited []byte, isBaseYAML, isEditedYAML bool) {
		from, to := encoded("installed/x", base, isBaseYAML), encoded("x", edited, isEditedYAML)
		overlay, diags := manifests.Edits(from, manifests.Input{Manifest: to})
		demandShowable(t, diags, from, to)
		if strings.Contains(list(diags), "something else") {
			t.Error(diags)
		}
		_, invalid := manifests.Parse(manifests.Input{Manifest: from})
		want, diags := manifests.Parse(manifests.Input{Manifest: to})
		if want == nil || diags.HasErrors() || invalid.HasErrors() || len(overlay) == 0 {
			return
		}
		got, diags := manifests.Parse(manifests.Input{Manifest: from, Overlays: []manifests.Source{{Name: "overlay.yaml", Data: overlay}}})
		if diags.HasErrors() {
			t.Fatalf("%v\n%s", diags, overlay)
		}
		if len(want.Document.App.Containers) == 0 && len(got.Document.App.Containers) > 0 {
			return // the same part in another spelling
		}
		if d := cmp.Diff(want.Document, got.Document); d != "" {
			t.Errorf("-edited +with the overlay:\n%s\n%s", d, overlay)
		}
	})
}

func encoded(stem string, text []byte, isYAML bool) manifests.Source {
	if isYAML {
		return manifests.Source{Name: stem + ".yaml", Data: text}
	}
	return manifests.Source{Name: stem + ".toml", Data: text}
}
