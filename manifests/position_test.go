package manifests_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
)

// mark stands right before the place where a person would point for a path.
var mark = regexp.MustCompile(`⟦[^⟧]*⟧`)

// unmark takes the marks out of a text and returns where they stood.
func unmark(marked string) (text string, places map[string][2]int) {
	places = map[string][2]int{}
	for {
		m := mark.FindStringIndex(marked)
		if m == nil {
			return marked, places
		}
		path := strings.Trim(marked[m[0]:m[1]], "⟦⟧")
		before := marked[:m[0]]
		places[path] = [2]int{1 + strings.Count(before, "\n"), len(before) - strings.LastIndex(before, "\n")}
		marked = before + marked[m[1]:]
	}
}

// A scalar or list is shown where it begins, a map at its key: the first key
// within says less.
func TestPositions(t *testing.T) {
	for _, c := range []struct{ what, name, text string }{
		{"block", "x.yaml", "# comment\n⟦app⟧app:\n  id: ⟦app.id⟧x\n  name:   ⟦app.name⟧\"x\" # comment\n  ⟦app.container⟧container:\n    image: ⟦app.container.image⟧x\n    ports: \n    ⟦app.container.ports⟧- ⟦app.container.ports[0]⟧80\n    - ⟦app.container.ports[1]⟧container: ⟦app.container.ports[1].container⟧81\n"},
		{"flow", "x.yaml", "{⟦app⟧app: {id: ⟦app.id⟧x, ⟦app.container⟧container: {command: ⟦app.container.command⟧[⟦app.container.command[0]⟧a, ⟦app.container.command[1]⟧'b']}}}"},
		{"block scalars", "x.yaml", "app:\n  description: ⟦app.description⟧|-\n    one\n    two\n  name: ⟦app.name⟧>-\n    three\n  version: ⟦app.version⟧plain\n   and more\n  id: ⟦app.id⟧x\n"},
		{"other letters", "x.yaml", "app: {name: \"Ünïcödé 日本 😀\", id: ⟦app.id⟧x, container: {env: {B: ä, C: ⟦app.container.env.C⟧ö}}}\n"},
		{"keys with dots", "x.yaml", "app:\n  container:\n    labels:\n      a.b: ⟦app.container.labels.a.b⟧x\n      a: ⟦app.container.labels.a⟧y\n      \"a.b.c\": ⟦app.container.labels.a.b.c⟧z\n"},
		{"nothing behind a key", "x.yaml", "app:\n  id: x\n  ⟦app.container⟧container:\n  ⟦app.ui⟧ui: ~\n"},

		{"tables", "x.toml", "# comment\n[⟦app⟧app]\nid = ⟦app.id⟧\"x\"\n  name=⟦app.name⟧'x' # comment\n\n[ app . ⟦app.container⟧container ]\nimage\t=\t⟦app.container.image⟧\"x\"\nread_only = ⟦app.container.read_only⟧true\n"},
		{"dotted keys", "x.toml", "⟦app⟧app.id = ⟦app.id⟧\"x\"\napp.⟦app.container⟧container.image = ⟦app.container.image⟧\"x\"\napp . container . \"user\" = ⟦app.container.user⟧\"1\"\n"},
		{"inline tables", "x.toml", "⟦app⟧app = { id = ⟦app.id⟧\"x\", ⟦app.container⟧container = { command = ⟦app.container.command⟧[ ⟦app.container.command[0]⟧'a', ⟦app.container.command[1]⟧\"]\" ], user = ⟦app.container.user⟧'1' } }\n"},
		{"arrays of tables", "x.toml", "[app]\n[[app.⟦app.provides[0]⟧provides]]\ncapability = ⟦app.provides[0].capability⟧\"a\"\n[[app.⟦app.provides[1]⟧provides]]\ncapability = ⟦app.provides[1].capability⟧\"b\"\n[app.provides.⟦app.provides[1].exports⟧exports]\nuser = ⟦app.provides[1].exports.user⟧\"u\"\n"},
		{"arrays in arrays of tables", "x.toml", "[[app.hooks.pre_start]]\nrun = [⟦app.hooks.pre_start[0].run[0]⟧\"a\"]\n[[app.hooks.pre_start]]\nrun = [\n  # comment, with ] and \"\n  ⟦app.hooks.pre_start[1].run[0]⟧\"a\",\n  ⟦app.hooks.pre_start[1].run[1]⟧'''b\n]''', ⟦app.hooks.pre_start[1].run[2]⟧\"c\",\n]\npart = ⟦app.hooks.pre_start[1].part⟧\"main\"\n"},
		{"strings over lines", "x.toml", "[app]\nname = ⟦app.name⟧\"\"\"\na \\\"\"\" = [\nid = \"no\"\n\"\"\"\"\nversion = ⟦app.version⟧'''\nid = 'no''''\nid = ⟦app.id⟧\"x\"\n"},
		{"strings with escapes", "x.toml", "[app]\nname = \"a\\\"b # no comment\"\nversion = 'c\\'\nid = ⟦app.id⟧\"x\"\n"},
		{"quoted keys", "x.toml", "[app.container.labels]\n\"a.b\" = ⟦app.container.labels.a.b⟧\"x\"\n'a' = ⟦app.container.labels.a⟧\"y\"\n\"\\u0061.b.c\" = ⟦app.container.labels.a.b.c⟧\"z\"\n"},
		{"other letters", "x.toml", "app = { name = \"Ünïcödé 日本 😀\", id = ⟦app.id⟧\"x\" }\n"},
		{"numbers and dates", "x.toml", "[app]\nversion = ⟦app.version⟧1.10\nname = ⟦app.name⟧1979-05-27 07:32:00\nid = ⟦app.id⟧0x10\nicon = ⟦app.icon⟧+inf\n"},
		{"a table named again", "x.toml", "[app.⟦app.container⟧container.limits]\npids = ⟦app.container.limits.pids⟧1\n[app.container]\nimage = ⟦app.container.image⟧\"x\"\n[app]\nid = ⟦app.id⟧\"x\"\n"},
	} {
		t.Run(c.name[2:]+" "+c.what, func(t *testing.T) {
			text, places := unmark(c.text)
			for _, variant := range []struct{ what, text string }{
				{"as it is", text},
				{"CR LF", strings.ReplaceAll(text, "\n", "\r\n")},
				{"byte order mark", "\ufeff" + text},
			} {
				m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: c.name, Data: []byte(variant.text)}})
				if m == nil {
					t.Fatalf("%s: %v", variant.what, diags)
				}
				for path, want := range places {
					if _, line, column := m.Position(path); [2]int{line, column} != want {
						t.Errorf("%s: %s is shown at %d:%d, want %d:%d in\n%s", variant.what, path, line, column, want[0], want[1], text)
					}
				}
			}
		})
	}
}

// A path that the file does not have is shown at what is nearest to it.
func TestPositionOfWhatIsNotThere(t *testing.T) {
	m, _ := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte("app:\n  id: x\n  container:\n    ports: [80]\n")}})
	for path, line := range map[string]int{
		"": 1, "schema": 1, "app.nothing": 1, "app.container.image": 3, "app.container.ports[7]": 4, "app.container.ports[x]": 4, "app.container.ports[0].host": 4,
	} {
		if file, got, column := m.Position(path); got != line || column < 1 || file != "x.yaml" {
			t.Errorf("%q is shown at %s:%d:%d, want line %d", path, file, got, column, line)
		}
	}
}
