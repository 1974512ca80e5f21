package generator_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// TestCostOfTemplates: the templates of an app are bounded together, with the place of what
// is too much; a template that many files have in common is checked once.
func TestCostOfTemplates(t *testing.T) {
	t.Parallel()
	const loop = "{{range 60000}}{{if false}}{{end}}{{end}}" // 240,000 steps
	for name, c := range map[string]struct {
		parts, files int
		template     string
		want         string
	}{
		"one template, many files":    {1, 60, loop, ""},
		"one template, many parts":    {4, 60, loop, ""},
		"one more":                    {5, 60, loop, "t.conf:1:9: error: the templates take more than 1000000 steps together [template]"},
		"much text":                   {1, 4, strings.Repeat("x", 256<<10), ""},
		"more text":                   {1, 400, strings.Repeat("x", 256<<10), "x.yaml:13:8: error: the templates of an app may have 1048576 bytes together, each as often as it is used [too-large]"},
		"a template that is too long": {1, 1, strings.Repeat("x", 256<<10+1), "t.conf:1:1: error: a template may have 262144 bytes, and this one has 262145 [template]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, appsDir)
			var b strings.Builder
			b.WriteString("app:\n  id: x\n  name: x\n  version: 1.0.0\n  containers:\n")
			for p := range c.parts {
				fmt.Fprintf(&b, "   %s:\n    image: localhost/x:1\n    files:\n", []string{"main", "a", "b", "c", "d"}[p])
				for f := range c.files {
					fmt.Fprintf(&b, "     - {template: t.conf, target: /f%d}\n", f)
				}
			}
			write(t, filepath.Join(dir, "x.yaml"), []byte(b.String()))
			write(t, filepath.Join(dir, "x.files/t.conf"), []byte(c.template))
			_, diags := compile(t, root, "5.4 user", false)
			var got []string
			for _, d := range diags {
				if d.Severity == diag.Error {
					got = append(got, strings.TrimPrefix(strings.TrimPrefix(d.String(), dir+"/"), "x.files/"))
				}
			}
			if text := strings.Join(got, "\n"); text != c.want {
				t.Errorf("%.300s, want %s", text, c.want)
			}
		})
	}
}

// TestCostOfNames: so is what is written down of the names that templates may use.
func TestCostOfNames(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, appsDir)
	var b strings.Builder
	b.WriteString("app:\n  id: x\n  name: x\n  version: 1.0.0\n  secrets:\n")
	for n := range 800 {
		fmt.Fprintf(&b, "   - {name: %s%d}\n", strings.Repeat("s", 40), n)
	}
	b.WriteString("  containers:\n")
	for n := range 200 {
		name := "main"
		if n > 0 {
			name = fmt.Sprintf("p%d", n)
		}
		fmt.Fprintf(&b, "   %s:\n    image: localhost/x:1\n    files: [{template: t.conf, target: /t}]\n", name)
	}
	write(t, filepath.Join(dir, "x.yaml"), []byte(b.String()))
	write(t, filepath.Join(dir, "x.files/t.conf"), nil)
	_, diags := compile(t, root, "5.4 user", false)
	if errs, _ := diags.Count(); errs != 1 || diags[0].Code != diag.TooLarge || diags[0].Line < 800 {
		t.Errorf("%.300v", diags)
	}
}
