package install

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/adopt"
)

// TestAdoptApps: a takeover gets the facts of a manifest. The app x is the one that the
// tests of units/adopt take over containers for.
func TestAdoptApps(t *testing.T) {
	t.Parallel()
	set, diags := resolved(t, `
app:
  id: x
  name: x
  version: 1.0.0
  secrets: [{name: pass}]
  container:
    image: docker.io/library/x:1
    files: [{target: /etc/x.conf, content: a}]
    secrets: [{name: pass, target: /etc/pass}]
    volumes:
      - {name: data, target: /data}
      - {name: cold, target: /cold}
      - {app: y, name: shared, target: /shared}
      - {path: /srv/media, target: /media}
      - {disposable: true, target: /cache}
      - {name: cold, subpath: part, target: /part}
  volumes:
    cold: {existing: chosen}
`, `
app:
  id: y
  name: y
  version: 1.0.0
  shares: [{volume: shared, app: x, write: true}, {volume: moved, app: z, write: true}]
  container: {image: docker.io/library/y:1, volumes: [{name: shared, target: /shared}, {name: moved, target: /moved}]}
  volumes:
    moved: {existing: elsewhere}
`, `
app:
  id: z
  name: z
  version: 1.0.0
  container: {image: docker.io/library/z:1, volumes: [{app: y, name: moved, target: /a}, {app: z, name: own, target: /b}]}
  containers:
    db: {image: docker.io/library/db:1, timezone: local, engine: read}
`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := []adopt.App{
		{ID: "x", Parts: []adopt.Part{{
			Name: "main", Container: "x", Image: "docker.io/library/x:1",
			Volumes: []adopt.Volume{
				{Target: "/data", Source: "x.data", Name: "data", Own: true},
				{Target: "/cold", Source: "chosen", Name: "cold", Own: true, Existing: "chosen"},
				{Target: "/shared", Source: "y.shared", Name: "shared"},
				{Target: "/media", Source: "/srv/media"},
				{Target: "/cache", Disposable: true},
				{Target: "/part", Source: "chosen/part"},
			},
			Rendered: []string{"/etc/x.conf", "/etc/pass"},
		}}},
		{ID: "y", Parts: []adopt.Part{{
			Name: "main", Container: "y", Image: "docker.io/library/y:1",
			Volumes: []adopt.Volume{
				{Target: "/shared", Source: "y.shared", Name: "shared", Own: true},
				{Target: "/moved", Source: "elsewhere", Name: "moved", Own: true, Existing: "elsewhere"},
			},
		}}},
		{ID: "z", Parts: []adopt.Part{
			{
				Name: "main", Container: "z", Image: "docker.io/library/z:1",
				Volumes: []adopt.Volume{
					{Target: "/a", Source: "elsewhere", Name: "moved"},
					{Target: "/b", Source: "z.own", Name: "own", Own: true},
				},
			},
			{Name: "db", Container: "z.db", Image: "docker.io/library/db:1", Rendered: []string{"/etc/localtime", "/etc/timezone", "/var/run/docker.sock"}},
		}},
	}
	if d := cmp.Diff(want, adoptApps(set)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestAdoptAppsOfManifestsWithErrors: a volume of an app that is not installed has a name
// all the same. The app is not started, but others are.
func TestAdoptAppsOfManifestsWithErrors(t *testing.T) {
	t.Parallel()
	set, diags := resolved(t, `
app:
  id: x
  name: x
  version: 1.0.0
  container: {image: docker.io/library/x:1, volumes: [{app: gone, name: data, target: /data}]}
`)
	if !diags.HasErrors() {
		t.Fatal("the manifest has no error")
	}
	got := adoptApps(set)[0].Parts[0].Volumes
	if d := cmp.Diff([]adopt.Volume{{Target: "/data", Source: "gone.data", Name: "data"}}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestAdopterWritesOverlaysBesideManifests: the manifest keeps what the container mounts.
func TestAdopterWritesOverlaysBesideManifests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	adopter := Adopter(nil, installed.At(dir), nil)
	if err := adopter.WriteOverlay("x", []byte("app: {}\n")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "x.d", adopt.OverlayName)); err != nil || string(text) != "app: {}\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestAdopterKnowsWhatAManifestCanMount, and how to say it.
func TestAdopterKnowsWhatAManifestCanMount(t *testing.T) {
	t.Parallel()
	source := Adopter(nil, installed.Directory{}, nil).Source
	const want = "the name of a volume, or a clean absolute path on the host, without : , $ % or white space other than spaces within it"
	if source.Text != want || !source.Fits("/home/me/my files") || source.Fits("/home/me/x:y") {
		t.Errorf("%q: %v, %v", source.Text, source.Fits("/home/me/my files"), source.Fits("/home/me/x:y"))
	}
}

func resolved(t *testing.T, texts ...string) (*manifests.Set, diag.List) {
	t.Helper()
	list := make([]*manifests.Manifest, 0, len(texts))
	for _, text := range texts {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(text)}})
		if m == nil {
			t.Fatal(diags)
		}
		list = append(list, m)
	}
	return manifests.Resolve(list, manifests.DefaultSettings())
}
