// Package words holds the project's texts against a list of phrases that it does not use.
// words.tsv is the list and files.txt says which files are checked.
//
// It knows no grammar: a phrase is on the list or it is not.
package words

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
)

const root = "../.."

var update = flag.Bool("update", false, "rewrite the expected findings")

func TestTextsUseNoPhraseOfTheList(t *testing.T) {
	t.Parallel()
	list := readPhrases(t)
	for _, file := range filesOf(t, readLines(t, "files.txt")) {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range find(list, file, source) {
			t.Error(f)
		}
	}
}

// FILE.found in testdata is what is found in FILE.
func TestFind(t *testing.T) {
	t.Parallel()
	list := readPhrases(t)
	for _, file := range []string{"testdata/text.md", "testdata/code.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := strings.Join(find(list, file, source), "\n") + "\n"
		if *update {
			if err := os.WriteFile(file+".found", []byte(found), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		expected, err := os.ReadFile(file + ".found")
		if err != nil {
			t.Fatal(err)
		}
		if d := diff.Diff(string(expected), found); d != "" {
			t.Errorf("%s (-expected +found):\n%s", file, d)
		}
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, name string
		matches    bool
	}{
		{"README.md", "README.md", true},
		{"README.md", "docs/README.md", false},
		{"docs/*.md", "docs/files.md", true},
		{"docs/*.md", "docs/a/files.md", false},
		{"units/**/*.go", "units/diff.go", true},
		{"units/**/*.go", "units/unitdir/a/store.go", true},
		{"units/**/*.go", "healthd/daemon.go", false},
		{"**/testdata/**", "units/testdata/a.go", true},
	} {
		if got := matches(strings.Split(c.glob, "/"), strings.Split(c.name, "/")); got != c.matches {
			t.Errorf("%s, %s: %v", c.glob, c.name, got)
		}
	}
}

// phrases is the list: what to write instead of each phrase, and a pattern that matches all.
type phrases struct {
	replacement map[string]string
	pattern     *regexp.Regexp
}

func readPhrases(t *testing.T) phrases {
	t.Helper()
	data := readLines(t, "words.tsv")
	list, texts := phrases{replacement: map[string]string{}}, make([]string, 0, len(data))
	for _, line := range data {
		text, replacement, ok := strings.Cut(line, "\t")
		switch {
		case !ok || text == "" || replacement == "" || strings.Contains(replacement, "\t"):
			t.Fatalf("words.tsv: expected a phrase, a tab and its replacement: %q", line)
		case text != strings.ToLower(text):
			t.Fatalf("words.tsv: expected lower case: %q", text)
		case list.replacement[text] != "":
			t.Fatalf("words.tsv: %q is there twice", text)
		}
		list.replacement[text] = replacement
		texts = append(texts, strings.Join(strings.Fields(regexp.QuoteMeta(text)), `\s+`))
	}
	// Of two phrases that begin at one place, the longer one is reported.
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	list.pattern = regexp.MustCompile(`(?i)\b(?:` + strings.Join(texts, "|") + `)\b`)
	return list
}

// readLines is the lines of a data file without comments and empty ones.
func readLines(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(data), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "#")
	})
}

// filesOf is the files of the tree that the globs name, sorted. A glob that names none is
// an error: it would check nothing, silently.
func filesOf(t *testing.T, globs []string) []string {
	t.Helper()
	used := map[string]bool{}
	var list []string
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == ".git" || name == "vendor" || name == "dist" {
				return filepath.SkipDir
			}
			return nil
		}
		name, isChecked := strings.TrimPrefix(filepath.ToSlash(file), root+"/"), false
		for _, line := range globs {
			glob, excludes := strings.CutPrefix(line, "!")
			if matches(strings.Split(glob, "/"), strings.Split(name, "/")) {
				used[line], isChecked = true, !excludes
			}
		}
		if isChecked {
			list = append(list, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range globs {
		if !used[line] {
			t.Errorf("files.txt: %s names no file", line)
		}
	}
	return list
}

// matches is path.Match with ** for any number of directories.
func matches(glob, name []string) bool {
	switch {
	case len(glob) == 0:
		return len(name) == 0
	case glob[0] == "**":
		return matches(glob[1:], name) || len(name) > 0 && matches(glob, name[1:])
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(glob[0], name[0])
	return err == nil && ok && matches(glob[1:], name[1:])
}

// find lists the phrases in a file, by line.
func find(list phrases, file string, source []byte) []string {
	text := prose(file, source)
	places := list.pattern.FindAllStringIndex(text, -1)
	lines := make([]string, 0, len(places))
	for _, at := range places {
		line := 1 + strings.Count(text[:at[0]], "\n")
		found := strings.ToLower(strings.Join(strings.Fields(text[at[0]:at[1]]), " "))
		lines = append(lines, fmt.Sprintf("%s:%d: %q: write %s", file, line, found, list.replacement[found]))
	}
	return lines
}

// prose is a file with everything but its prose blanked out, and every line end kept.
func prose(file string, source []byte) string {
	switch filepath.Ext(file) {
	case ".go":
		return goProse(source)
	case ".md":
		text := string(source)
		for _, code := range []*regexp.Regexp{generated, output, inline} {
			text = code.ReplaceAllStringFunc(text, func(s string) string { return notLineEnd.ReplaceAllString(s, "·") })
		}
		return text
	}
	return string(source)
}

var (
	// generated is text whose source is elsewhere, as far as the page or to an end mark.
	generated = regexp.MustCompile(`(?s)<!-- Generated from .*?(<!-- End of generated text -->|\z)`)
	// output is what a program prints. Other blocks of code have comments, which are prose.
	output = regexp.MustCompile("(?ms)^ *```(console|text)\n.*?^ *```$")
	inline = regexp.MustCompile("`[^`\n]+`")

	notLineEnd = regexp.MustCompile(`[^\n]`)
	// marks is what a text of Go has at the begin of a line or between lines.
	marks = regexp.MustCompile("(?m)^[ \\t]*(//|/?\\*)|[\"`]|\\\\n")
	// doc is a comment of Go up to the name that it may document.
	doc = regexp.MustCompile(`(?m)^[ \t]*// (\w+) .*\n(?:[ \t]*//.*\n)*[ \t]*(?:(?:func|type|var|const) )?(?:\([^)]*\) )?(\w+)`)
)

// goProse is the comments and strings of a Go file. The marks of comments are blanked out,
// so that a phrase is found across lines. Code keeps two texts apart. A name that a comment
// documents is code, as is a string without white space, such as the tag of a JSON field.
func goProse(source []byte) string {
	source = slices.Clone(source)
	for _, at := range doc.FindAllSubmatchIndex(source, -1) {
		if name := source[at[2]:at[3]]; bytes.Equal(name, source[at[4]:at[5]]) {
			copy(name, bytes.Repeat([]byte{'.'}, len(name)))
		}
	}
	text := slices.Clone(source)
	for i, c := range text {
		if c != '\n' {
			text[i] = ' '
		}
	}
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, scanner.ScanComments)
	for {
		pos, kind, literal := s.Scan()
		switch kind {
		case token.EOF:
			return string(text)
		case token.COMMENT, token.STRING:
			if kind == token.STRING && !strings.ContainsAny(literal, " \t\n\\") {
				continue
			}
			blank := marks.ReplaceAllStringFunc(literal, func(m string) string { return strings.Repeat(" ", len(m)) })
			copy(text[file.Offset(pos):], blank)
		default:
			if offset := file.Offset(pos); offset < len(source) && source[offset] != '\n' {
				text[offset] = '.'
			}
		}
	}
}
