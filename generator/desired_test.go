package generator_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
)

// A pass deals with a provider before the apps that use it, also with those for which
// it only has to run: as companions they are restarted along with it.
func TestNeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"node": "companions: [page], container: {image: localhost/x:1}, provides: [{capability: rpc}, {capability: log}]",
		"page": "companion_of: [node], container: {image: localhost/x:1}, requires: [{capability: rpc, until: started}]",
		"wide": "container: {image: localhost/x:1}, requires: [{capability: log}, {capability: nowhere, optional: true}]",
	} {
		write(t, filepath.Join(dir, name+".yaml"), []byte("app: {id: "+name+", name: x, version: 1.0.0, "+text+"}\n"))
	}
	var loaded manifests.Loaded
	diags := loaded.LoadDirs([]string{dir})
	set, problems := manifests.Resolve(loaded.Manifests, manifests.DefaultSettings())
	result, more := generator.Render(set, parseTarget(t, "5.4 user"))
	if diags = append(append(diags, problems...), more...); diags.HasErrors() {
		t.Fatal(diags)
	}
	needs, companions := map[string][]string{}, map[string][]string{}
	for _, app := range result.Desired(set).Apps {
		needs[app.ID], companions[app.ID] = app.Needs, app.Companions
	}
	if d := cmp.Diff(map[string][]string{"node": {"page"}, "page": nil, "wide": nil}, companions); d != "" {
		t.Errorf("companions: -want +got:\n%s", d)
	}
	if d := cmp.Diff(map[string][]string{"node": nil, "page": {"node"}, "wide": {"node"}}, needs); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// What a part is started after, and whose network it shares, is restarted before it.
func TestPartsAfter(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.yaml")
	write(t, file, []byte(`app:
  id: x
  name: x
  version: 1.0.0
  containers:
    main: {image: localhost/x:1, after: [{part: api}, {part: log, until: started}]}
    api: {image: localhost/x:1, network: part:vpn, after: [{part: db, until: completed}]}
    db: {image: localhost/x:1, oneshot: true}
    log: {image: localhost/x:1}
    vpn: {image: localhost/x:1}
`))
	var loaded manifests.Loaded
	diags := loaded.LoadDirs([]string{filepath.Dir(file)})
	set, problems := manifests.Resolve(loaded.Manifests, manifests.DefaultSettings())
	result, more := generator.Render(set, parseTarget(t, "5.4 user"))
	if diags = append(append(diags, problems...), more...); diags.HasErrors() {
		t.Fatal(diags)
	}
	after, lends := map[string][]string{}, map[string]bool{}
	app := result.Desired(set).Apps[0]
	for _, p := range app.Parts {
		after[p.Service], lends[p.Service] = p.After, p.Lends
	}
	if d := cmp.Diff(map[string][]string{
		"app@x.service": {"app@x.api.service", "app@x.log.service"}, "app@x.api.service": {"app@x.db.service", "app@x.vpn.service"},
		"app@x.db.service": nil, "app@x.log.service": nil, "app@x.vpn.service": nil,
	}, after); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if !lends["app@x.vpn.service"] || lends["app@x.service"] {
		t.Errorf("they lend their network: %v", lends)
	}
}
