package statedir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// TestCompiled: a desired state is found again by its inputs, whole or not at all.
func TestCompiled(t *testing.T) {
	t.Parallel()
	file := func(name, text string) units.File {
		return units.File{Name: name, App: "web", Digest: "d-" + name, Content: []byte(text)}
	}
	want := units.Desired{
		Apps: []units.App{
			{ID: "db", Enabled: true, ManifestDigest: "m", Secrets: []units.Secret{{Name: "db.pw", Length: 32}}},
			{
				ID: "web", Needs: []string{"db"}, Files: units.Set{file("app@web.container", "[Container]\n\n"), file("web.network", "")},
				Parts: []units.Part{{Service: "app@web.service", File: "app@web.container", After: []string{"x"}}},
			},
		},
		Shared: units.Set{file("use.network", "\x00[Network]")}, Complete: true, Scope: units.System,
	}
	s := Store{Runtime: filepath.Join(t.TempDir(), "run")}
	if err := s.SaveCompiled(ByApply, "a", want); err == nil {
		t.Error("kept without the directory")
	}
	if err := os.Mkdir(s.Runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveCompiled(ByApply, "a", want); err != nil {
		t.Fatal(err)
	}
	if string(want.Apps[1].Files[0].Content) == "" {
		t.Error("the content of the caller's files is gone")
	}
	found, ok := s.Compiled(ByApply, "a")
	if d := cmp.Diff(want, found, cmp.Transformer("text", func(b []byte) string { return string(b) })); d != "" || !ok {
		t.Errorf("found %v (-want +got):\n%s", ok, d)
	}
	if _, ok := s.Compiled(ByApply, "b"); ok {
		t.Error("found for other inputs")
	}
	if _, ok := s.Compiled(ByRender, "a"); ok {
		t.Error("found for another command")
	}
	path := filepath.Join(s.Runtime, string(ByApply))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{"", string(whole[:9]), string(whole[:len(whole)-1]), string(whole) + "x"} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, ok := s.Compiled(ByApply, "a"); ok {
			t.Errorf("found in %q: %+v", damaged, found)
		}
	}
}
