package quadlet

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

var update = flag.Bool("update", false, "rewrite the expected manifests and reports of the corpus")

// testCase is a directory of Quadlet files with the options in the comment, and below want/ what
// happens to it.
type testCase struct {
	name    string
	archive *txtar.Archive
	fsys    fstest.MapFS
	options Options
	answers map[string]string
	want    map[string]string
}

func corpus(tb testing.TB) (cases []testCase) {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		cases = append(cases, caseOf(strings.TrimSuffix(filepath.Base(file), ".txtar"), a))
	}
	return cases
}

func caseOf(name string, a *txtar.Archive) testCase {
	c := testCase{name: name, archive: a, fsys: fstest.MapFS{}, want: map[string]string{}}
	c.options = Options{Project: "units", Specifiers: map[string]string{"h": "/home/user", "t": "/run/user/1000"}}
	c.answers = map[string]string{}
	for line := range strings.Lines(string(a.Comment)) {
		flag, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch flag {
		case "--set":
			key, answer, _ := strings.Cut(value, "=")
			c.answers[key] = answer
		case "--id":
			c.options.ID = value
		case "--file":
			c.options.File = value
		}
	}
	for _, f := range a.Files {
		if wanted, ok := strings.CutPrefix(f.Name, "want/"); ok {
			c.want[wanted] = string(f.Data)
			continue
		}
		c.fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return c
}

func (c testCase) run() (results []*importer.Result) {
	for _, app := range Find(c.fsys, c.options) {
		results = append(results, app.Import(c.answers))
	}
	return results
}

// got is the files and the reports of the apps, in one line for each finding.
func got(apps []*importer.Result) map[string]string {
	all := map[string]string{}
	var b strings.Builder
	for _, r := range apps {
		for _, f := range r.Files {
			all[f.Path] = strings.TrimSuffix(string(f.Data), "\n") + "\n" // as txtar has it
		}
		for _, f := range r.Findings {
			fmt.Fprintf(&b, "%s:%d:%d %s %s", f.File, f.Line, f.Column, f.Severity, f.Code)
			if f.Key != "" {
				fmt.Fprintf(&b, " %s", f.Key)
			}
			fmt.Fprintf(&b, ": %s\n", f.Message)
		}
		fmt.Fprintf(&b, "%s\n", r.Summary())
	}
	all["report"] = b.String()
	return all
}

// Each case becomes the manifests and the report that stand beside it.
func TestCorpus(t *testing.T) {
	for _, c := range corpus(t) {
		t.Run(c.name, func(t *testing.T) {
			have := got(c.run())
			if *update {
				c.rewrite(t, have)
				return
			}
			if d := cmp.Diff(c.want, have); d != "" {
				t.Errorf("-want +got, go test -update rewrites it:\n%s", d)
			}
		})
	}
}

func (c testCase) rewrite(t *testing.T, have map[string]string) {
	t.Helper()
	a := &txtar.Archive{Comment: c.archive.Comment}
	for _, f := range c.archive.Files {
		if !strings.HasPrefix(f.Name, "want/") {
			a.Files = append(a.Files, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		a.Files = append(a.Files, txtar.File{Name: "want/" + name, Data: []byte(have[name])})
	}
	if err := os.WriteFile("testdata/"+c.name+".txtar", txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What is written passes archgen check, with Podman's own converter.
func TestCorpusPassesCheck(t *testing.T) {
	t.Parallel()
	for _, c := range corpus(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range c.run() {
				demandValid(t, r)
			}
		})
	}
}

func demandValid(t *testing.T, r *importer.Result) {
	t.Helper()
	if len(r.Files) == 0 {
		return
	}
	dir := t.TempDir()
	for _, f := range r.Files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f.Path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Path), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	from := compile.Source{Podman: "5.8", Generator: "test", Getenv: func(string) string { return "" }, Ungranted: true}
	k, err := from.Named([]string{filepath.Join(dir, r.Files[0].Path)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range k.Diags {
		t.Errorf("%v\n%s", d, r.Files[0].Data)
	}
}

// Every key of a table is in some case.
func TestCorpusCoversTheTables(t *testing.T) {
	given := map[string]bool{}
	for _, c := range corpus(t) {
		for name, f := range c.fsys {
			entries, _ := parse(name, f.Data)
			for _, e := range entries {
				given[e.id()] = true
			}
		}
	}
	for _, r := range slices.Concat(containerRows, volumeRows, networkRows, buildRows, imageRows) {
		if id := r.section + "." + r.key; !given[id] {
			t.Errorf("no case has %s", id)
		}
	}
}

// Every code that the package gives is in some case.
func TestCorpusCoversTheCodes(t *testing.T) {
	given := map[importer.Code]bool{}
	for _, c := range corpus(t) {
		for _, r := range c.run() {
			for _, f := range r.Findings {
				given[f.Code] = true
			}
		}
	}
	for _, code := range []importer.Code{
		importer.Specifier, importer.RestartCondition, importer.Directive, importer.ForeignUnit, importer.HostCommand, importer.UnitKind,
		importer.UnsetVariable, importer.BadSource, importer.BadSourceValue, importer.NoService, importer.MissingFile, importer.BuildSource,
		importer.ExistingVolume, importer.RawArgument, importer.UnknownKey,
	} {
		if !given[code] {
			t.Errorf("no case has the code %s", code)
		}
	}
}
