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
	there := manifests.Installed{Rendered: true}
	publishing := func(port, count int) manifests.Installed {
		return manifests.Installed{Rendered: true, Ports: []manifests.Port{{Host: port, Count: count, Protocol: "tcp"}}}
	}
	const ports = "container: {image: x, ports: [{host: 80, container: 8080}]}"
	for name, c := range map[string]struct {
		// a and b are what the two apps say beside their names.
		a, b     string
		aIs, bIs manifests.Installed
		code     diag.Code
		blamed   []string
	}{
		"ports of two new ones":      {a: ports, b: ports, code: diag.PortClash, blamed: []string{"bull"}},
		"ports of one that is there": {a: ports, b: ports, bIs: there, code: diag.PortClash, blamed: []string{"ant"}},
		"ports of two that are there, of which one has it": {
			a: ports, b: ports, aIs: publishing(81, 1), bIs: publishing(80, 1), code: diag.PortClash, blamed: []string{"ant"},
		},
		"ports of two that are there, of which one has a range with it": {
			a: ports, b: ports, aIs: there, bIs: publishing(79, 2), code: diag.PortClash, blamed: []string{"ant"},
		},
		"ports of two that have it": {
			a: ports, b: ports, aIs: publishing(80, 1), bIs: publishing(80, 1), code: diag.PortClash, blamed: []string{"bull"},
		},
		"a conflict of two new ones": {
			a: "conflicts: [bull], container: {image: x}", b: "container: {image: x}", code: diag.Conflict, blamed: []string{"ant"},
		},
		"a conflict with a new one": {
			a: "conflicts: [bull], container: {image: x}", b: "container: {image: x}", aIs: there, code: diag.Conflict, blamed: []string{"bull"},
		},
		"a conflict with one that is there": {
			a: "conflicts: [bull], container: {image: x}", b: "container: {image: x}", bIs: there, code: diag.Conflict, blamed: []string{"ant"},
		},
		"a capability that one provides already": {
			a: "provides: [{capability: c}], container: {image: x}", b: "provides: [{capability: c}], container: {image: x}",
			bIs: there, code: diag.Conflict, blamed: []string{"ant"},
		},
		"an image that one builds already": {
			a: "container: {build: {context: ., tag: 'localhost/x:1'}}", b: "container: {build: {context: ., tag: 'localhost/x:1'}}",
			bIs: there, code: diag.NameClash, blamed: []string{"ant"},
		},
		"a hostname that is a capability": {
			a: "provides: [{capability: c}], container: {image: x}", b: "requires: [{capability: c}], container: {image: x, hostname: C}",
			code: diag.NameClash, blamed: []string{"bull"},
		},
		"a hostname that is a capability which no app provides": {
			a: "requires: [{capability: c, optional: true}], container: {image: x}", b: "requires: [{capability: c, optional: true}], container: {image: x, hostname: c}",
			aIs: there, code: diag.NameClash, blamed: []string{"bull"},
		},
		"a hostname that is another app": {
			a: "provides: [{capability: c}], container: {image: x}", b: "requires: [{capability: c}], container: {image: x, hostname: ant.dns.podman}",
			code: diag.NameClash, blamed: []string{"bull"},
		},
		"a capability that is named like an app": {
			a: "provides: [{capability: bull}], container: {image: x}", b: "requires: [{capability: bull}], container: {image: x}",
			code: diag.NameClash, blamed: []string{"bull"},
		},
		"one that comes where an app has its name": {
			a: "requires: [{capability: bull, optional: true}, {capability: c, optional: true}], container: {image: x}", b: "requires: [{capability: c, optional: true}], container: {image: x}",
			bIs: there, code: diag.NameClash, blamed: []string{"ant"},
		},
		"a hostname that is a part of another app": {
			a: "provides: [{capability: c}], containers: {main: {image: x}, db: {image: x}}", b: "requires: [{capability: c}], container: {image: x, hostname: db}",
			code: diag.NameClash, blamed: []string{"bull"},
		},
		"a part that has the name of an app which is there": {
			a: "provides: [{capability: c}], containers: {main: {image: x}, bull: {image: x}}", b: "requires: [{capability: c}], container: {image: x}",
			bIs: there, code: diag.NameClash, blamed: []string{"ant"},
		},
		"an alias of a part": {
			a: "provides: [{capability: c}], containers: {main: {image: x}, db: {image: x, aliases: [bull]}}", b: "requires: [{capability: c}], container: {image: x}",
			code: diag.NameClash, blamed: []string{"bull"},
		},
		"a capability of its own that is named like another app": {
			a: "requires: [{capability: c, optional: true}], container: {image: x}",
			b: "requires: [{capability: c, optional: true}], provides: [{capability: ant}], container: {image: x, hostname: ant}", code: diag.NameClash, blamed: []string{"bull"},
		},
		"a name on networks that have nothing in common": {
			a: "provides: [{capability: c}], container: {image: x}", b: "container: {image: x, hostname: c}", blamed: []string{},
		},
		"an app that is named like the capability that it provides": {
			a: "provides: [{capability: ant}], container: {image: x, hostname: ant}", b: "requires: [{capability: ant}], container: {image: x}", blamed: []string{},
		},
		"a circle that a new one closes": {
			a: "provides: [{capability: c}], requires: [{capability: d, optional: true}], container: {image: x}",
			b: "provides: [{capability: d}], requires: [{capability: c}], container: {image: x}", aIs: there, code: diag.Cycle, blamed: []string{"bull"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{
				"ant.yaml": "app: {id: ant, name: A, version: 1.0.0, " + c.a + "}\n", "bull.yaml": "app: {id: bull, name: B, version: 1.0.0, " + c.b + "}\n",
			})
			var l manifests.Loaded
			if diags := l.LoadDirs([]string{root}); diags.HasErrors() {
				t.Fatal(diags)
			}
			l.Manifests[0].Installed, l.Manifests[1].Installed = c.aIs, c.bIs
			_, diags := manifests.Resolve(l.Manifests, manifests.DefaultSettings())
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
