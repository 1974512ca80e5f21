package units_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

func TestRecipe(t *testing.T) {
	want := units.Prestart{
		Data:    json.RawMessage(`{"app":{"id":"x"}}`),
		Files:   []units.PrestartFile{{Name: "x.conf", Mode: 0o400, Template: "[X-Archipelago]\nApp=y\\\n<&>\u2028\x01", Source: "x.files/x.conf", Reload: true}},
		Reload:  "SIGHUP",
		Secrets: []string{"x.token"}, Watch: []units.VolumeFile{{Volume: "node.data", Path: ".cookie"}},
		Composed: []units.ComposedSecret{{Name: "x.env-url-1", Variable: "URL", Pieces: []units.SecretPiece{{Text: "a\n"}, {Secret: "x.token"}}}},
		Steps:    []units.Step{{Run: []string{"a", "b c"}, Migrate: "v1", Seconds: 60}, {EnsureDir: &units.EnsureDir{UID: 1, Mode: 0o700}, Seconds: 1}},
		Once:     []units.Once{{Name: "admin", Run: []string{"a", "b c"}, Seconds: 60}},
		Image:    "x:1", Podman: []string{"--user=1"},
		Seeds: []units.Seed{{Volume: "x.data", Path: "a/b.db", Mode: 0o644, Content: []byte("\x00\xff\n")}},
	}
	text, err := want.Text()
	if err != nil {
		t.Fatal(err)
	}
	got, err := units.ReadPrestart([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if m, ours := units.ReadOwnership([]byte(text)); ours {
		t.Errorf("a template was taken for the mark: %v", m)
	}
	// This version must not skip a step that it does not support.
	if _, err := units.ReadPrestart([]byte(text + "Firewall={}\n")); err == nil {
		t.Error("an unknown line was read")
	}
}
