package manifests_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
)

// TestEarlierShares: an app of the catalog that was installed before there were shares and
// hosts of companions has those that it has today.
func TestEarlierShares(t *testing.T) {
	t.Parallel()
	files, err := catalog.Files()
	if err != nil {
		t.Fatal(err)
	}
	today, hosts := map[string][]manifests.Share{}, map[string][]string{}
	for _, f := range files {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: f.Name, Data: f.Data}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if shares := m.Document.App.Shares; len(shares) > 0 {
			today[m.Document.App.ID] = shares
		}
		if list := m.Document.App.CompanionOf; list != nil {
			hosts[m.Document.App.ID] = list
		}
	}
	if d := cmp.Diff(hosts, manifests.EarlierHosts); d != "" {
		t.Errorf("-catalog +earlier:\n%s", d)
	}
	if d := cmp.Diff(today, manifests.EarlierShares); d != "" {
		t.Errorf("-catalog +earlier:\n%s", d)
	}
	old := make([]*manifests.Manifest, 0, 3)
	for id, text := range map[string]string{
		"fulcrum":    `app: {id: fulcrum, name: F, version: "1", container: {image: x, volumes: [{name: logs, target: /logs}]}}`,
		"fulcrum-ui": `app: {id: fulcrum-ui, name: U, version: "1", container: {image: x, volumes: [{app: fulcrum, name: logs, target: /logs, read_only: true}]}}`,
		"thief":      `app: {id: thief, name: T, version: "1", container: {image: x, volumes: [{app: fulcrum, name: logs, target: /logs, read_only: true}]}}`,
	} {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: id + ".yaml", Data: []byte(text)}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		old = append(old, m)
	}
	if _, diags := manifests.Resolve(old, manifests.DefaultSettings()); len(diags) != 1 || diags[0].Path != "app.container.volumes[0].app" {
		t.Errorf("%v, want thief to be refused alone", diags)
	}
}
