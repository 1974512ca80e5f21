package podmanrun

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
)

var update = flag.Bool("update", false, "rewrite the expected manifests and reports")

func run(a *txtar.Archive) *importer.Result {
	fsys := fstest.MapFS{}
	for _, f := range a.Files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return Import(fsys, argsOf(a), compose.Options{Answers: map[string]string{}})
}

// argsOf is the words of a case, one on each line.
func argsOf(a *txtar.Archive) []string {
	return strings.Split(strings.TrimSuffix(string(file(a, "args")), "\n"), "\n")
}

func file(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func cases(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*txtar.Archive{}
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = a
	}
	return all
}

// Each command becomes the manifest and the report beside it. Where a case has a Compose file,
// that becomes the same manifest.
func TestCommands(t *testing.T) {
	for name, a := range cases(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r := run(a)
			manifest := ""
			if len(r.Files) > 0 {
				manifest = string(r.Files[0].Data)
			}
			have := []txtar.File{{Name: "want/manifest", Data: []byte(manifest)}, {Name: "want/report", Data: []byte(report(r))}}
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want/") })
				a.Files = append(a.Files, have...)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range have {
				if d := cmp.Diff(string(file(a, f.Name)), string(f.Data)); d != "" {
					t.Errorf("%s, -want +got:\n%s", f.Name, d)
				}
			}
			if text := file(a, "compose.yaml"); text != nil {
				same := compose.Import(fstest.MapFS{"compose.yaml": {Data: text}}, compose.Options{ID: r.ID, Capabilities: "podman"})
				if d := cmp.Diff(bare(string(same.Files[0].Data)), bare(manifest)); d != "" {
					t.Errorf("the Compose file becomes something else (-compose +run):\n%s", d)
				}
			}
			if manifest != "" {
				demandValid(t, r)
			}
		})
	}
}

var comments = regexp.MustCompile(`  # from .*`)

// bare is a manifest without the places that its values come from.
func bare(text string) string { return comments.ReplaceAllString(text, "") }

func report(r *importer.Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Severity != importer.Kept {
			fmt.Fprintf(&b, "%d:%d %s %s: %s\n", f.Line, f.Column, f.Severity, f.Code, f.Message)
		}
	}
	return b.String()
}

func demandValid(t *testing.T, r *importer.Result) {
	t.Helper()
	m, found := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: r.Files[0].Path, Data: r.Files[0].Data}})
	if found.HasErrors() || manifests.Validate(m).HasErrors() {
		t.Errorf("it is not valid: %v\n%s", found, r.Files[0].Data)
	}
}

// Every argument is in some case.
func TestEveryOptionHasACase(t *testing.T) {
	given := map[string]bool{}
	for _, a := range cases(t) {
		for _, word := range argsOf(a) {
			name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
			given[name] = true
		}
	}
	for _, f := range options {
		for _, name := range f.names {
			if len(name) > 1 && !given[name] {
				t.Errorf("no case has --%s", name)
			}
		}
	}
}

// The value of a secret is in no output.
func TestSecretsStayOut(t *testing.T) {
	r := Import(fstest.MapFS{}, []string{"podman", "run", "-e", "DB_PASSWORD=hidden value", "-e", "URL=http://u:hidden@x", "nginx"}, compose.Options{})
	var b strings.Builder
	if err := r.Print(&b, false); err != nil {
		t.Fatal(err)
	}
	if text := string(r.Files[0].Data) + b.String(); strings.Contains(text, "hidden value") {
		t.Error(text)
	}
}

func FuzzImport(f *testing.F) {
	f.Add("podman\nrun\n-itd\n-p8080:80\nnginx\nserve")
	f.Add("docker\nrun\n--ulimit=a=1:2\n--ulimit\na=3\n--mount=type=bind,src=/a,dst=/b\n-e\nA=$B\n--\nx")
	f.Fuzz(func(t *testing.T, text string) {
		if r := Import(fstest.MapFS{}, strings.Split(text, "\n"), compose.Options{}); len(r.Files) > 0 {
			demandValid(t, r)
		}
	})
}
