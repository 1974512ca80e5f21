package manifests_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// TestNewcomersGiveWay: of two apps that claim the same the one is blamed that is not
// on the machine yet, whatever its id; of two that are alike the later by id.
func TestNewcomersGiveWay(t *testing.T) {
	t.Parallel()
	there := manifests.Standing{Rendered: true}
	publishing := func(port, count int) manifests.Standing {
		return manifests.Standing{Rendered: true, Ports: []manifests.Port{{Host: port, Count: count, Protocol: "tcp"}}}
	}
	const ports = "container: {image: x, ports: [{host: 80, container: 8080}]}"
	for name, c := range map[string]struct {
		// a and b are what the two apps say beside their names.
		a, b     string
		aIs, bIs manifests.Standing
		code     diag.Code
		blamed   []string
	}{
		"ports of two new ones":      {a: ports, b: ports, code: diag.PortClash, blamed: []string{"b"}},
		"ports of one that is there": {a: ports, b: ports, bIs: there, code: diag.PortClash, blamed: []string{"a"}},
		"ports of two that are there, of which one has it": {
			a: ports, b: ports, aIs: publishing(81, 1), bIs: publishing(80, 1), code: diag.PortClash, blamed: []string{"a"},
		},
		"ports of two that are there, of which one has a range with it": {
			a: ports, b: ports, aIs: there, bIs: publishing(79, 2), code: diag.PortClash, blamed: []string{"a"},
		},
		"ports of two that have it": {
			a: ports, b: ports, aIs: publishing(80, 1), bIs: publishing(80, 1), code: diag.PortClash, blamed: []string{"b"},
		},
		"a conflict of two new ones": {
			a: "conflicts: [b], container: {image: x}", b: "container: {image: x}", code: diag.Conflict, blamed: []string{"a"},
		},
		"a conflict with a new one": {
			a: "conflicts: [b], container: {image: x}", b: "container: {image: x}", aIs: there, code: diag.Conflict, blamed: []string{"b"},
		},
		"a conflict with one that is there": {
			a: "conflicts: [b], container: {image: x}", b: "container: {image: x}", bIs: there, code: diag.Conflict, blamed: []string{"a"},
		},
		"a capability that one provides already": {
			a: "provides: [{capability: c}], container: {image: x}", b: "provides: [{capability: c}], container: {image: x}",
			bIs: there, code: diag.Conflict, blamed: []string{"a"},
		},
		"an image that one builds already": {
			a: "container: {build: {context: ., tag: 'localhost/x:1'}}", b: "container: {build: {context: ., tag: 'localhost/x:1'}}",
			bIs: there, code: diag.NameClash, blamed: []string{"a"},
		},
		"a circle that a new one closes": {
			a: "provides: [{capability: c}], requires: [{capability: d, optional: true}], container: {image: x}",
			b: "provides: [{capability: d}], requires: [{capability: c}], container: {image: x}", aIs: there, code: diag.Cycle, blamed: []string{"b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{
				"a.yaml": "app: {id: a, name: A, version: 1.0.0, " + c.a + "}\n", "b.yaml": "app: {id: b, name: B, version: 1.0.0, " + c.b + "}\n",
			})
			var l manifests.Loaded
			if diags := l.LoadDirs([]string{root}); diags.HasErrors() {
				t.Fatal(diags)
			}
			l.Manifests[0].Standing, l.Manifests[1].Standing = c.aIs, c.bIs
			_, diags := manifests.Resolve(l.Manifests, manifests.Settings{})
			blamed := make([]string, 0, len(diags))
			for _, d := range diags {
				if d.Code != c.code {
					t.Errorf("%v, want %s", d, c.code)
				}
				i := slices.IndexFunc(l.Manifests, func(m *manifests.Manifest) bool { return m.File == d.File })
				blamed = append(blamed, l.Manifests[i].Document.App.ID)
			}
			if d := cmp.Diff(c.blamed, blamed); d != "" {
				t.Errorf("who is blamed, -want +got:\n%s\n%v", d, diags)
			}
		})
	}
}
