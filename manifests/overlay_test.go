package manifests_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests"
)

// A case in testdata/overlays is a manifest, the overlays in order, and the
// manifest "want" that means the same without overlays. With "says" instead,
// the findings, one a line.
func TestOverlays(t *testing.T) {
	files, err := filepath.Glob("testdata/overlays/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			last := len(a.Files) - 1
			in := manifests.Input{Manifest: source(a.Files[0])}
			for _, f := range a.Files[1:last] {
				in.Overlays = append(in.Overlays, source(f))
			}
			m, diags := manifests.Parse(in)
			want := a.Files[last]
			if want.Name == "says" {
				var says strings.Builder
				for _, d := range diags {
					fmt.Fprintln(&says, d)
				}
				if d := cmp.Diff(string(want.Data), says.String()); d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
				return
			}
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if d := cmp.Diff(decode(t, "x"+filepath.Ext(want.Name), string(want.Data)), m.Document); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func source(f txtar.File) manifests.Source { return manifests.Source{Name: f.Name, Data: f.Data} }

// A value that came from an overlay is shown there, one of the manifest here.
func TestOverlayValuesKeepTheirFile(t *testing.T) {
	m, diags := manifests.Parse(manifests.Input{
		Manifest: manifests.Source{Name: "x.yaml", Data: []byte("app:\n  id: x\n  name: x\n  version: 1.0.0\n  container:\n    image: x\n    user: \"1\"\n    ports: [80]\n")},
		Overlays: []manifests.Source{
			{Name: "a.yaml", Data: []byte("app:\n  container:\n    ports+: [81]\n    limits: {pids: 5}\n")},
			{Name: "b.toml", Data: []byte("[app.container]\nuser = \"2\"\nlimits.memory = \"1g\"\n")},
		},
	})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for path, want := range map[string]string{
		"app.id": "x.yaml:2:7", "app.container": "x.yaml:5:3", "app.container.image": "x.yaml:6:12",
		"app.container.user": "b.toml:2:8", "app.container.ports": "x.yaml:8:12",
		"app.container.ports[0]": "x.yaml:8:13", "app.container.ports[1]": "a.yaml:3:14",
		"app.container.limits.pids": "a.yaml:4:20", "app.container.limits.memory": "b.toml:3:17",
	} {
		file, line, column := m.Position(path)
		if got := fmt.Sprintf("%s:%d:%d", file, line, column); got != want {
			t.Errorf("%s is shown at %s, want %s", path, got, want)
		}
	}
}

// Everything that goes into a manifest goes into its digest, and nothing else.
func TestDigestIsThatOfAllFiles(t *testing.T) {
	base := "app: {id: x, name: x, version: 1.0.0, container: {image: x}}\n"
	digest := func(texts ...string) string {
		in := manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(texts[0])}}
		for i, o := range texts[1:] {
			in.Overlays = append(in.Overlays, manifests.Source{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(o)})
		}
		m, diags := manifests.Parse(in)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return m.Digest
	}
	all := []string{digest(base), digest(base + " "), digest(base, "{}"), digest(base, "{}", "{}"), digest(base, "{} "), digest(base, "{}", "{} ")}
	if len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
		t.Errorf("different files have one digest: %v", all)
	}
	if digest(base, "{}") != all[2] {
		t.Error("the same files have two digests")
	}
}
