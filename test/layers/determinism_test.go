package layers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// deterministic is the packages, with all below them, whose result depends only on their
// input: the same manifests result in the same units and the same diagnostics on every
// machine, under any load.
var deterministic = []string{"manifests", "generator"}

// nondeterministic is what differs between two runs or two machines: the clock, randomness,
// the environment, files and other processes. A package without names is forbidden as a
// whole.
var nondeterministic = map[string][]string{
	"context":               {"WithDeadline", "WithDeadlineCause", "WithTimeout", "WithTimeoutCause"},
	"crypto/rand":           nil,
	"golang.org/x/sys/unix": nil,
	"math/rand":             nil,
	"math/rand/v2":          nil,
	"net":                   {"Dial", "DialTimeout", "Dialer", "Interfaces", "InterfaceAddrs", "Listen", "LookupHost", "LookupIP", "Resolver"},
	"net/http":              nil,
	"os":                    nil,
	"os/exec":               nil,
	"os/signal":             nil,
	"os/user":               nil,
	"path/filepath":         {"Abs", "EvalSymlinks", "Glob", "Walk", "WalkDir"},
	"syscall":               nil,
	"time":                  {"After", "AfterFunc", "LoadLocation", "Local", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"},
}

// exceptions is the files that may use it, and why.
var exceptions = map[string]string{
	"generator/compile/named.go":           "it is asked for paths, and tells files from directories",
	"manifests/catalog/entries.go":         "it lists the directories of a catalog",
	"manifests/installed/change.go":        "it owns the directory of installed manifests",
	"manifests/installed/installed.go":     "it owns the directory of installed manifests",
	"manifests/internal/reference/main.go": "it is a program: it writes the generated pages",
	"manifests/read.go":                    "it is what the loader of manifests reads files with",
}

func TestManifestsAndGeneratorAreDeterministic(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		top, _, _ := strings.Cut(name, "/")
		if !slices.Contains(deterministic, top) {
			continue
		}
		for _, file := range p.GoFiles {
			at := path.Join(name, file)
			found, err := uses(path.Join(p.Dir, file), nil)
			if err != nil {
				t.Fatal(err)
			}
			if used[at] = len(found) > 0; used[at] && exceptions[at] == "" {
				t.Errorf("%s uses %s: have its caller give it the value", at, strings.Join(found, ", "))
			}
		}
	}
	for file := range exceptions {
		if !used[file] {
			t.Errorf("%s needs no exception", file)
		}
	}
}

// uses lists what a file uses of the nondeterministic packages, sorted. If source is nil it
// reads the file.
func uses(name string, source any) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []string
	imported := map[string]string{}
	for _, i := range file.Imports {
		pkg, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		names, isListed := nondeterministic[pkg]
		switch local := localName(pkg, i.Name); {
		case !isListed:
		case names == nil || local == ".":
			found = append(found, pkg)
		default:
			imported[local] = pkg
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && slices.Contains(nondeterministic[imported[x.Name]], s.Sel.Name) {
			found = append(found, fmt.Sprintf("%s.%s", imported[x.Name], s.Sel.Name))
		}
		return true
	})
	slices.Sort(found)
	return slices.Compact(found), nil
}

// localName is the name by which a file uses an imported package. For each package that the
// list names in part, that is the last element of the path.
func localName(pkg string, given *ast.Ident) string {
	if given != nil {
		return given.Name
	}
	return path.Base(pkg)
}

func TestUses(t *testing.T) {
	for source, want := range map[string][]string{
		`import "time"; var d = 5 * time.Second`:                              nil,
		`import "time"; var t = time.Now()`:                                   {"time.Now"},
		`import "time"; var now = time.Now; func f() { time.Sleep(1) }`:       {"time.Now", "time.Sleep"},
		`import clock "time"; var t = clock.Since(x)`:                         {"time.Since"},
		`import . "time"; var t = Now()`:                                      {"time"},
		`import "os"; var home = os.Getenv("HOME")`:                           {"os"},
		`import _ "math/rand/v2"`:                                             {"math/rand/v2"},
		`import "path/filepath"; var a, b = filepath.Join(), filepath.Abs(c)`: {"path/filepath.Abs"},
		`import time "x/time"; var t = time.Now()`:                            nil,
	} {
		found, err := uses("x.go", "package x; "+source)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, found); d != "" {
			t.Errorf("%s (-want +found):\n%s", source, d)
		}
	}
}
