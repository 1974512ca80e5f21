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
		"page": "container: {image: localhost/x:1}, requires: [{capability: rpc, until: started}]",
		"wide": "container: {image: localhost/x:1}, requires: [{capability: log}, {capability: nowhere, optional: true}]",
	} {
		write(t, filepath.Join(dir, name+".yaml"), []byte("app: {id: "+name+", name: x, version: 1.0.0, "+text+"}\n"))
	}
	var loaded manifests.Loaded
	diags := loaded.LoadDirs([]string{dir})
	set, problems := manifests.Resolve(loaded.Manifests, manifests.Settings{})
	result, more := generator.Render(set, parseTarget(t, "5.4 user"))
	if diags = append(append(diags, problems...), more...); diags.HasErrors() {
		t.Fatal(diags)
	}
	needs := map[string][]string{}
	for _, app := range result.Desired(set).Apps {
		needs[app.ID] = app.Needs
	}
	if d := cmp.Diff(map[string][]string{"node": nil, "page": {"node"}, "wide": {"node"}}, needs); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
