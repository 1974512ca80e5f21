package apps_test

import (
	"bytes"
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/test/bench/apps"
)

// TestSources: a benchmark that measures error reporting, or the same manifest repeatedly,
// is meaningless.
func TestSources(t *testing.T) {
	t.Parallel()
	sources := apps.Sources(100)
	list := make([]*manifests.Manifest, 0, len(sources))
	seen := map[string]string{}
	for _, s := range sources {
		if lines := bytes.Count(s.Data, []byte("\n")); lines < 15 || lines > 40 {
			t.Errorf("%s has %d lines, which is no typical manifest", s.Name, lines)
		}
		if other := seen[string(s.Data)]; other != "" {
			t.Errorf("%s is the same as %s", s.Name, other)
		}
		seen[string(s.Data)] = s.Name
		m, diags := manifests.Parse(manifests.Input{Manifest: s})
		if diags = append(diags, manifests.Validate(m)...); len(diags) > 0 {
			t.Fatalf("%s: %v", s.Name, diags)
		}
		list = append(list, m)
	}
	if _, diags := manifests.Resolve(list, manifests.DefaultSettings()); len(diags) > 0 {
		t.Errorf("the set does not fit together: %v", diags[0])
	}
	for i, again := range apps.Sources(100) {
		if !bytes.Equal(again.Data, sources[i].Data) {
			t.Errorf("%s differs from call to call", again.Name)
		}
	}
}
