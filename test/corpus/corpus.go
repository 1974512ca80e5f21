// Package corpus owns the machinery of the corpora of importers: cases in txtar archives, which
// are the files of a source with what happens to them below want/, and the demands that every
// importer meets.
//
// It is for tests only.
package corpus

import (
	"bytes"
	"fmt"
	"io/fs"
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
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// Read imports the app of a directory. name is that of the directory.
type Read func(fsys fs.FS, name string, answers map[string]string) *importer.Result

// Case is one case of a corpus.
type Case struct {
	Name string
	// FS is the files of the source.
	FS fstest.MapFS
	// Answers is by the keys of the questions.
	Answers map[string]string
	want    map[string]string
	archive *txtar.Archive
	read    Read
}

// Cases is the cases in testdata, as an importer reads them. The comment of a case has its
// answers: --set KEY=VALUE.
func Cases(tb testing.TB, read Read) (cases []Case) {
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
		cases = append(cases, caseOf(strings.TrimSuffix(filepath.Base(file), ".txtar"), a, read))
	}
	return cases
}

func caseOf(name string, a *txtar.Archive, read Read) Case {
	c := Case{Name: name, FS: fstest.MapFS{}, Answers: map[string]string{}, want: map[string]string{}, archive: a, read: read}
	for line := range strings.Lines(string(a.Comment)) {
		if answer, ok := strings.CutPrefix(strings.TrimSpace(line), "--set "); ok {
			key, value, _ := strings.Cut(answer, "=")
			c.Answers[key] = value
		}
	}
	for _, f := range a.Files {
		if wanted, ok := strings.CutPrefix(f.Name, "want/"); ok {
			c.want[wanted] = string(f.Data)
			continue
		}
		c.FS[f.Name] = fileOf(f)
	}
	return c
}

// fileOf is a file of the source. A script is executable, a picture is no text, and an archive is too
// large for a seed.
func fileOf(f txtar.File) *fstest.MapFile {
	file := &fstest.MapFile{Data: f.Data, Mode: 0o644}
	switch filepath.Ext(f.Name) {
	case ".sh":
		file.Mode = 0o755
	case ".tar":
		file.Data = make([]byte, manifests.MaxSeed+1)
	case ".png":
		file.Data = append([]byte{0}, f.Data...)
	}
	return file
}

// Import imports the case.
func (c Case) Import() *importer.Result { return c.read(c.FS, c.Name, c.Answers) }

// Compare demands of each case what stands in it, or writes that.
func Compare(t *testing.T, cases []Case, update bool) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			have := got(c.Import())
			if update {
				c.rewrite(t, have)
				return
			}
			if d := cmp.Diff(c.want, have); d != "" {
				t.Errorf("-want +got, go test -update rewrites it:\n%s", d)
			}
		})
	}
}

// got is the files and the report of a result, in one line for each finding.
func got(r *importer.Result) map[string]string {
	all := map[string]string{}
	for _, f := range r.Files {
		all[f.Path] = shown(f)
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

// shown is a file as an archive has it.
func shown(f importer.File) string {
	switch {
	case bytes.IndexByte(f.Data, 0) >= 0:
		return fmt.Sprintf("%d bytes, no text\n", len(f.Data))
	case f.IsExecutable:
		return "executable\n" + strings.TrimSuffix(string(f.Data), "\n") + "\n"
	}
	return strings.TrimSuffix(string(f.Data), "\n") + "\n"
}

func (c Case) rewrite(t *testing.T, have map[string]string) {
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
	if err := os.WriteFile("testdata/"+c.Name+".txtar", txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// PassCheck demands that what is written passes archgen check, with Podman's own converter. What
// it needs of other apps is in providers, a directory of manifests.
func PassCheck(t *testing.T, cases []Case, providers string) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r := c.Import()
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
			paths := []string{filepath.Join(dir, r.Files[0].Path)}
			if others, err := filepath.Glob(filepath.Join(providers, "*.yaml")); err != nil {
				t.Fatal(err)
			} else if providers != "" && !bytes.Contains(r.Files[0].Data, []byte("\n  provides:")) { // else they clash
				paths = append(paths, others...)
			}
			from := compile.Source{Podman: "5.8", Generator: "test", Getenv: func(string) string { return "" }, Ungranted: true}
			k, err := from.Named(paths, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range k.Diags {
				t.Errorf("%v\n%s", d, r.Files[0].Data)
			}
		})
	}
}

// Cover demands that the cases have each code and each key, and that each code is one that there
// is.
func Cover(t *testing.T, cases []Case, codes []importer.Code, keys []string) {
	t.Helper()
	haveCodes, haveKeys := map[importer.Code]bool{}, map[string]bool{}
	for _, c := range cases {
		for _, f := range c.Import().Findings {
			haveCodes[f.Code] = true
			for end := range len(f.Key) + 1 {
				if end == len(f.Key) || f.Key[end] == '.' || f.Key[end] == '[' {
					haveKeys[f.Key[:end]] = true
				}
			}
		}
	}
	for _, code := range codes {
		if !haveCodes[code] {
			t.Errorf("no case has the code %s", code)
		}
	}
	for _, key := range keys {
		if !haveKeys[key] {
			t.Errorf("no case has the key %s", key)
		}
	}
}

// Cut demands that each case is imported or refused when one of its files is cut off, and when one
// of the lines is missing, at some places of each file. Fuzzing finds the other places.
func Cut(t *testing.T, cases []Case, files ...string) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, name := range files {
				if whole := c.FS[name]; whole != nil {
					c.cut(t, name, whole.Data)
					c.FS[name] = whole
				}
			}
		})
	}
}

// cuts is at how many places a file is cut.
const cuts = 8

func (c Case) cut(t *testing.T, name string, whole []byte) {
	t.Helper()
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i := 0; i < len(lines); i += 1 + len(lines)/cuts {
		without := slices.Concat(lines[:i:i], lines[i+1:])
		for _, text := range [][]byte{bytes.Join(without, nil), whole[:len(whole)*i/len(lines)]} {
			c.FS[name] = &fstest.MapFile{Data: text}
			valid(t, c.Import())
		}
	}
}

// Same demands the same report of two imports, and a valid manifest.
func Same(t *testing.T, read func() *importer.Result) {
	t.Helper()
	var first, second bytes.Buffer
	r := read()
	if err := r.Print(&first, false); err != nil {
		t.Fatal(err)
	}
	if err := read().Print(&second, false); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("two imports differ:\n%s\n%s", first.String(), second.String())
	}
	valid(t, r)
}

// valid demands that what was written is a valid manifest.
func valid(t *testing.T, r *importer.Result) {
	t.Helper()
	if found := importer.Check(r); found.HasErrors() {
		t.Fatalf("%v\n%s", found, r.Files[0].Data)
	}
}

// Files is the import of files in memory.
func Files(read Read, files map[string][]byte) func() *importer.Result {
	fsys := fstest.MapFS{}
	for name, data := range files {
		fsys[name] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	return func() *importer.Result { return read(fsys, "fuzz", map[string]string{}) }
}

// Data is the content of a file of the source; empty if there is none.
func (c Case) Data(name string) []byte {
	if f := c.FS[name]; f != nil {
		return f.Data
	}
	return []byte{}
}

// Mention reports whether a file of a case has a text.
func Mention(cases []Case, text string) bool {
	for _, c := range cases {
		for _, f := range c.FS {
			if bytes.Contains(f.Data, []byte(text)) {
				return true
			}
		}
	}
	return false
}
