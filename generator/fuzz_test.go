package generator

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/generator/conform"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// keyOf is a key of each class whose values Podman looks up.
var keyOf = map[class]string{words: "PodmanArgs", bareWords: "Sysctl", line: "Tmpfs", single: "HostName"}

// FuzzEscape holds the two sides of the writer and Podman's parser against
// each other. value is written, and text stands for anything that might have
// been written: what the reading side says that it means, Podman has to read.
func FuzzEscape(f *testing.F) {
	for _, s := range append(append([]string{manifests.FactMark("ARCHIPELAGO_X"), manifests.FactMark("X\n"), "\ufdd1ARCHIPELAGO_X", `"${ARCHIPELAGO_X}"`, "", `"a b"`, `"%%n $$X"`, `a\x41`, "a b", `'a'`, `"a`}, fragments...), unspeakable...) {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, value, text string) {
		for c := words; c <= inert; c++ {
			escaped, err := appendEscaped(nil, c, value)
			if err != nil {
				if len(escaped) > 0 {
					t.Errorf("%s %q is refused, but %q is written", c, value, escaped)
				}
				continue
			}
			if rest, err := matchEscaped(string(escaped), c, value); err != nil || rest != "" {
				t.Errorf("%s %q is written %q, which reads back with %q left: %v", c, value, escaped, rest, err)
			}
			if bytes.ContainsAny(escaped, "\n\r") {
				t.Errorf("%s %q is written as more than a line: %q", c, value, escaped)
			}
			if !manifests.HasFact(value) { // which systemd replaces
				parsesAs(t, c, string(escaped), value)
			}
		}
		for c := range keyOf {
			if meaning, ok := meaningOf(c, text); ok {
				parsesAs(t, c, text, meaning)
			}
		}
	})
}

// meaningOf is what the reading side takes text for, if for one whole value.
func meaningOf(c class, text string) (string, bool) {
	if strings.ContainsAny(text, "\n\x00") || !utf8.ValidString(text) {
		return "", false // never written, and read by bytes
	}
	var got []byte
	var rest string
	var err error
	if c == words {
		got, rest, err = readWord(nil, text)
	} else {
		got, err = readLine(nil, text, "%$")
	}
	if err != nil || rest != "" || manifests.HasFact(string(got)) {
		return "", false
	}
	_, err = matchEscaped(text, c, string(got))
	return string(got), err == nil
}

// parsesAs demands that Podman's parser reads the text of a key as value.
func parsesAs(t *testing.T, c class, text, value string) {
	t.Helper()
	key, ok := keyOf[c]
	if !ok {
		return
	}
	got, err := conform.Values([]byte("[Container]\n"+key+"="+text+"\n"), "Container", key)
	if err != nil || len(got) != 1 || undouble(got[0]) != value {
		t.Errorf("%s %q: Podman reads %q as %q (%v)", c, value, text, got, err)
	}
}

func undouble(s string) string {
	return strings.NewReplacer("%%", "%", "$$", "$").Replace(s)
}

// FuzzRenderParse feeds a manifest in: nothing may panic, and what is rendered
// must be, line for line, what Podman reads. Where the manifest is refused
// there must be an error that says why.
func FuzzRenderParse(f *testing.F) {
	files, err := filepath.Glob("testdata/keys/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for i, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, in := range a.Files {
			if filepath.Ext(in.Name) == ".yaml" {
				f.Add(in.Data, uint8(i))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, podman uint8) {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: data}, Dir: "/apps"})
		if m == nil {
			explained(t, diags)
			return
		}
		m.Document.App.Requires = nil // who provides it is not in this set
		diags = append(diags, manifests.Validate(m)...)
		set, problems := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		if diags = append(diags, problems...); diags.HasErrors() {
			explained(t, diags)
			return
		}
		target := Target{Podman: podmans[int(podman)%len(podmans)], Generator: "fuzz"}
		result, diags := Render(set, target)
		if diags.HasErrors() {
			explained(t, diags)
			return
		}
		again, _ := Render(set, target)
		for i, file := range result.Files {
			if !bytes.Equal(file.Content, again.Files[i].Content) {
				t.Errorf("%s differs from one rendering to the next", file.Name)
			}
			readable(t, file)
		}
		for _, finding := range conform.Check(result.Files, units.User) {
			t.Errorf("Podman refuses what was rendered: %s:%d: %s", finding.File, finding.Line, finding.Message)
		}
	})
}

// explained demands errors that a person can act on.
func explained(t *testing.T, diags diag.List) {
	t.Helper()
	if !diags.HasErrors() {
		t.Error("nothing was rendered, and no error says why")
	}
	for _, d := range diags {
		if d.Code == "" || d.Message == "" || strings.ContainsFunc(d.String(), unicode.IsControl) {
			t.Errorf("a diagnostic is no help: %+v", d)
		}
		if strings.Contains(d.Hint, "mistake in archgen") {
			t.Errorf("archgen misunderstands itself: %v", d)
		}
	}
}

// readable demands that Podman reads as many values of each key as lines of it
// were written, and none of them empty.
func readable(t *testing.T, file units.File) {
	t.Helper()
	section, written := "", map[string]int{}
	for l := range strings.Lines(string(file.Content)) {
		key, _, ok := strings.Cut(strings.TrimSpace(l), "=")
		switch {
		case strings.HasPrefix(l, "["):
			section = strings.Trim(key, "[]")
		case ok && quadletKeys[section] != nil && l[0] != '#':
			written[section+"/"+key]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		section, key, _ := strings.Cut(name, "/")
		got, err := conform.Values(file.Content, section, key)
		switch {
		case err != nil:
			t.Errorf("%s: %v", file.Name, err)
		case key != "Exec" && len(got) != written[name]:
			t.Errorf("%s: %d lines %s=, and Podman reads %q", file.Name, written[name], key, got)
		case slices.Contains(got, ""):
			t.Errorf("%s: an empty %s=: %q", file.Name, key, got)
		}
	}
}
