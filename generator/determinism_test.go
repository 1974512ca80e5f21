package generator_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

var renderTo = flag.String("render-to", "", "render the whole set into this file and do nothing else; for TestRenderIsTheSameElsewhere")

// manyMaps has several entries in every map of the schema: one that is written
// as Go ranges over it comes out in another order each time.
const manyMaps = `
app:
  id: maps
  name: maps
  version: 1.0.0
  links: {website: "https://example.com/1", source: "https://example.com/2", support: "https://example.com/3"}
  containers:
    main:
      image: docker.io/library/x:1
      env: {A: "1", B: "2", C: "3", D: "4"}
      sysctls: {net.a: "1", net.b: "2", net.c: "3", net.d: "4"}
      hosts: {a.internal: 10.0.0.1, b.internal: 10.0.0.2, c.internal: 10.0.0.3, d.internal: 10.0.0.4}
      labels: {com.example.a: a, com.example.b: b, com.example.c: c, com.example.d: d}
      limits: {ulimits: {core: "1", data: "2", fsize: "3", nproc: "4"}}
      ports: [{name: rpc, host: 18332, container: 8332}]
      volumes: [{name: a, target: /a}, {name: b, target: /b}, {name: c, target: /c}]
      health: {serving: {jsonrpc: {port: rpc, method: m, expect: {a: "1", b: "2", c: "3", d: "4"}}}}
      unit:
        Unit: {After: [a.target], WantsMountsFor: [b.target], ConditionPathExists: [/a, /b], Documentation: ["https://example.com/"]}
        Service: {CPUWeight: ["1"], IOWeight: ["2"], LimitCORE: ["3"], Nice: ["4"]}
    a: {build: {context: a, args: {A: "1", B: "2", C: "3", D: "4"}}}
    b: {image: docker.io/library/b:1}
    c: {image: docker.io/library/c:1}
  volumes:
    a: {labels: {com.example.a: a, com.example.b: b, com.example.c: c, com.example.d: d}}
    b: {device: /dev/vdb}
    c: {device: /dev/vdc}
`

// wholeSet is manifests that use much of the schema and need each other.
func wholeSet(t *testing.T) []manifests.Input {
	t.Helper()
	sources := slices.Concat(txtar.Parse([]byte(digestBase)).Files, []txtar.File{{Name: "maps.yaml", Data: []byte(manyMaps)}})
	for _, a := range []string{"testdata/apps/bitcoin-knots.txtar", "testdata/apps/ledger.txtar", "testdata/podman/replaced.txtar"} {
		archive, err := txtar.ParseFile(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range inputs(archive) {
			if filepath.Ext(f.Name) == ".yaml" && f.Name != "x.yaml" {
				sources = append(sources, f)
			}
		}
	}
	list := make([]manifests.Input, 0, len(sources))
	for _, f := range sources {
		list = append(list, manifests.Input{Manifest: manifests.Source{Name: f.Name, Data: f.Data}, Dir: "/apps"})
	}
	return list
}

// text is a set as one text.
func text(files units.Set) []byte {
	var a txtar.Archive
	for _, f := range files {
		a.Files = append(a.Files, txtar.File{Name: f.Name, Data: f.Content})
	}
	return txtar.Format(&a)
}

var (
	anyTarget      = generator.Target{Podman: generator.Default, Generator: "test"}
	manifestDigest = regexp.MustCompile(`(?m)^ManifestDigest=.*$`)
)

// TestRenderIgnoresOrder: neither the order of manifests nor that of the keys
// in their maps shows in the result, nor what Go makes of a map.
func TestRenderIgnoresOrder(t *testing.T) {
	set := wholeSet(t)
	want := text(render(t, set, anyTarget))
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		random.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
		if got := text(render(t, set, anyTarget)); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: the order of the manifests changes the result", seed)
		}
		// The digest of a manifest is that of its text, so it has to differ.
		got := manifestDigest.ReplaceAll(text(render(t, shuffled(t, random, set), anyTarget)), nil)
		if !bytes.Equal(got, manifestDigest.ReplaceAll(want, nil)) {
			t.Fatalf("seed %d: the order of keys changes the result", seed)
		}
	}
}

// shuffled rewrites manifests with the keys of every map in another order.
func shuffled(t *testing.T, random *rand.Rand, set []manifests.Input) []manifests.Input {
	t.Helper()
	list := make([]manifests.Input, 0, len(set))
	for _, in := range set {
		var doc yaml.Node
		if err := yaml.Unmarshal(in.Manifest.Data, &doc); err != nil {
			t.Fatal(err)
		}
		shuffle(random, &doc)
		data, err := yaml.Marshal(&doc)
		if err != nil {
			t.Fatal(err)
		}
		in.Manifest.Data = data
		list = append(list, in)
	}
	return list
}

func shuffle(random *rand.Rand, n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		random.Shuffle(len(n.Content)/2, func(i, j int) {
			n.Content[2*i], n.Content[2*j] = n.Content[2*j], n.Content[2*i]
			n.Content[2*i+1], n.Content[2*j+1] = n.Content[2*j+1], n.Content[2*i+1]
		})
	}
	for _, c := range n.Content {
		shuffle(random, c)
	}
}

// TestRenderLeavesItsInput: rendering one resolved set again, for other targets
// in between and by many at a time, gives the same each time.
func TestRenderLeavesItsInput(t *testing.T) {
	inputs := wholeSet(t)
	list := make([]*manifests.Manifest, 0, len(inputs))
	for _, in := range inputs {
		m, problems := manifests.Parse(in)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		list = append(list, m)
	}
	set, problems := manifests.Resolve(list, manifests.DefaultSettings())
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	targets := []generator.Target{
		anyTarget,
		{Podman: generator.Newest, Scope: units.System, Generator: "test"},
		{Podman: generator.Version{Major: 4, Minor: 9}, Generator: "other"},
	}
	want := make([][]byte, 0, len(targets))
	for _, target := range targets {
		result, _ := generator.Render(set, target)
		want = append(want, text(result.Files))
	}
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			result, _ := generator.Render(set, targets[i%len(targets)])
			if !bytes.Equal(text(result.Files), want[i%len(targets)]) {
				t.Errorf("rendering %d differs", i)
			}
		})
	}
	all.Wait()
}

// TestRenderIsTheSameElsewhere: with no environment at all, in another
// directory and at another time an image build gives the machine's own bytes.
// That no host name goes in is the import rules' business: os is out of reach.
func TestRenderIsTheSameElsewhere(t *testing.T) {
	set := wholeSet(t)
	if *renderTo != "" {
		t.Chdir("/")
		if err := os.WriteFile(*renderTo, text(render(t, set, anyTarget)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	here := text(render(t, set, anyTarget))
	synctest.Test(t, func(t *testing.T) { // where it is midnight of 1 January 2000
		if !bytes.Equal(text(render(t, set, anyTarget)), here) {
			t.Error("the time of day changes the result")
		}
	})
	out := filepath.Join(t.TempDir(), "there")
	for _, env := range [][]string{{}, {"HOME=/nowhere", "USER=other", "TZ=Asia/Tokyo", "LC_ALL=tr_TR.UTF-8", "XDG_RUNTIME_DIR=/run/other", "PODMAN=/bin/false"}} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRenderIsTheSameElsewhere$", "-render-to="+out)
		child.Env = env
		if message, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, message)
		}
		there, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(there, here) {
			t.Errorf("the environment %q changes the result", env)
		}
	}
}
