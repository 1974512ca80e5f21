package syntax_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// show writes a tree as one line: keys with their places, and values.
func show(n *syntax.Node) string {
	if n == nil {
		return "none"
	}
	switch n.Kind {
	case syntax.MapNode:
		list := make([]string, 0, len(n.Entries))
		for _, e := range n.Entries {
			list = append(list, fmt.Sprintf("%s@%s:%d:%d=%s", e.Key, e.At.File, e.At.Line, e.At.Column, show(e.Value)))
		}
		return "{" + strings.Join(list, " ") + "}"
	case syntax.ListNode:
		list := make([]string, 0, len(n.Items))
		for _, item := range n.Items {
			list = append(list, show(item))
		}
		return "[" + strings.Join(list, " ") + "]"
	case syntax.NullNode:
		return "null"
	case syntax.BrokenNode:
		return "broken"
	case syntax.ScalarNode:
	}
	return n.Text
}

// TestFollowAliases: a value keeps its place, and a merged key has that of the merge.
func TestFollowAliases(t *testing.T) {
	for name, tt := range map[string]struct{ text, want, problem string }{
		"an alias":               {"a: &x {k: v}\nb: *x\n", "{a@x.yaml:1:1={k@x.yaml:1:8=v} b@x.yaml:2:1={k@x.yaml:1:8=v}}", ""},
		"a merge":                {"a: &x {k: v, l: w}\nb:\n  <<: *x\n  l: own\n", "{a@x.yaml:1:1={k@x.yaml:1:8=v l@x.yaml:1:14=w} b@x.yaml:2:1={l@x.yaml:4:3=own k@x.yaml:3:3=v}}", ""},
		"the first of two wins":  {"b:\n  <<: [{k: one}, {k: two, l: w}]\n", "{b@x.yaml:1:1={k@x.yaml:2:3=one l@x.yaml:2:3=w}}", ""},
		"a merge of no map":      {"b:\n  <<: text\n", "{b@x.yaml:1:1={}}", "x.yaml:2:3: error: a merge key takes a map, or a list of maps [wrong-type]"},
		"an alias within itself": {"a: &x [*x]\n", "", "[too-deep]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &syntax.Reader{File: "x.yaml", FollowAliases: true}
			n := r.Read([]byte(tt.text))
			if tt.want != "" && show(n) != tt.want {
				t.Errorf("got  %s\nwant %s", show(n), tt.want)
			}
			if (len(r.Diags) > 0) != (tt.problem != "") || len(r.Diags) > 0 && !strings.Contains(r.Diags[0].String(), tt.problem) {
				t.Errorf("got %v, want %q", r.Diags, tt.problem)
			}
		})
	}
}

// TestRead: both encodings give one tree, and every key knows its place.
func TestRead(t *testing.T) {
	for name, tt := range map[string]struct{ file, text, want, problems string }{
		"a YAML map":            {"a.yaml", "app:\n  id: x\n  ports: [80, 443]\n", "{app@a.yaml:1:1={id@a.yaml:2:3=x ports@a.yaml:3:3=[80 443]}}", ""},
		"the same in TOML":      {"a.toml", "[app]\nid = \"x\"\nports = [80, 443]\n", "{app@a.toml:1:2={id@a.toml:2:1=x ports@a.toml:3:1=[80 443]}}", ""},
		"text stays text":       {"a.yaml", "v: 1.10\n", "{v@a.yaml:1:1=1.10}", ""},
		"only comments":         {"a.yaml", "# nothing\n", "{}", ""},
		"a key twice":           {"a.yaml", "a: 1\na: 2\n", "{a@a.yaml:1:1=1}", "a.yaml:2:1"},
		"a tab for indentation": {"a.yaml", "a:\n\tb: 1\n", "none", "a.yaml:2:1"},
		"TOML cut short":        {"a.toml", "[app\n", "none", "a.toml:1:"},
		"another encoding":      {"a.json", "{}", "none", "a.json"},
		"a NUL byte":            {"a.yaml", "a: \x00\n", "none", "a.yaml:1:4"},
		"bytes of Latin 1":      {"a.yaml", "a: \xe4\n", "none", "a.yaml:1:4"},
		"nested too deep":       {"a.yaml", strings.Repeat("[", 40) + strings.Repeat("]", 40), "", "a.yaml:1:"},
	} {
		t.Run(name, func(t *testing.T) {
			r := syntax.Reader{File: tt.file}
			tree := r.Read([]byte(tt.text))
			if d := cmp.Diff(tt.want, show(tree)); tt.want != "" && d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			var problems string
			if len(r.Diags) > 0 {
				problems = r.Diags[0].String()
			}
			if !strings.HasPrefix(problems, tt.problems) || (tt.problems == "") != (problems == "") {
				t.Errorf("problems: %s, want %s", problems, tt.problems)
			}
		})
	}
}

// TestOverlay: maps are merged, other values replaced, null takes away, key+ appends, and
// every value keeps the file that it came from.
func TestOverlay(t *testing.T) {
	r := syntax.Reader{File: "a.yaml"}
	base := r.Read([]byte("a: {x: 1, y: 2}\nlist: [one]\ngone: 1\nkept: 1\n"))
	r.File = "b.yaml"
	over := r.Read([]byte("a: {y: 3}\nlist+: [two]\ngone: null\nnew: 1\n"))
	got := show(r.Overlay(base, over, ""))
	const want = "{a@a.yaml:1:1={x@a.yaml:1:5=1 y@a.yaml:1:11=3} list@a.yaml:2:1=[one two] kept@a.yaml:4:1=1 new@b.yaml:4:1=1}"
	if d := cmp.Diff(want, got); d != "" || len(r.Diags) > 0 {
		t.Errorf("%v, -want +got:\n%s", r.Diags, d)
	}
	over = r.Read([]byte("kept+: [two]\n"))
	if r.Overlay(base, over, ""); len(r.Diags) != 1 {
		t.Errorf("appending to a number: %v", r.Diags)
	}
}

// FuzzRead: no file makes the reader panic, and every position is in the file.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"app: {id: x, ports: [80]}\n", "[app]\nid = 'x'\n[[app.ports]]\nhost = 80\n", "a: &x [*x]\n", "a: |\n  text\n", "\"a\\tb\" = 1"} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, isYAML bool) {
		r := syntax.Reader{File: "a.toml"}
		if isYAML {
			r.File = "a.yaml"
		}
		tree := r.Read(text)
		lines := 2 + bytes.Count(text, []byte("\n"))
		for _, d := range r.Diags {
			if d.Line < 0 || d.Line > lines {
				t.Errorf("%v is beyond the file's %d lines", d, lines)
			}
		}
		demandInside(t, tree, lines)
	})
}

func demandInside(t *testing.T, n *syntax.Node, lines int) {
	t.Helper()
	if n == nil {
		return
	}
	if n.At.Line < 1 || n.At.Line > lines || n.At.Column < 1 {
		t.Errorf("%s is at %v, of %d lines", n.Text, n.At, lines)
	}
	for _, e := range n.Entries {
		demandInside(t, e.Value, lines)
	}
	for _, item := range n.Items {
		demandInside(t, item, lines)
	}
}
