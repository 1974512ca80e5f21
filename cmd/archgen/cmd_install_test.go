package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
)

func parsed(t *testing.T, text string) *manifests.Manifest {
	t.Helper()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "app.yaml", Data: []byte(text)}})
	if m == nil {
		t.Fatal(diags)
	}
	return m
}

// install lists what new apps can do, and what a new manifest adds; not what is in
// the safe set, what the installed manifest asks for already, nor the same twice.
func TestInstallSaysRights(t *testing.T) {
	t.Parallel()
	const web = "app: {id: web, name: W, version: 1.0.0, provides: [{capability: page}], containers: {main: {image: x, ports: ['0.0.0.0:80:80']}"
	entry := func(text string) catalogEntry {
		m := parsed(t, text)
		return catalogEntry{ID: m.Document.App.ID, manifest: m}
	}
	var out bytes.Buffer
	in := &installation{
		c: &cli{stderr: &out},
		chosen: []catalogEntry{
			entry("app: {id: evil, name: E, version: 1.0.0, container: {image: x, privileged: true, env_files: [/srv/a, /srv/a]}}"),
			entry("app: {id: calm, name: C, version: 1.0.0, conflicts: [evil], container: {image: x}}"),
			entry(web + ", db: {image: y, volumes: [{path: /srv/db, target: /d}]}}}"),
			{ID: "here"},
		},
		installed: map[string]*manifests.Manifest{"web": parsed(t, web+"}}")},
	}
	in.sayRights()
	want := `rights of evil:
  critical  privileged        do everything that the user who runs Podman can do
  high      host-read:/srv/a  read /srv/a on the host
further rights of web:
  high  host-write:/srv/db  read and change /srv/db on the host
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
}
