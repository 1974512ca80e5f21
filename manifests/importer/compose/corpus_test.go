package compose

import (
	"bytes"
	"flag"
	"fmt"
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

// testCase is a case of the corpus: the files of a Compose project with the options in the
// comment, and below want/ what happens to it.
type testCase struct {
	name    string
	archive *txtar.Archive
	fsys    fstest.MapFS
	options Options
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
	c.options = Options{Name: name, Project: "project", Answers: map[string]string{}}
	for line := range strings.Lines(string(a.Comment)) {
		if answer, ok := strings.CutPrefix(strings.TrimSpace(line), "--set "); ok {
			key, value, _ := strings.Cut(answer, "=")
			c.options.Answers[key] = value
		}
	}
	for _, f := range a.Files {
		if wanted, ok := strings.CutPrefix(f.Name, "want/"); ok {
			c.want[wanted] = string(f.Data)
			continue
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(f.Name, ".sh") {
			mode = 0o755
		}
		data := f.Data
		if strings.HasSuffix(f.Name, ".png") {
			data = append([]byte{0}, data...)
		}
		c.fsys[f.Name] = &fstest.MapFile{Data: data, Mode: mode}
	}
	return c
}

func (c testCase) run() *importer.Result { return Import(c.fsys, c.options) }

// got is the files and the report of a result, in one line for each finding.
func got(r *importer.Result) map[string]string {
	all := map[string]string{}
	for _, f := range r.Files {
		all[f.Path] = strings.TrimSuffix(string(f.Data), "\n") + "\n" // as txtar has it
	}
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s:%d:%d %s %s", f.File, f.Line, f.Column, f.Severity, f.Code)
		if f.Key != "" {
			fmt.Fprintf(&b, " %s", f.Key)
		}
		fmt.Fprintf(&b, ": %s\n", f.Message)
	}
	all["report"] = b.String()
	return all
}

// Each case becomes the manifest and the report that stand beside it.
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
	names := make([]string, 0, len(have))
	for name := range have {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
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
			r := c.run()
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
		})
	}
}

// ofUnits is codes that no Compose file has.
var ofUnits = []importer.Code{
	importer.Specifier, importer.RestartCondition, importer.NotRecorded, importer.Directive, importer.ForeignUnit, importer.HostCommand, importer.UnitKind,
}

// ofPlatforms is the codes that only platforms have, which their corpora cover.
var ofPlatforms = []importer.Code{
	importer.LoginProxy, importer.ForeignVolume, importer.Script, importer.ForeignSecret,
	importer.ForeignValue, importer.OnionAddress, importer.MachineAddress, importer.HostDirectory,
}

// Every code and every key that a table has is in some case.
func TestCorpusCoversTheTables(t *testing.T) {
	codes, keys := map[importer.Code]bool{}, map[string]bool{}
	for _, c := range corpus(t) {
		for _, f := range c.run().Findings {
			codes[f.Code] = true
			keys[f.Key] = true
		}
	}
	for _, l := range importer.Losses {
		if !codes[l.Code] && !slices.Contains(ofUnits, l.Code) && !slices.Contains(ofPlatforms, l.Code) {
			t.Errorf("no case has the code %s", l.Code)
		}
	}
	demandRows(t, keys, serviceKeys, "services.*")
	demandRows(t, keys, topKeys, "")
	demandRows(t, keys, buildKeys, "services.*.build")
	demandRows(t, keys, deployKeys, "services.*.deploy")
	demandRows(t, keys, healthKeys, "services.*.healthcheck")
	demandRows(t, keys, networkKeys, "networks.*")
	demandRows(t, keys, joinKeys, "services.*.networks.*")
}

func demandRows[T any](t *testing.T, keys map[string]bool, rows []keyRow[T], under string) {
	t.Helper()
	for _, row := range rows {
		pattern := strings.TrimPrefix(under+"."+row.key, ".")
		isThere := false
		for key := range keys {
			isThere = isThere || matches(strings.Split(pattern, "."), key)
		}
		if !isThere {
			t.Errorf("no case has the key %s", pattern)
		}
	}
}

// matches reports whether a key is the one of a pattern, or below it.
func matches(pattern []string, key string) bool {
	for i, element := range pattern {
		end := strings.IndexAny(key, ".[")
		if end < 0 {
			end = len(key)
		}
		if element != "*" && element != key[:end] {
			return false
		}
		if end == len(key) {
			return i == len(pattern)-1
		}
		key = key[end+1:]
	}
	return true
}

// No value of a secret is in the manifest, the report or an excerpt.
func TestSecretsStayOut(t *testing.T) {
	hidden := map[string][]string{
		"secret-supplied":  {"correct-horse", "tok-123456"},
		"secret-answers":   {"old-value"},
		"secret-names":     {"one-value", "other-value"},
		"secrets":          {"hunter2", "abcdef"},
		"secret-elsewhere": {"hidden-value"},
	}
	for _, c := range corpus(t) {
		r := c.run()
		var all bytes.Buffer
		for _, f := range r.Files {
			all.Write(f.Data)
		}
		if err := r.Print(&all, false); err != nil {
			t.Fatal(err)
		}
		for _, value := range hidden[c.name] {
			if strings.Contains(all.String(), value) {
				t.Errorf("%s: the value %s is in the output:\n%s", c.name, value, all.String())
			}
		}
	}
}
