package generator_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// digestBase is the app that the edits are made to, and its neighbours.
const digestBase = `
-- x.yaml --
app:
  id: x
  name: x
  version: 1.0.0
  containers:
    main:
      image: docker.io/library/x:1
      command: [serve]
      env: {A: "1", B: "2"}
      user: "1000:1000"
      ports: [{name: web, host: 7080, container: 80}, {name: api, host: 9000, container: 90}]
      volumes: [{name: data, target: /data}]
      secrets: [{name: pass}]
      after: [{part: db}]
      health: {alive: {exec: [x, ping]}, synced: {http: {port: web}}}
    db:
      image: docker.io/library/db:1
  secrets: [{name: pass, generate: {length: 20}}]
  requires: [{capability: rpc}]
-- rpc.yaml --
app: {id: rpc, name: rpc, version: 1.0.0, container: {image: docker.io/library/rpc:1}, provides: [{capability: rpc}, {capability: queue}]}
-- tor.yaml --
app: {id: tor, name: tor, version: 1.0.0, container: {image: docker.io/library/tor:1}, provides: [{capability: tor}]}
`

// restarts is edits of the main container, each as an overlay, that a running
// container has to be restarted for: systemd or Podman applies them at no other
// time.
var restarts = []string{
	`image: docker.io/library/x:2`,
	`image: null, build: {context: /srv/x}`,
	`pull: newer`,
	`prefetch: true`,
	`kind: database`,
	`entrypoint: [/bin/x]`,
	`command: [serve, -v]`,
	`command: [serve -v]`,
	`user: "1000:1001"`,
	`group_add: ["44"]`,
	`userns: keep-id`,
	`working_dir: /srv`,
	`hostname: box`,
	`timezone: local`,
	`env: {A: "2"}`,
	`env: {A: "1\nB=2"}`,
	`env: {A: null}`,
	`env: {C: "3"}`,
	`env_files: [/etc/x/env]`,
	`ports: [{name: web, host: 7081, container: 80}, {name: api, host: 9000, container: 90}]`,
	`ports: [{name: web, host: 7080, container: 80, bind: 0.0.0.0}, {name: api, host: 9000, container: 90}]`,
	`volumes: [{name: data, target: /srv}]`,
	`volumes: [{name: data, target: /data, read_only: true}]`,
	`volumes: [{name: data, target: /data, subpath: a}]`,
	`tmpfs: [{target: /tmp}]`,
	`tmpfs: [{target: /tmp, size: 64m}]`,
	`secrets: [{name: pass, mode: "0440"}]`,
	`devices: [/dev/net/tun]`,
	`devices: [nvidia.com/gpu=all]`,
	`read_only: true`,
	`privileged: true`,
	`capabilities: {add: [CHOWN]}`,
	`security: {allow_new_privileges: true}`,
	`security: {apparmor: unconfined}`,
	`limits: {memory: 1g}`,
	`limits: {memory: 2g}`,
	`limits: {cpus: 2}`,
	`limits: {memory_reservation: 64m}`,
	`limits: {cpu_weight: 50}`,
	`sysctls: {net.core.somaxconn: "1024"}`,
	`init: true`,
	`pid: host`,
	`ipc: host`,
	`engine: read`,
	`stdin: true`,
	`tty: true`,
	`aliases: [web]`,
	`networks: [app, back]`,
	`hosts: {db.internal: 10.0.0.5}`,
	`dns: [9.9.9.9]`,
	`labels: {com.example.a: b}`,
	`stop: {timeout: 31s}`,
	`stop: {signal: SIGINT}`,
	`health: {alive: {exec: [x, pong]}}`,
	`health: {alive: {interval: 1m}}`,
	`podman_args: [--cpu-shares=512]`,
	`unit: {Service: {Nice: ["5"]}}`,
	`network: none, ports: null, health: {synced: null}`,
	`oneshot: true, health: null`,
}

