package manifests_test

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// fill repeats what piece makes, up to a quarter of the size that is read.
func fill(head string, piece func(i int) string, tail string) string {
	var b strings.Builder
	b.WriteString(head)
	for i := 0; b.Len() < manifests.MaxFileSize/4; i++ {
		b.WriteString(piece(i))
	}
	b.WriteString(tail)
	return b.String()
}

func same(s string) func(int) string { return func(int) string { return s } }

const (
	yamlHead = "app:\n  id: x\n  name: x\n  version: 1.0.0\n  container:\n    image: docker.io/library/x:1\n"
	tomlHead = "[app]\nid = \"x\"\nname = \"x\"\nversion = \"1.0.0\"\n[app.container]\nimage = \"docker.io/library/x:1\"\n"
)

// hostile is files that cost a careless reader a lot of time, memory or stack.
func hostile() map[string]string {
	key := func(format string) func(int) string {
		return func(i int) string { return fmt.Sprintf(format, i) }
	}
	var bomb strings.Builder
	bomb.WriteString("a: &a [x, x, x, x, x, x, x, x, x]\n")
	for i := 'b'; i < 'z'; i++ {
		fmt.Fprintf(&bomb, "%c: &%c [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", i-1), 9), ", "))
	}
	repeat := strings.Repeat
	return map[string]string{
		"alias bomb.yaml":            bomb.String(),
		"alias of itself.yaml":       "app: &a [*a]\n",
		"merge bomb.yaml":            fill("a: &a {b: c}\n", key("k%d: {<<: [*a, *a, *a]}\n"), ""),
		"flow lists 10000 deep.yaml": "app: " + repeat("[", 10_000) + repeat("]", 10_000),
		"flow lists too deep.yaml":   fill("app: ", same("["), ""),
		"flow maps too deep.yaml":    fill("app: ", same("{a: "), ""),
		"dashes too deep.yaml":       fill("", same("- "), "x"),
		"question marks.yaml":        fill("", same("? "), "x"),
		"indents 1000 deep.yaml":     fill("", func(i int) string { return repeat(" ", i) + "a:\n" }, ""),
		"keys.yaml":                  fill("", key("k%d: 1\n"), ""),
		"unknown keys.yaml":          fill(yamlHead, key("    k%d: 1\n"), ""),
		"long unknown keys.yaml":     fill(yamlHead, key("    "+repeat("k", 50)+"%08d: 1\n"), ""),
		"one key.yaml":               fill("", same("a: 1\n"), ""),
		"variables.yaml":             fill(yamlHead+"    env:\n", key("      V%d: 1\n"), ""),
		"listed variables.yaml":      fill(yamlHead+"    env:\n", key("    - V%d=1\n"), ""),
		"ports.yaml":                 fill(yamlHead+"    ports:\n", same("    - 1:1\n"), ""),
		"empty ports.yaml":           fill(yamlHead+"    ports:\n", same("    - {}\n"), ""),
		"named ports.yaml":           fill(yamlHead+"    ports:\n", key("    - {container: 1, name: p%d}\n"), ""),
		"port ranges.yaml":           fill(yamlHead+"    ports:\n", same("    - 1-1000:1-1000\n"), ""),
		"containers.yaml":            fill("app:\n  id: x\n  name: x\n  version: 1.0.0\n  containers:\n    main: {}\n", key("    c%d: {}\n"), ""),
		"chained parts.yaml": fill("app:\n  id: x\n  name: x\n  version: 1.0.0\n  containers:\n    main: {image: x}\n", func(i int) string {
			return fmt.Sprintf("    c%d: {image: x, after: [{part: c%d}]}\n", i, i+1)
		}, ""),
		"unknown secrets.yaml":  fill(yamlHead+"    secrets:\n"+strings.Repeat("    - {name: abcdefgh}\n", 20_000)+"  secrets:\n", key("  - {name: s%d}\n"), ""),
		"volumes.yaml":          fill(yamlHead+"    volumes:\n", key("    - {name: v%d, target: /a}\n"), ""),
		"hooks.yaml":            fill(yamlHead+"  hooks:\n    pre_start:\n", same("    - {ensure_dir: {volume: abc, path: a}}\n"), ""),
		"requires.yaml":         fill(yamlHead+"  requires:\n", key("  - {capability: c%d}\n"), ""),
		"comments.yaml":         fill("", same("#\n"), "app: {}\n"),
		"comments in list.yaml": fill("a:\n", same("- #a\n"), ""),
		"comments behind.yaml":  fill("", key("k%d: #a\n  #b\n\n#c\n"), ""),
		"a long key.yaml":       fill("", same("k"), ": 1\n"),
		"a long quote.yaml":     fill("app: \"", same("\\x41"), "\"\n"),
		"an open quote.yaml":    fill("app: \"", same("x\n"), ""),
		"an open list.yaml":     fill("app: [", same("x,\n"), ""),
		"bad lines.yaml":        fill(yamlHead, same("  x\n"), ""),
		"documents.yaml":        fill("", same("---\n"), ""),
		"a long command.yaml":   fill(yamlHead+"    command: ", same("a "), "\n"),
		"variables used.yaml":   fill(yamlHead+"    command: [", same("'${x}',"), "]\n"),
		"tags.yaml":             fill("", key("k%d: !a b\n"), ""),
		"directives.yaml":       fill(yamlHead+"    unit:\n      Service:\n", key("        K%d: [a]\n"), ""),
		"sections.yaml":         fill(yamlHead+"    unit:\n", key("      K%d: {a: [a]}\n"), ""),
		"arguments.yaml":        fill(yamlHead+"    podman_args:\n", same("    - a\n"), ""),

		"lists 10000 deep.toml":       "app = " + repeat("[", 10_000) + repeat("]", 10_000) + "\n",
		"lists too deep.toml":         fill("app = ", same("["), ""),
		"closed lists too deep.toml":  "app = " + repeat("[", 500_000) + repeat("]", 500_000) + "\n",
		"tables too deep.toml":        fill("app = ", same("{a="), ""),
		"dotted key 10000 deep.toml":  repeat("a.", 10_000) + "a = 1\n",
		"dotted key too deep.toml":    fill("", same("a."), "a = 1\n"),
		"header too deep.toml":        "[" + fill("", same("a."), "a]\n"),
		"quoted header too deep.toml": "[" + fill("", same("''."), "a]\n"),
		"deep headers.toml":           fill("", func(i int) string { return "[" + repeat("a.", 30) + fmt.Sprintf("k%d]\n", i) }, ""),
		"keys.toml":                   fill("", key("k%d=1\n"), ""),
		"unknown keys.toml":           fill(tomlHead, key("k%d=1\n"), ""),
		"tables.toml":                 fill("", key("[k%d]\n"), ""),
		"array of tables.toml":        fill("", same("[[a]]\n"), ""),
		"dotted keys.toml":            fill("", key("a.b.c.k%d=1\n"), ""),
		"inline table.toml":           fill("a={", key("k%d=1,"), "z=1}\n"),
		"list.toml":                   fill("a=[", same("1,"), "]\n"),
		"an open list.toml":           fill("a=[", same("1,"), ""),
		"an open quote.toml":          fill("a=\"", same("x"), ""),
		"an open long quote.toml":     fill("a='''", same("x\n"), ""),
		"ports.toml":                  fill(tomlHead, same("[[app.container.ports]]\ncontainer=1\n"), ""),
		"comments.toml":               fill("", same("#\n"), ""),
	}
}

// Whatever a file holds, reading it and saying all that is wrong ends soon.
func TestHostileFiles(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			start := processorTime(t)
			src := manifests.Source{Name: name, Data: []byte(text)}
			m, diags := manifests.Parse(manifests.Input{Manifest: src, Overlays: []manifests.Source{src}})
			if m != nil {
				diags = append(diags, manifests.Validate(m)...)
				_, problems := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
				diags = append(diags, problems...)
			}
			printer := diag.Printer{Source: func(string) []byte { return src.Data }}
			if err := printer.Print(io.Discard, diags); err != nil {
				t.Fatal(err)
			}
			// A quadratic step takes minutes, the race detector seconds.
			if took := processorTime(t) - start; took > 5*time.Second {
				t.Errorf("%d bytes and %d findings took %v of processor time", len(text), len(diags), took)
			}
			if len(diags) == 0 {
				t.Error("nothing is said about it")
			}
		})
	}
}

// processorTime is what this process has used: a busy machine does not count.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
