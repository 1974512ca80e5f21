package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

func parsed(t *testing.T, text string) *manifests.Manifest {
	t.Helper()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "app.yaml", Data: []byte(text)}})
	if m == nil {
		t.Fatal(diags)
	}
	return m
}

// installing is apps that are about to be installed, with an installed app web that
// publishes a port, and what is printed.
func installing(t *testing.T, entries ...chosenApp) (in *installation, s *staged, out *bytes.Buffer) {
	t.Helper()
	out = &bytes.Buffer{}
	in = &installation{
		c: &cli{stderr: out, stdin: strings.NewReader("y\n")}, chosen: entries,
		installed: map[string]*manifests.Manifest{"web": parsed(t, web+"}}")},
	}
	s = &staged{&compile.Compiled{Rights: map[string][]rights.Right{}}, ""}
	s.Loaded.Sources = map[string][]byte{}
	var all []*manifests.Manifest
	for _, e := range entries {
		if e.Manifest != nil {
			set, _ := manifests.Resolve([]*manifests.Manifest{e.Manifest}, manifests.Settings{})
			s.Rights[e.ID] = rights.Of(set.Apps[0])
			s.Loaded.Sources[e.Manifest.File] = e.Text
			all = append(all, e.Manifest)
		}
	}
	s.Set, _ = manifests.Resolve(all, manifests.Settings{})
	return in, s, out
}

const web = "app: {id: web, name: W, version: 1.0.0, provides: [{capability: page}], containers: {main: {image: x, ports: ['0.0.0.0:80:80']}"

func entry(t *testing.T, text string) chosenApp {
	t.Helper()
	m := parsed(t, text)
	return chosenApp{Entry: catalog.Entry{ID: m.Document.App.ID, Manifest: m, Text: []byte(text)}}
}

// ours is an entry of archgen's own catalog.
func ours(t *testing.T, id string) chosenApp {
	t.Helper()
	text, err := catalog.Manifest(id)
	if err != nil {
		t.Fatal(err)
	}
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: id + ".yaml", Data: text}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return chosenApp{Entry: catalog.Entry{ID: id, Manifest: m, Text: text}}
}

// install lists what new apps can do, and what a new manifest adds; not what is in
// the safe set, what the installed manifest asks for already, nor the same twice. It asks
// for a missing grant at a terminal only.
func TestInstallSaysRights(t *testing.T) {
	t.Parallel()
	in, s, out := installing(
		t,
		entry(t, "app: {id: evil, name: E, version: 1.0.0, container: {image: x, privileged: true, env_files: [/srv/a, /srv/a]}}"),
		entry(t, "app: {id: calm, name: C, version: 1.0.0, conflicts: [evil], container: {image: x}}"),
		entry(t, web+", db: {image: y, volumes: [{path: /srv/db, target: /d}]}}}"),
		ours(t, "sftpgo"),
		ours(t, "electrs-ui"),
		chosenApp{Entry: catalog.Entry{ID: "here"}},
	)
	s.Loaded.Grants = map[string]manifests.Granted{"web": {Grants: manifests.Grants{Allow: []string{"listen"}}}}
	err := in.grant(s, []string{"privileged", "onion"})
	want := `rights of evil:
  critical  privileged        do everything that the user who runs Podman can do  (granted)
  high      host-read:/srv/a  read /srv/a on the host                             (not granted)
further rights of web:
  high  host-write:/srv/db  read and change /srv/db on the host  (not granted)
rights of electrs-ui, which come with its manifest from archgen's own catalog:
  medium  use:bitcoin-rpc  share a network with all apps that provide or require bitcoin-rpc, and read the secrets that the provider exports  (granted)
  medium  use:electrum     share a network with all apps that provide or require electrum, and read the secrets that the provider exports     (granted)
archgen: --allow onion: none of the apps needs that grant
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
	const refusal = "nothing was installed: evil, web asks for rights that are not granted; to grant them, add --allow host-read:/srv/a --allow host-write:/srv/db"
	if err == nil || err.Error() != refusal {
		t.Errorf("%v, want %s", err, refusal)
	}
}

// What was revoked of an app of the catalog is not granted by installing it again.
func TestInstallRespectsRevoked(t *testing.T) {
	t.Parallel()
	e := ours(t, "electrs-ui")
	in, s, _ := installing(t, e)
	in.installed[e.ID] = e.Manifest
	s.Loaded.Grants = map[string]manifests.Granted{e.ID: {File: "grants.toml", Grants: manifests.Grants{Allow: []string{"use:electrum"}}}}
	if err := in.grant(s, nil); err == nil || !strings.HasSuffix(err.Error(), "add --allow use:bitcoin-rpc") {
		t.Errorf("%v, want to be asked for use:bitcoin-rpc", err)
	}
}

// What was granted is installed with the app: what it asks for, not the kinds by which it
// was granted, beside what it had.
func TestInstallKeepsGrants(t *testing.T) {
	t.Parallel()
	in, s, _ := installing(
		t,
		entry(t, web+", db: {image: y, volumes: [{path: /srv/db, target: /d}]}}}"),
		ours(t, "sftpgo"),
		ours(t, "electrs-ui"),
		entry(t, "app: {id: calm, name: C, version: 1.0.0, container: {image: x}}"),
	)
	s.Loaded.Grants = map[string]manifests.Granted{"web": {Grants: manifests.Grants{Allow: []string{"onion:web"}}}}
	if err := in.grant(s, []string{"host-write", "listen:0.0.0.0:80/tcp"}); err != nil {
		t.Fatal(err)
	}
	have := make([][]string, 0, len(in.chosen))
	for _, e := range in.chosen {
		g, diags := manifests.ParseGrants(manifests.Source{Name: "grants.toml", Data: manifests.Grants{Allow: e.grants}.Text()})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if e.grants == nil { // none is written
			g.Allow = nil
		}
		have = append(have, g.Allow)
	}
	want := [][]string{{"host-write:/srv/db", "listen:0.0.0.0:80/tcp", "onion:web"}, nil, {"use:bitcoin-rpc", "use:electrum"}, nil}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
	if err := in.grant(s, []string{"hsot-write:/srv"}); !is[usageError](err) {
		t.Errorf("a kind that there is not: %v", err)
	}
}
