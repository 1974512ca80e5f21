package generator_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/conform"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/strict"
	"github.com/archipelago-os/archipelago/units"
)

var update = flag.Bool("update", false, "rewrite the expected output of golden tests")

// A case is a txtar archive:
//
//	NAME.yaml, NAME.toml, NAME.d/*   manifests and overlays in
//	NAME.files/*, NAME.d/files/*     templates of configuration files
//	archipelago.toml                 settings, if any
//	targets                          a line each, "PODMAN SCOPE"; default the
//	                                 settings' Podman, else "5.4 user"
//	strict                           present: with the findings of `check --strict`
//	diagnostics                      findings out, one line each
//	PODMAN SCOPE/FILE                units out; for a second target only the
//	                                 files that differ from the first
//	changes                          instead of the units, for cases in keys/:
//	                                 the lines by which they differ from the
//	                                 smallest manifest's
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := txtar.Format(a)
			a.Files = append(inputs(a), runCase(t, a, strings.HasPrefix(file, "testdata/keys/"))...)
			got := txtar.Format(a)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := gocmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("-want +got (make golden rewrites it):\n%s", d)
			}
		})
	}
}

// inputs is the files of a case that go in.
func inputs(a *txtar.Archive) []txtar.File {
	return slices.DeleteFunc(slices.Clone(a.Files), func(f txtar.File) bool {
		return f.Name == "diagnostics" || f.Name == "changes" || strings.Contains(f.Name, " ")
	})
}

func runCase(t *testing.T, a *txtar.Archive, changesOnly bool) []txtar.File {
	t.Helper()
	root := t.TempDir()
	targets, strict := []string{defaultTarget(a)}, false
	for _, f := range inputs(a) {
		dir := appsDir
		switch f.Name {
		case "targets":
			targets = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
			continue
		case "strict":
			strict = true
			continue
		case settingsName:
			dir = filepath.Dir(appsDir)
		}
		write(t, filepath.Join(root, dir, f.Name), f.Data)
	}
	var (
		out   []txtar.File
		first = map[string]string{}
		diags []string
	)
	shorten := strings.NewReplacer(filepath.Join(root, appsDir)+"/", "", filepath.Join(root, filepath.Dir(appsDir))+"/", "")
	for i, text := range targets {
		files, problems := compile(t, root, text, strict)
		for _, d := range problems {
			line := shorten.Replace(d.String())
			if d.Hint != "" {
				line += "; " + shorten.Replace(d.Hint)
			}
			if len(targets) > 1 {
				line = text + ": " + line
			}
			diags = append(diags, line)
		}
		if changesOnly && i == 0 && len(files) > 0 {
			out = append(out, txtar.File{Name: "changes", Data: []byte(changes(t, files, text))})
		}
		for _, f := range files {
			content := normalize(f.Content)
			if i == 0 {
				first[f.Name] = content
			}
			if (i == 0 && !changesOnly) || (i > 0 && first[f.Name] != content) {
				out = append(out, txtar.File{Name: text + "/" + f.Name, Data: []byte(content)})
			}
		}
	}
	if len(diags) > 0 {
		out = slices.Insert(out, 0, txtar.File{Name: "diagnostics", Data: []byte(strings.Join(diags, "\n") + "\n")})
	}
	return out
}

