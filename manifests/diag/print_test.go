package diag_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// printed is what a person sees of findings in one file.
func printed(t *testing.T, source string, color bool, l ...diag.Diagnostic) string {
	t.Helper()
	var b bytes.Buffer
	p := diag.Printer{Source: func(string) []byte { return []byte(source) }, Color: color}
	if err := p.Print(&b, l); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// at is an error at a place of x.yaml.
func at(line, column int) diag.Diagnostic {
	return diag.Diagnostic{Code: diag.BadValue, File: "x.yaml", Line: line, Column: column, Message: "bad"}
}

func TestPrint(t *testing.T) {
	got := printed(t, "app:\n  id: X\n", false,
		diag.Diagnostic{Code: diag.BadValue, File: "x.yaml", Line: 2, Column: 7, Message: "app.id must be an id", Hint: "write x"},
		diag.Diagnostic{Severity: diag.Warning, Code: diag.NoProbe, File: "x.yaml", Line: 1, Column: 1, Message: "no probe"},
		diag.Diagnostic{Code: diag.Unreadable, File: "y.yaml", Message: "it can't be read"},
		diag.Diagnostic{Code: diag.PodmanRejects, Message: "no file at all"},
	)
	want := `x.yaml:2:7: error: app.id must be an id [bad-value]
    2 |   id: X
      |       ^
       hint: write x
x.yaml:1:1: warning: no probe [no-probe]
    1 | app:
      | ^
y.yaml: error: it can't be read [unreadable]
error: no file at all [podman-rejects]
3 errors, 1 warning
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// The caret stands below the byte, however many columns the text before takes.
func TestCaret(t *testing.T) {
	for _, c := range []struct {
		what, line, before string
		excerpt, caret     string
	}{
		{"plain", "ab: c", "ab: ", "ab: c", "    ^"},
		{"end of line", "ab:", "ab:", "ab:", "   ^"},
		{"tab", "\ta: b", "\ta: ", " a: b", "    ^"},
		{"accents", "ä: ü", "ä: ", "ä: ü", "   ^"},
		{"combining", "a\u0301: b", "a\u0301: ", "a\u0301: b", "   ^"},
		{"wide", "日本: x", "日本: ", "日本: x", "      ^"},
		{"emoji", "😀: x", "😀: ", "😀: x", "    ^"},
		{"control", "\x1b[2J: x", "\x1b[2J: ", ".[2J: x", "      ^"},
		{"right to left override", "\u202ea: x", "\u202ea: ", ".a: x", "    ^"},
		{"invalid", "\xff: x", "\xff: ", ".: x", "   ^"},
	} {
		got := printed(t, "first\n"+c.line+"\r\nlast\n", false, at(2, len(c.before)+1))
		lines := strings.Split(got, "\n")
		if want := []string{"    2 | " + c.excerpt, "      | " + c.caret}; !slices.Equal(lines[1:3], want) {
			t.Errorf("%s: %q, want %q", c.what, lines[1:3], want)
		}
	}
}

// A byte order mark is no column.
func TestCaretBehindByteOrderMark(t *testing.T) {
	if got := printed(t, "\ufeffapp: x\n", false, at(1, 6)); !strings.Contains(got, "    1 | app: x\n      |      ^\n") {
		t.Errorf("%q", got)
	}
}

// Of a long line the part around the caret is shown, in whole characters.
func TestLongLine(t *testing.T) {
	for _, letter := range []string{"x", "ä", "日", "😀"} {
		line := strings.Repeat(letter, 2000)
		for _, n := range []int{0, 30, 1000, 2000} {
			got := strings.Split(printed(t, line, false, at(1, n*len(letter)+1)), "\n")
			excerpt, caret := strings.TrimPrefix(got[1], "    1 | "), strings.TrimPrefix(got[2], "      | ")
			if len(excerpt) > 170 || !utf8.ValidString(excerpt) || strings.Trim(excerpt, letter+".") != "" {
				t.Errorf("%s %d: the excerpt is %q", letter, n, excerpt)
			}
			if shown := strings.Count(caret, " "); shown > 2*170 || !strings.HasSuffix(caret, "^") {
				t.Errorf("%s %d: the caret is %q", letter, n, caret)
			}
		}
	}
}

// A place that the text does not have gets no excerpt, and no panic.
func TestPlaceOutOfText(t *testing.T) {
	for _, d := range []diag.Diagnostic{at(9, 1), at(-1, -1), at(0, 7)} {
		if got := printed(t, "one\n", false, d); strings.Contains(got, "|") {
			t.Errorf("%+v: %q", d, got)
		}
	}
	for _, source := range []string{"", "\ufeff"} {
		if got := printed(t, source, false, at(1, 1)); strings.Contains(got, "|") {
			t.Errorf("of %q: %q", source, got)
		}
	}
	if got := printed(t, "one\n", false, at(1, 99)); !strings.Contains(got, "    1 | one\n      |    ^\n") {
		t.Errorf("%q", got)
	}
	var b bytes.Buffer
	if err := (diag.Printer{}).Print(&b, diag.List{at(1, 1)}); err != nil || b.String() != "x.yaml:1:1: error: bad [bad-value]\n1 error\n" {
		t.Errorf("without sources: %q, %v", b.String(), err)
	}
}

// Whatever stands in a manifest or in its name, no escape sequence, line break
// or change of direction reaches the terminal.
func TestNothingDrivesTheTerminal(t *testing.T) {
	nasty := "a\x1b[2J\x07\r\nb\u009b31m\u202e\u2066\u2028c\xff"
	d := diag.Diagnostic{Code: diag.BadValue, File: nasty, Line: 1, Column: 3, Message: nasty, Hint: nasty}
	for _, text := range []string{printed(t, nasty, false, d), d.String()} {
		for _, r := range text {
			if r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == utf8.RuneError) {
				t.Errorf("%q gets through in %q", r, text)
			}
		}
	}
	if n := strings.Count(printed(t, nasty, false, d), "\n"); n != 5 {
		t.Errorf("%d lines instead of message, excerpt, caret, hint and count", n)
	}
}

// Colours are only wrapped around: without them the text is the same.
func TestColor(t *testing.T) {
	d := at(1, 1)
	d.Hint = "h"
	warning := d
	warning.Severity = diag.Warning
	colored := printed(t, "one\n", true, d, warning)
	for _, want := range []string{"\x1b[31;1merror\x1b[0m", "\x1b[33;1mwarning\x1b[0m", "\x1b[32;1m^\x1b[0m", "\x1b[36mhint:\x1b[0m"} {
		if !strings.Contains(colored, want) {
			t.Errorf("no %q in %q", want, colored)
		}
		inside := want[strings.Index(want, "m")+1 : len(want)-4]
		colored = strings.ReplaceAll(colored, want, inside)
	}
	if d := cmp.Diff(printed(t, "one\n", false, d, warning), colored); d != "" {
		t.Errorf("-plain +colored:\n%s", d)
	}
}

func TestCounts(t *testing.T) {
	e, w := at(0, 0), at(0, 0)
	w.Severity = diag.Warning
	for want, l := range map[string]diag.List{
		"": nil, "1 error": {e}, "2 errors": {e, e}, "1 warning": {w}, "2 warnings": {w, w}, "1 error, 2 warnings": {w, e, w},
	} {
		got := strings.TrimSuffix(printed(t, "", false, l...), "\n")
		if i := strings.LastIndex(got, "\n"); got[i+1:] != want {
			t.Errorf("%d findings end with %q, want %q", len(l), got[i+1:], want)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestPrintReportsAFailedWrite(t *testing.T) {
	if (diag.Printer{}).Print(broken{}, diag.List{at(1, 1)}) == nil {
		t.Error("the failure is lost")
	}
}

// The form that programs read: its names are relied upon.
func TestJSON(t *testing.T) {
	l := diag.List{
		{Code: diag.BadValue, File: "x.yaml", Line: 2, Column: 7, Path: "app.id", Message: "must be <an id> & \"text\"", Hint: "write x"},
		{Severity: diag.Warning, Code: diag.NoProbe, Message: "no probe"},
	}
	got, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `[
 {
  "severity": "error",
  "code": "bad-value",
  "file": "x.yaml",
  "line": 2,
  "column": 7,
  "path": "app.id",
  "message": "must be \u003can id\u003e \u0026 \"text\"",
  "hint": "write x"
 },
 {
  "severity": "warning",
  "code": "no-probe",
  "message": "no probe"
 }
]`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// The order does not depend on the order in which findings were made.
func TestSort(t *testing.T) {
	sorted := diag.List{
		{Code: diag.PodmanRejects, Message: "no file"},
		{Code: diag.Unreadable, File: "a"},
		{Code: diag.Syntax, File: "a", Line: 1, Column: 1},
		{Code: diag.Syntax, File: "a", Line: 1, Column: 2, Path: "app.a"},
		{Code: diag.Syntax, File: "a", Line: 1, Column: 2, Path: "app.b", Message: "1"},
		{Code: diag.Syntax, File: "a", Line: 1, Column: 2, Path: "app.b", Message: "2"},
		{Code: diag.WrongType, File: "a", Line: 1, Column: 2},
		{Severity: diag.Warning, Code: diag.NoProbe, File: "a", Line: 1, Column: 2},
		{Code: diag.Syntax, File: "a", Line: 2, Column: 1},
		{Code: diag.Syntax, File: "a", Line: 10, Column: 1},
		{Code: diag.Syntax, File: "b", Line: 1, Column: 1},
	}
	for range 50 {
		l := slices.Clone(sorted)
		rand.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
		l.Sort()
		if d := cmp.Diff(sorted, l); d != "" {
			t.Fatalf("-want +got:\n%s", d)
		}
	}
}

func TestCountAndHasErrors(t *testing.T) {
	warning := diag.Diagnostic{Severity: diag.Warning}
	for _, c := range []struct {
		list             diag.List
		errors, warnings int
	}{{nil, 0, 0}, {diag.List{warning}, 0, 1}, {diag.List{warning, {}, {}}, 2, 1}} {
		if e, w := c.list.Count(); e != c.errors || w != c.warnings || c.list.HasErrors() != (c.errors > 0) {
			t.Errorf("%v: %d errors, %d warnings, HasErrors %v", c.list, e, w, c.list.HasErrors())
		}
	}
}

// Each code is documented once, in words that end like sentences.
func TestCodesAreDocumented(t *testing.T) {
	seen := map[diag.Code]bool{}
	for _, e := range diag.Codes {
		if seen[e.Code] {
			t.Errorf("%s stands twice", e.Code)
		}
		seen[e.Code] = true
		if e.Code == "" || strings.ToLower(string(e.Code)) != string(e.Code) || !strings.HasSuffix(e.Meaning, ".") || !strings.HasSuffix(e.Mend, ".") {
			t.Errorf("the entry of %q is not whole: %+v", e.Code, e)
		}
	}
}
