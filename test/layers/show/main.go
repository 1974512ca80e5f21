// Command show prints the packages of this module, the lowest first, each with its imports
// from this module.
package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const module = "github.com/archipelago-os/archipelago/"

func main() {
	imports, err := graph()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	levels := map[string]int{}
	names := slices.SortedFunc(maps.Keys(imports), func(a, b string) int {
		if d := level(a, imports, levels) - level(b, imports, levels); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var out bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&out, "%2d  %-28s %s\n", levels[name], name, strings.Join(imports[name], " "))
	}
	fmt.Print(out.String()) //nolint:forbidigo // the output is all that the command does
}

// graph returns the imports of each package from this module.
func graph() (map[string][]string, error) {
	list, err := exec.Command("go", "list", "-f", "{{.ImportPath}}{{range .Imports}} {{.}}{{end}}", module+"...").Output() //nolint:noctx // it ends by itself
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	imports := map[string][]string{}
	for line := range strings.Lines(string(list)) {
		words := strings.Fields(line)
		var ours []string
		for _, w := range words[1:] {
			if name, isOurs := strings.CutPrefix(w, module); isOurs {
				ours = append(ours, name)
			}
		}
		imports[strings.TrimPrefix(words[0], module)] = ours
	}
	return imports, nil
}

// level returns 0 for a package without imports from this module, else one more than its
// highest import. Go forbids cycles.
func level(name string, imports map[string][]string, known map[string]int) int {
	if n, isKnown := known[name]; isKnown {
		return n
	}
	n := 0
	for _, below := range imports[name] {
		n = max(n, 1+level(below, imports, known))
	}
	known[name] = n
	return n
}