// stays is edits of the main container that leave a running container as it
// is: a daemon-reload applies them, or only we read them.
var stays = []string{
	``,
	`env: {B: "2", A: "1"}`,
	`pull: missing`,
	`kind: service`,
	`network: app`,
	`restart: {policy: on-failure, delay: 1s, max_delay: 1m, limit: {burst: 5, interval: 1m}}`,
	`start: {timeout: 1h}`,
	`stop: {timeout: 30s}`,
	`stop: {success_exit_codes: [255]}`,
	`after: null`,
	`after: [{part: db, until: started}]`,
	`health: {serving: {tcp: {port: api}}, synced: {http: {path: /ready}}}`,
	`unit: {Unit: {Documentation: ["https://example.com/"]}}`,
	`secrets: [{name: pass, target: /run/secrets/pass, uid: 1000, gid: 1000}]`,
}

// appRestarts and appStays are the same for keys of the app.
var appRestarts = []string{
	`update: {policy: registry}`,
	`update: {policy: local}`,
	`provides: [{capability: x-api}]`,
	`requires: [{capability: rpc}, {capability: queue}]`,
	`requires: null`,
	`onion: [{port: web}]`,
	`internal_networks: [app]`,
	`volumes: {data: {existing: legacy-data}}`,
	`volumes: {data: {existing: /srv/data}}`,
}

var appStays = []string{
	`name: Another Name`,
	`version: 2.0.0`,
	`revision: 2`,
	`update: {policy: auto, wait: 2d}`,
	`update: {hold: {until: "2027-01-31", why: guards}}`,
	`description: Text`,
	`icon: x`,
	`links: {website: "https://example.com/"}`,
	`ui: {port: web}`,
	`ui: {port: web, scheme: https}`,
	`notices: ["It has no login."]`,
	`networks: [mainnet]`,
	`volumes: {data: {device: /dev/vdb1, type: ext4}}`,
	`volumes: {data: {seed: {.: initial}}}`,
	`hooks: {pre_start: [{run: [x-check]}, {ensure_dir: {volume: data, path: a}}, {wait_for: {capability: rpc}}]}`,
	`conflicts: [y]`,
	`companions: [x-ui]`,
	`companion_of: [x-host]`,
	`shares: [{volume: data, app: y}]`,
	`secrets: [{name: pass, generate: {length: 64}}, {name: more}]`,
	`data: {retain: false}`,
	`enabled: false`,
	`wait_online: true`,
	`requires: [{capability: rpc, until: started}]`,
	`containers: {db: {command: [db, -v]}}`,
	`containers: {worker: {image: docker.io/library/x:1}}`,
}

// TestDigestChangesExactlyWithARestart: see docs/rationale.md, "What the digest
// covers".
func TestDigestChangesExactlyWithARestart(t *testing.T) {
	before := digestOf(t, "", "app@x.container")
	seen := map[string]string{}
	for _, edit := range append(inMain(restarts...), appRestarts...) {
		after := digestOf(t, edit, "app@x.container")
		if after == before {
			t.Errorf("%s\nneeds a restart, and the digest stays", edit)
		}
		if other, ok := seen[after]; ok {
			t.Errorf("%s\nhas the digest of\n%s", edit, other)
		}
		seen[after] = edit
	}
	for _, edit := range append(inMain(stays...), appStays...) {
		if digestOf(t, edit, "app@x.container") != before {
			t.Errorf("%s\nneeds no restart, and the digest changes", edit)
		}
	}
	if digestOf(t, inMain(`command: [db, -v]`)[0], "app@x.db.container") != digestOf(t, "", "app@x.db.container") {
		t.Error("an edit of one part changes the digest of another")
	}
}

// TestDigestKnowsEveryKey: a new key has to be listed above, with whether it restarts
// containers.
func TestDigestKnowsEveryKey(t *testing.T) {
	used := usage{}
	for _, edit := range append(inMain(append(restarts, stays...)...), append(appRestarts, appStays...)...) {
		used.add(reflect.TypeFor[manifests.Document](), decode(t, edit, txtar.File{Name: "edit.yaml", Data: []byte("app: {" + edit + "}")}))
	}
	// Another id is another app; TestDigestAndFiles is about files, and what reloads them.
	elsewhere := map[string]bool{"App.id": true, "App.container": true, "App.hooks": true, "Container.files": true, "Container.reload": true}
	for _, s := range []reflect.Type{reflect.TypeFor[manifests.App](), reflect.TypeFor[manifests.Container]()} {
		for f := range s.Fields() {
			if key := s.Name() + "." + f.Tag.Get("key"); !used[key] && !elsewhere[key] {
				t.Errorf("no edit says whether %s restarts containers", key)
			}
		}
	}
}

