package compose

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/test/corpus"
)

// Whatever a file holds: no panic, the same report twice, and what is written passes the checks.
func FuzzImport(f *testing.F) {
	for _, c := range cases(f) {
		for name, file := range c.FS {
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

func envOf(c corpus.Case) []byte {
	if env := c.FS[".env"]; env != nil {
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

// Each case is imported or refused when its file is cut off, and when one of its lines is missing.
func TestCutFiles(t *testing.T) {
	t.Parallel()
	corpus.Cut(t, cases(t), "compose.yaml", "compose.yml", "docker-compose.yml")
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
	all := cases(b)
	for b.Loop() {
		for i := range 400 {
			if err := all[i%len(all)].Import().Print(io.Discard, false); err != nil {
				b.Fatal(err)
			}
		}
	}
}
