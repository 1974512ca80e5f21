package quadlet

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// sets is the apps of the catalog that are left out, so that the rest can be rendered together: of
// each capability one provider.
var sets = map[string][]string{
	"knots, electrs":   {"bitcoin-core", "electrumx", "electrumx-ui", "fulcrum", "fulcrum-ui"},
	"core, fulcrum":    {"bitcoin-knots", "electrs", "electrs-ui", "electrumx", "electrumx-ui"},
	"knots, electrumx": {"bitcoin-core", "electrs", "electrs-ui", "fulcrum", "fulcrum-ui"},
}

// excepted is the lines that differ after an app was imported and rendered again, with the reason.
var excepted = []struct{ line, why string }{
	{`#.*`, "it is a comment"},
	{`Digest=.*`, "the recipe and the unit of another manifest have other digests"},
	{`ManifestDigest=.*`, "the manifest differs"},
	{`(?:Label|Annotation)=io\.archipelago\.digest=.*`, "it repeats the digest"},
}

func withoutExcepted(text string) string {
	for _, x := range excepted {
		text = regexp.MustCompile(`(?m)^`+x.line+`\n`).ReplaceAllString(text, "")
	}
	return text
}

func render(t *testing.T, dir string) map[string]string {
	t.Helper()
	from := compile.Source{Podman: "5.8", Generator: "test", Getenv: func(string) string { return "" }, Ungranted: true}
	k, err := from.Named([]string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if k.Diags.HasErrors() {
		t.Fatal(k.Diags)
	}
	files := map[string]string{}
	for _, f := range k.Files() {
		files[f.Name] = string(f.Content)
	}
	return files
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// The manifests that are made of the units of the catalog render the same units and recipes. They
// name what they do not say, such as the user interface.
func TestCatalogComesBack(t *testing.T) {
	for name, without := range sets {
		t.Run(name, func(t *testing.T) {
			dir, rendered, again := t.TempDir(), t.TempDir(), t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("../../catalog")); err != nil {
				t.Fatal(err)
			}
			for _, id := range without {
				if err := os.Remove(filepath.Join(dir, id+".yaml")); err != nil {
					t.Fatal(err)
				}
			}
			first := render(t, dir)
			for file, text := range first {
				write(t, rendered, file, []byte(text))
			}
			for _, app := range Find(os.DirFS(rendered), Options{}) {
				r := app.Import(map[string]string{"ui": "none"})
				for _, f := range r.Findings {
					if f.Severity == importer.Dropped || f.Severity == importer.Refused {
						t.Errorf("%s: %s:%d: %s: %s", r.ID, f.File, f.Line, f.Code, f.Message)
					}
				}
				for _, f := range r.Files {
					write(t, again, f.Path, f.Data)
				}
			}
			second := render(t, again)
			for file, text := range first {
				if d := cmp.Diff(withoutExcepted(text), withoutExcepted(second[file])); d != "" {
					t.Errorf("%s (-first +again):\n%s", file, d)
				}
			}
			for file := range second {
				if first[file] == "" {
					t.Errorf("%s was not there", file)
				}
			}
		})
	}
}