// TestDigestAndFiles: another mount restarts a container; that a file can be read again,
// and how, does not, nor does another text.
func TestDigestAndFiles(t *testing.T) {
	of := func(container, text string) string {
		t.Helper()
		document := "app: {id: x, name: x, version: 1.0.0, container: {image: docker.io/library/x:1, " + container + "}}"
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(document)}, Dir: "/apps"})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		m.Templates = map[string]manifests.Source{"a.conf": {Name: "x.files/a.conf", Data: []byte(text)}}
		set, diags := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		result, diags := generator.Render(set, generator.Target{Podman: generator.Version{Major: 5, Minor: 8}, Generator: "1"})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		f, _ := result.Files.Find("app@x.container")
		return f.Digest
	}
	before := of("files: [{template: a.conf, target: /a}]", "a")
	for edit, stays := range map[string]bool{
		"files: [{template: a.conf, target: /b}]":                                          false,
		"files: [{template: a.conf, target: /a, mode: \"0444\"}]":                          true,
		"files: [{template: a.conf, target: /a, reload: true}], reload: {signal: SIGHUP}":  true,
		"files: [{template: a.conf, target: /a, reload: true}], reload: {signal: SIGUSR1}": true,
	} {
		if got := of(edit, "another text") == before; got != stays {
			t.Errorf("%s: the digest stays: %v", edit, got)
		}
	}
}

// TestDigestAndSeeds: a seed is for a volume that does not exist yet, so it restarts nothing.
func TestDigestAndSeeds(t *testing.T) {
	of := func(seed ...manifests.SeedFile) string {
		t.Helper()
		const document = "app: {id: x, name: x, version: 1.0.0, container: {image: docker.io/library/x:1, volumes: [{name: data, target: /data}]}}"
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(document)}, Dir: "/apps"})
		m.Seeds = map[string][]manifests.SeedFile{"data": seed}
		set, more := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		result, last := generator.Render(set, generator.Target{Podman: generator.Version{Major: 5, Minor: 8}, Generator: "1"})
		if found := slices.Concat(diags, more, last); found.HasErrors() {
			t.Fatal(found)
		}
		f, _ := result.Files.Find("app@x.container")
		return f.Digest
	}
	if one := of(manifests.SeedFile{Path: "a"}); one != of() || one != of(manifests.SeedFile{Path: "a", IsExecutable: true, Data: []byte("other")}) {
		t.Error("a seed changes the digest of the container")
	}
}

// TestDigestCoversTheImage: a unit that builds or pulls an image keeps its name
// whatever it makes.
func TestDigestCoversTheImage(t *testing.T) {
	const base = `image: null, build: {context: /srv/x, args: {A: "1"}}`
	before := digestOf(t, inMain(base)[0], "app@x.container")
	for _, edit := range []string{
		`image: null, build: {context: /srv/y, args: {A: "1"}}`,
		`image: null, build: {context: /srv/x, args: {A: "2"}}`,
		`image: null, build: {context: /srv/x, args: {A: "1"}, target: final}`,
		`image: null, build: {context: /srv/x, args: {A: "1"}, containerfile: Containerfile.slim}`,
		`image: null, build: {context: /srv/x, args: {A: "1"}, tag: localhost/x:other}`,
	} {
		if digestOf(t, inMain(edit)[0], "app@x.container") == before {
			t.Errorf("%s\nbuilds another image than\n%s\nand the digest stays", edit, base)
		}
	}
	if digestOf(t, `version: 2.0.0, `+inMain(base)[0], "app@x.container") == before {
		t.Error("a version that names another image leaves the digest as it is")
	}
	if digestOf(t, inMain(`prefetch: true, image: docker.io/library/x:2`)[0], "app@x.container") == digestOf(t, inMain(`prefetch: true`)[0], "app@x.container") {
		t.Error("another image that is fetched ahead leaves the digest as it is")
	}
}

