package units_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// wholeRecipe is a recipe with every field.
func wholeRecipe() units.Prestart {
	return units.Prestart{
		Data:    json.RawMessage(`{"app":{"id":"x"}}`),
		Files:   []units.PrestartFile{{Name: "x.conf", Mode: 0o400, Template: "[X-Archipelago]\nApp=y\\\n<&>\u2028\x01", Source: "x.files/x.conf", Reload: true}},
		Reload:  "SIGHUP",
		Secrets: []string{"x.token"}, Watch: []units.VolumeFile{{Volume: "node.data", Path: ".cookie"}},
		Composed: []units.ComposedSecret{{Name: "x.env-url-1", Variable: "URL", Pieces: []units.SecretPiece{{Text: "a\n"}, {Secret: "x.token"}}}},
		Steps:    []units.Step{{Run: []string{"a", "b c"}, Migrate: "v1", Seconds: 60}, {EnsureDir: &units.EnsureDir{UID: 1, Mode: 0o700}, Seconds: 1}},
		Once:     []units.Once{{Name: "admin", Run: []string{"a", "b c"}, Seconds: 60}},
		Image:    "x:1", Podman: []string{"--user=1"},
		Seeds: []units.Seed{{Volume: "x.data", Path: "a/b.db", Mode: 0o644, Content: []byte("\x00\xff\n")}},
		Facts: []units.Fact{{Variable: "CORES", Name: "cores"}}, Follow: []string{"tor"},
		Volumes: []units.NewVolumes{{Image: "x:1", List: []units.NewVolume{{Name: "x.data", Target: "/data"}}}},
		Format:  units.DataFormat{Written: 2},
	}
}

// TestMayBeConfigured: no value has to be read to know of a recipe that it is not configured. An
// unknown line may be anything.
func TestMayBeConfigured(t *testing.T) {
	whole := reflect.ValueOf(wholeRecipe())
	for i := range whole.NumField() {
		field := whole.Type().Field(i).Name
		if whole.Field(i).IsZero() {
			t.Errorf("the recipe of this test lacks %s", field)
		}
		var r units.Prestart
		reflect.ValueOf(&r).Elem().Field(i).Set(whole.Field(i))
		text, err := r.Text()
		if err != nil {
			t.Fatal(err)
		}
		text += "\n[X-Archipelago]\nApp=x\n"
		if got := units.MayBeConfigured([]byte(text)); got != r.IsConfigured() {
			t.Errorf("%s alone: %v", field, got)
		}
	}
	if !units.MayBeConfigured([]byte("[Recipe]\nFirewall={}\n")) {
		t.Error("an unknown line counts as harmless")
	}
}

func TestRecipe(t *testing.T) {
	want := wholeRecipe()
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
