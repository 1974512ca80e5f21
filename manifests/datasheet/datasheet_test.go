package datasheet_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/datasheet"
)

const manifest = `app:
  id: shop
  name: Shop
  version: 1.0.0
  description: Sells things
  provides: [{capability: shop-api, port: web}]
  requires: [{capability: bitcoin-rpc}, {capability: tor, optional: true}]
  companions: [shop-ui]
  notices: [It has no login., It needs the internet at its first start.]
  networks: [mainnet, signet]
  volumes: {orders: {existing: wallet.data}}
  data: {backup: {exclude: [data/cache, data/logs]}}
  container:
    build: {context: shop}
    stop: {timeout: 1m}
    ports:
      - {name: web, host: 8080, container: 80}
      - {name: peers, host: 9000, container: 9000, count: 3, protocol: udp, bind: "::"}
      - {name: home, host: 9100, container: 9100, bind: 192.168.1.2}
      - {name: inner, container: 7000}
    volumes:
      - {name: data, target: /data}
      - {name: orders, target: /orders}
      - {name: data, app: lnd, target: /lnd, read_only: true}
      - {name: data, app: node, target: /node}
      - {path: /srv/media, target: /media}
    health:
      serving: {http: {port: web, path: /health, status: [200, 401]}}
      synced: {jsonrpc: {port: web, method: getinfo, expect: {ready: "true"}}}
  containers:
    db:
      image: docker.io/library/postgres:17@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
      health: {serving: {exec: [pg_isready, -q]}}
`

func TestOf(t *testing.T) {
	t.Parallel()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "shop.yaml", Data: []byte(manifest)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	got := map[string][][]string{}
	for _, table := range datasheet.Of(set.Apps, func(name string) string { return "<" + name + ">" }) {
		got[table.Title] = table.Rows
		for _, cells := range table.Rows {
			if len(cells) != len(table.Heads) {
				t.Errorf("%s: %d cells for %d heads", table.Title, len(cells), len(table.Heads))
			}
		}
	}
	want := map[string][][]string{
		"Apps":     {{"<shop>", "1.0.0", "Sells things", "<shop-api>", "<bitcoin-rpc>, (<tor>)", "<shop-ui>"}},
		"Notices":  {{"<shop>", "It has no login."}, {"<shop>", "It needs the internet at its first start."}},
		"Networks": {{"<shop>", "<mainnet>, <signet>"}},
		"Ports": {
			{"<shop>", "web", "8080/tcp", "this machine", "80"},
			{"<shop>", "peers", "9000-9002/udp", "everywhere", "9000-9002"},
			{"<shop>", "home", "9100/tcp", "the network of 192.168.1.2", "9100"},
			{"<shop>", "inner", "", "other containers", "7000"},
		},
		"Data": {
			{"<shop>", "<data>", "/data", "all but <data/cache>, <data/logs>"},
			{"<shop>", "<orders>, stored in <wallet.data>", "/orders", "all"},
			{"<shop>", "<lnd.data>, to read", "/lnd", ""},
			{"<shop>", "<node.data>, to read and change", "/node", ""},
			{"<shop>", "</srv/media>, of the host", "/media", ""},
		},
		"Rights": {
			{"<shop>", "<host-write:/srv/media>", "high", "read and change /srv/media on the host"},
			{"<shop>", "<volume-write:node.data>", "high", "read and change all files in the volume data of node"},
			{"<shop>", "<volume-write:wallet.data>", "high", "read and change all files in the volume wallet.data, which is not its own"},
			{"<shop>", "<build:shop>", "medium", "build an image from shop, with Podman's default privileges and the network instead of the container's limits"},
			{"<shop>", "<listen:192.168.1.2:9100/tcp>", "medium", "accept connections at 192.168.1.2 on port 9100/tcp"},
			{"<shop>", "<listen:[::]:9000-9002/udp>", "medium", "accept connections from other machines on port 9000-9002/udp"},
			{"<shop>", "<use:bitcoin-rpc>", "medium", "share a network with all apps that provide or require bitcoin-rpc, and read the secrets that the provider exports"},
			{"<shop>", "<use:tor>", "medium", "share a network with all apps that provide or require tor, and read the secrets that the provider exports"},
			{"<shop>", "<volume-read:lnd.data>", "medium", "read all files in the volume data of lnd"},
			{"<shop>", "<control:shop-ui>", "low", "start, stop and restart shop-ui together with itself, where shop-ui says so too"},
			{"<shop>", "<provide:shop-api>", "low", "serve the apps that require shop-api"},
		},
		"Times and checks": {
			{"<shop>", "5m", "1m", "http </health> answers 200, 401", "<getinfo> answers with <ready: true>"},
			{"<shop.db>", "5m", "2m", "<pg_isready> in the container succeeds", ""},
		},
		"Images": {
			{"<shop>", "built from <shop>", ""},
			{"<shop.db>", "<docker.io/library/postgres:17>", "<sha256:0123456789ab…>"},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
}

// TestNothingOptional: what brackets mean is said where there are some.
func TestNothingOptional(t *testing.T) {
	t.Parallel()
	for text, list := range map[string][]manifests.Require{
		"": {{Capability: "tor"}}, "Optional requirements are in brackets.": {{Capability: "tor", Optional: true}},
	} {
		app := &manifests.Resolved{Manifest: &manifests.Manifest{}}
		app.Document.App.Requires = list
		if got := datasheet.Of([]*manifests.Resolved{app}, func(name string) string { return name })[0].Text; got != text {
			t.Errorf("%q", got)
		}
	}
}

// TestProbeKinds: each kind of probe has a sentence of its own.
func TestProbeKinds(t *testing.T) {
	t.Parallel()
	for probe, want := range map[string]string{
		"tcp: {port: web}":      "its port is open",
		"electrum: {port: web}": "<server.version> answers",
		"postgres: {port: web}": "PostgreSQL accepts a startup message",
		"redis: {port: web}":    "<PING> is answered",
		"mysql: {port: web}":    "the MySQL server greets",
	} {
		text := "app: {id: x, name: X, version: 1.0.0, container: {image: localhost/x:1, ports: [{name: web, host: 80, container: 80}], health: {serving: {" + probe + "}}}}\n"
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(text)}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		for _, table := range datasheet.Of(set.Apps, func(name string) string { return "<" + name + ">" }) {
			if table.Title == "Times and checks" && table.Rows[0][3] != want {
				t.Errorf("%s: %q, want %q", probe, table.Rows[0][3], want)
			}
		}
	}
}