// TestDigestOutlivesUpdates: neither a new archgen nor a new Podman restarts
// apps, nor does it matter which manager runs them.
func TestDigestOutlivesUpdates(t *testing.T) {
	edit := inMain(`limits: {memory: 1g, nofile: 1024}, stop: {signal: SIGINT}, hosts: {a.internal: 10.0.0.5}, security: {apparmor: x, label_disable: true}`)[0]
	var first units.Set
	for _, target := range []generator.Target{
		{Podman: generator.Version{Major: 5, Minor: 4}, Generator: "1"},
		{Podman: generator.Version{Major: 5, Minor: 4}, Generator: "2"},
		{Podman: generator.Version{Major: 4, Minor: 9}, Generator: "1"},
		{Podman: generator.Version{Major: 5, Minor: 0}, Generator: "1"},
		{Podman: generator.Version{Major: 5, Minor: 8}, Generator: "1"},
		{Podman: generator.Version{Major: 6, Minor: 0}, Generator: "1", Scope: units.System},
	} {
		files := renderEdited(t, edit, target)
		if first == nil {
			first = files
		}
		for _, f := range files {
			if old, ok := first.Find(f.Name); !ok || old.Digest != f.Digest {
				t.Errorf("Podman %v, archgen %s, %v: %s has another digest", target.Podman, target.Generator, target.Scope, f.Name)
			}
		}
	}
}

// TestDigestIsWrittenDown: the file's mark and the container's label say what
// the value says, and the digest of the manifest stands beside it.
func TestDigestIsWrittenDown(t *testing.T) {
	for _, f := range renderEdited(t, "", generator.Target{Podman: generator.Default, Generator: "1"}) {
		mark, ok := units.ReadOwnership(f.Content)
		if !ok || mark.Digest != f.Digest || len(f.Digest) != 32 || mark.App != f.App {
			t.Errorf("%s is marked %+v; its digest is %s", f.Name, mark, f.Digest)
		}
		if (mark.ManifestDigest == "") != (f.App == "") {
			t.Errorf("%s of app %q has the manifest's digest %q", f.Name, f.App, mark.ManifestDigest)
		}
		label := "\nLabel=io.archipelago.digest=" + f.Digest + "\n"
		if strings.HasSuffix(f.Name, ".container") && strings.Count(string(f.Content), label) != 1 {
			t.Errorf("%s: no label has the digest %s", f.Name, f.Digest)
		}
	}
}

// inMain makes edits of the main container edits of the app.
func inMain(edits ...string) []string {
	list := make([]string, 0, len(edits))
	for _, e := range edits {
		list = append(list, "containers: {main: {"+e+"}}")
	}
	return list
}

// digestOf is the digest of one file after an edit.
func digestOf(t *testing.T, edit, name string) string {
	t.Helper()
	f, ok := renderEdited(t, edit, generator.Target{Podman: generator.Version{Major: 5, Minor: 8}, Generator: "1"}).Find(name)
	if !ok {
		t.Fatalf("%s\nleaves no %s", edit, name)
	}
	return f.Digest
}

// renderEdited renders digestBase with an overlay of the app x.
func renderEdited(t *testing.T, edit string, target generator.Target) units.Set {
	t.Helper()
	files := txtar.Parse([]byte(digestBase)).Files
	inputs := make([]manifests.Input, 0, len(files))
	for _, f := range files {
		in := manifests.Input{Manifest: manifests.Source{Name: f.Name, Data: f.Data}, Dir: "/apps"}
		if f.Name == "x.yaml" {
			in.Overlays = []manifests.Source{{Name: "edit.yaml", Data: []byte("app: {" + edit + "}")}}
		}
		inputs = append(inputs, in)
	}
	return render(t, inputs, target)
}

// render compiles manifests that have nothing wrong with them.
func render(t *testing.T, inputs []manifests.Input, target generator.Target) units.Set {
	t.Helper()
	var (
		diags diag.List
		list  []*manifests.Manifest
	)
	for _, in := range inputs {
		m, problems := manifests.Parse(in)
		diags = append(diags, problems...)
		if m != nil {
			diags = append(diags, manifests.Validate(m)...)
			list = append(list, m)
		}
	}
	set, problems := manifests.Resolve(list, manifests.DefaultSettings())
	diags = append(diags, problems...)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	result, problems := generator.Render(set, target)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return result.Files
}
