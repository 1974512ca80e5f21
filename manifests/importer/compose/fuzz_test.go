package compose

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// Whatever a file holds: no panic, the same report twice, and what is written passes the checks.
func FuzzImport(f *testing.F) {
	for _, c := range corpus(f) {
		for name, file := range c.fsys {
			if strings.HasSuffix(name, "compose.yaml") {
				f.Add(file.Data, envOf(c))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text, env []byte) {
		fsys := fstest.MapFS{
			"compose.yaml": {Data: text}, ".env": {Data: env}, "a.env": {Data: env}, "far.yaml": {Data: text},
			"nginx.conf": {Data: env}, "seed/index.html": {Data: env}, "web/Dockerfile": {Data: env},
		}
		r := Import(fsys, Options{Name: "fuzz"})
		var first, second bytes.Buffer
		if err := r.Print(&first, false); err != nil {
			t.Fatal(err)
		}
		again := Import(fsys, Options{Name: "fuzz"})
		if err := again.Print(&second, false); err != nil {
			t.Fatal(err)
		}
		if first.String() != second.String() {
			t.Errorf("two imports differ:\n%s\n%s", first.String(), second.String())
		}
		if len(r.Files) > 0 {
			demandValid(t, r)
		}
	})
}

func envOf(c testCase) []byte {
	if env := c.fsys[".env"]; env != nil {
		return env.Data
	}
	return nil
}

func demandValid(t *testing.T, r *importer.Result) {
	t.Helper()
	m, found := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: r.Files[0].Path, Data: r.Files[0].Data}})
	if found.HasErrors() {
		t.Fatalf("%v\n%s", found, r.Files[0].Data)
	}
	if found = manifests.Validate(m); found.HasErrors() {
		t.Fatalf("%v\n%s", found, r.Files[0].Data)
	}
}

// Each case is imported or refused when it is cut off, and when one of its lines is missing.
func TestCutFiles(t *testing.T) {
	t.Parallel()
	for _, c := range corpus(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cut(t)
		})
	}
}

func (c testCase) cut(t *testing.T) {
	t.Helper()
	name := (&project{Options: c.options, fsys: c.fsys}).find()
	whole := c.fsys[name].Data
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i := range lines {
		without := slices.Concat(lines[:i:i], lines[i+1:])
		for _, text := range [][]byte{bytes.Join(without, nil), whole[:len(whole)*i/len(lines)]} {
			c.fsys[name] = &fstest.MapFile{Data: text}
			if r := c.run(); len(r.Files) > 0 {
				demandValid(t, r)
			}
		}
	}
}

// A file whose aliases multiply is refused, and soon.
func TestAliasesAreBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("x-0: &a0 {k0: v, k1: v, k2: v, k3: v, k4: v, k5: v, k6: v, k7: v, k8: v, k9: v}\n")
	for i := range 20 {
		fmt.Fprintf(&text, "x-%d: &a%d {l: [*a%d, *a%d, *a%d, *a%d], <<: *a%d}\n", i+1, i+1, i, i, i, i, i)
	}
	r := Import(fstest.MapFS{"compose.yaml": {Data: []byte(text.String() + "services: {web: {image: nginx}}\n")}}, Options{Name: "bomb"})
	if r.Worst() != importer.Refused || len(r.Files) > 0 {
		t.Errorf("it is imported: %s", r.Summary())
	}
	for _, circle := range []string{"a: &a [*a]\n", "services: &a\n  web: *a\n", "x: &x\n  <<: *x\nservices: {web: {image: nginx}}\n"} {
		Import(fstest.MapFS{"compose.yaml": {Data: []byte(circle)}}, Options{Name: "circle"})
	}
}

// 400 projects are imported in well under two seconds.
func BenchmarkImport400(b *testing.B) {
	cases := corpus(b)
	for b.Loop() {
		for i := range 400 {
			if err := cases[i%len(cases)].run().Print(io.Discard, false); err != nil {
				b.Fatal(err)
			}
		}
	}
}
