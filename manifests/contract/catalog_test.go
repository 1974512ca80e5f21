package contract_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
)

var update = flag.Bool("update", false, "rewrite the expected output of golden tests")

const catalogDir = "../catalog"

// catalogSets is the apps that are left out, so that the rest can be in one set: of
// each capability one provider.
var catalogSets = [][]string{
	{"bitcoin-core", "electrumx", "electrumx-ui", "fulcrum", "fulcrum-ui"},
	{"bitcoin-knots", "electrs", "electrs-ui", "electrumx", "electrumx-ui"},
	{"bitcoin-core", "electrs", "electrs-ui", "fulcrum", "fulcrum-ui"},
}

// TestCatalog holds every app of the catalog against the contracts of its images, on
// every network. The golden file is what is wrong with the catalog, and is to be empty.
func TestCatalog(t *testing.T) {
	t.Parallel()
	known := catalogContracts(t)
	var found []string
	for _, without := range catalogSets {
		for _, network := range []string{"mainnet", "testnet4", "signet", "regtest"} {
			apps := load(t, catalogDir, network, without...)
			for _, a := range apps {
				for _, d := range known.Check(a) {
					found = append(found, strings.TrimPrefix(d.String(), catalogDir+"/"))
				}
			}
		}
	}
	slices.Sort(found)
	got := strings.Join(slices.Compact(found), "\n")
	if got != "" {
		got += "\n"
	}
	const golden = "testdata/catalog.findings"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got (make golden rewrites it):\n%s", d)
	}
}

// TestContractsAreUsed: each contract is about an image of the catalog, and each image
// has one that holds for its version.
func TestContractsAreUsed(t *testing.T) {
	t.Parallel()
	known := catalogContracts(t)
	used := map[string]bool{}
	var loaded manifests.Loaded
	loaded.LoadDirs([]string{catalogDir})
	for _, m := range loaded.Manifests {
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		for _, p := range set.Apps[0].Parts {
			if c := known.Of(p.Image); c != nil {
				used[c.Name] = true
			} else {
				t.Errorf("no contract holds for %s of %s", p.Image, m.Document.App.ID)
			}
		}
	}
	for _, c := range known {
		if !used[c.Name] {
			t.Errorf("no app of the catalog has the image of manifests/catalog/contracts/%s.yaml", c.Name)
		}
	}
}