// defaultTarget is what a case without targets is rendered for.
func defaultTarget(a *txtar.Archive) string {
	podman := generator.Default.String()
	for _, f := range a.Files {
		if f.Name == settingsName {
			settings, _ := manifests.ParseSettings(manifests.Source{Name: f.Name, Data: f.Data})
			podman = cmp.Or(settings.Podman, podman)
		}
	}
	return podman + " user"
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// appsDir is where the manifests of a case lie, below a root of its own; the
// settings are one directory up.
const appsDir, settingsName = "etc/archipelago/apps", "archipelago.toml"

// compile is the whole way from files to units, as `archgen render --root`
// goes it.
func compile(t *testing.T, root, target string, isStrict bool) (units.Set, diag.List) {
	t.Helper()
	loaded := manifests.Loaded{Root: root}
	dir := filepath.Join(root, appsDir)
	settings := manifests.DefaultSettings()
	settingsFile := filepath.Join(filepath.Dir(dir), settingsName)
	var diags diag.List
	if data, err := os.ReadFile(settingsFile); err == nil {
		settings, diags = manifests.ParseSettings(manifests.Source{Name: settingsFile, Data: data})
	}
	diags = append(diags, loaded.LoadDirs([]string{dir})...)
	set, problems := manifests.Resolve(loaded.Manifests, settings)
	diags = append(diags, problems...)
	defer func() { diags.Sort() }()
	if diags.HasErrors() {
		return nil, diags
	}
	tgt := parseTarget(t, target)
	result, problems := generator.Render(set, tgt)
	diags = append(diags, problems...)
	if diags.HasErrors() {
		return nil, diags
	}
	for _, f := range conform.Check(result.Files, tgt.Scope) {
		severity, code := diag.Error, diag.PodmanRejects
		if f.Warning {
			severity, code = diag.Warning, diag.PodmanWarns
		}
		diags = append(diags, result.Diagnose(f.File, f.Line, severity, code, f.Message))
	}
	if isStrict {
		for _, app := range set.Apps {
			diags = append(diags, strict.Check(app)...)
		}
	}
	return result.Files, diags
}

func parseTarget(t *testing.T, text string) generator.Target {
	t.Helper()
	podman, scope, _ := strings.Cut(text, " ")
	v, err := generator.ParseVersion(podman)
	if err != nil {
		t.Fatal(err)
	}
	target := generator.Target{Podman: v, Generator: "test"}
	if scope == "system" {
		target.Scope = units.System
	}
	target.Places = units.DefaultPlaces(target.Scope)
	return target
}

var digests = regexp.MustCompile(`(?m)(Digest=|io\.archipelago\.digest=)[0-9a-f]{16,}$`)

// normalize takes digests out: they change with every default, and what they
// promise is tested in digest_test.go.
func normalize(content []byte) string { return digests.ReplaceAllString(string(content), "${1}…") }

// smallestManifest is the smallest manifest of an id.
func smallestManifest(id string) string {
	return fmt.Sprintf("app: {id: %[1]s, name: %[1]s, version: 1.0.0, container: {image: docker.io/library/%[1]s:1}}\n", id)
}

// changes is how the units differ from those of the smallest manifests: of x,
// and where x is in the set of the other apps too.
func changes(t *testing.T, files units.Set, target string) string {
	t.Helper()
	ids := []string{"x"}
	if _, ok := files.Find("app@x.container"); ok {
		for _, f := range files {
			ids = append(ids, cmp.Or(f.App, "x"))
		}
	}
	root := t.TempDir()
	for _, id := range ids {
		write(t, filepath.Join(root, appsDir, id+".yaml"), []byte(smallestManifest(id)))
	}
	smallest, diags := compile(t, root, target, false)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	var b strings.Builder
	for _, f := range files {
		base, ok := podmanName(smallest, f)
		if !ok {
			fmt.Fprintf(&b, "new %s\n%s", f.Name, indent(normalize(f.Content)))
			continue
		}
		for _, l := range lineChanges(normalize(base.Content), normalize(f.Content)) {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, l)
		}
	}
	for _, f := range smallest {
		if _, ok := files.Find(f.Name); !ok {
			fmt.Fprintf(&b, "no %s\n", f.Name)
		}
	}
	return b.String()
}

// podmanName is the file that one is compared with: of the same name, or for a
// container the main one of its app, or that of x.
func podmanName(smallest units.Set, f units.File) (units.File, bool) {
	names := []string{f.Name}
	if path.Ext(f.Name) == ".container" {
		names = append(names, "app@"+f.App+".container", "app@x.container")
	}
	for _, name := range names {
		if base, ok := smallest.Find(name); ok {
			return base, true
		}
	}
	return units.File{}, false
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n    ") + "\n"
}

// lineChanges lists the lines of old that are gone and those of new that came,
// each with its section.
func lineChanges(before, after string) []string {
	was, is := sectioned(before), sectioned(after)
	var out []string
	for _, l := range was {
		if !slices.Contains(is, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range is {
		if !slices.Contains(was, l) {
			out = append(out, "+ "+l)
		}
	}
	return out
}

func sectioned(text string) []string {
	var out []string
	section := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		switch {
		case l == "" || l[0] == '#':
		case l[0] == '[':
			section = l
		default:
			out = append(out, section+" "+l)
		}
	}
	return out
}
