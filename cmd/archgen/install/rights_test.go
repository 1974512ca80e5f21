package install_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

const (
	web    = "app: {id: web, name: W, version: 1.0.0, containers: {main: {image: x, ports: ['0.0.0.0:80:80']}"
	webNew = web + ", db: {image: y, volumes: [{path: /srv/db, target: /d}]}}}"
	evil   = "app: {id: evil, name: E, version: 1.0.0, container: {image: x, privileged: true, env_files: [/srv/a, /srv/a]}}"
	calm   = "app: {id: calm, name: C, version: 1.0.0, conflicts: [evil], container: {image: x}}"
)

// ours is an entry of archgen's own catalog.
func ours(t *testing.T, id string) catalog.Entry {
	t.Helper()
	list, diags, err := catalog.Entries(nil)
	if err != nil || len(diags) > 0 {
		t.Fatal(diags, err)
	}
	return list[slices.IndexFunc(list, func(e catalog.Entry) bool { return e.ID == id })]
}

// request is a request as a test reads it: the rights beyond the safe set with their origin,
// and the missing ones.
type request struct {
	IsNew, IsOfCatalog bool
	Further            map[string]rights.Origin
	Missing            []string
}

func describe(list []*install.Request) map[string]request {
	all := map[string]request{}
	for _, r := range list {
		d := request{IsNew: r.App.IsNew(), IsOfCatalog: r.IsOfCatalog, Further: map[string]rights.Origin{}, Missing: rights.GrantsFor(r.Missing())}
		for _, x := range r.Further() {
			d.Further[x.ID] = x.Granted
		}
		all[r.App.ID] = d
	}
	return all
}

// choosing stages entries without what they require, beside an installed web that publishes
// a port.
func choosing(t *testing.T, grants map[string][]string, entries ...catalog.Entry) (*world, *install.Installation, *install.Staged) {
	t.Helper()
	w := newWorld(t)
	w.put(map[string]string{"web.yaml": web + "}}"})
	for id, list := range grants {
		w.put(map[string]string{id + ".d/grants.toml": string(manifests.Grants{Allow: list}.Text())})
	}
	in, err := install.New(w.dir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		in.Add(e)
	}
	return w, in, w.stage(in)
}

// TestRequests: a new app asks for what it can do, a new manifest for what it adds; not for
// what is in the safe set, what the installed manifest asks for already, nor for the same
// twice.
func TestRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, s := choosing(
		t, map[string][]string{"web": {"listen"}},
		w.entry("evil.yaml", evil), w.entry("calm.yaml", calm), w.entry("web.yaml", webNew), ours(t, "sftpgo"), ours(t, "electrs-ui"),
	)
	list, unused := s.Requests([]string{"privileged", "onion"})
	want := map[string]request{
		"evil": {true, false, map[string]rights.Origin{"privileged": rights.ByGrant, "host-read:/srv/a": rights.Nobody}, []string{"host-read:/srv/a"}},
		"calm": {true, false, map[string]rights.Origin{}, []string{}},
		"web":  {false, false, map[string]rights.Origin{"host-write:/srv/db": rights.Nobody}, []string{"host-write:/srv/db"}},

		"sftpgo":     {true, true, map[string]rights.Origin{}, []string{}},
		"electrs-ui": {true, true, map[string]rights.Origin{"use:bitcoin-rpc": rights.ByGrant, "use:electrum": rights.ByGrant}, []string{}},
	}
	if d := cmp.Diff(want, describe(list)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff([]string{"onion"}, unused); d != "" {
		t.Errorf("grants that no app needs: -want +got:\n%s", d)
	}
}

// TestRevoked: what was revoked of an app of the catalog is not granted by installing it
// again.
func TestRevoked(t *testing.T) {
	t.Parallel()
	e := ours(t, "electrs-ui")
	w := newWorld(t)
	w.put(map[string]string{"electrs-ui.yaml": string(e.Text), "electrs-ui.d/grants.toml": "allow = [\"use:electrum\"]\n"})
	in, err := install.New(w.dir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.Add(e)
	list, _ := w.stage(in).Requests(nil)
	if d := cmp.Diff([]string{"use:bitcoin-rpc"}, rights.GrantsFor(list[0].Missing())); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestAllowedByCatalog: an app has the rights that the operator lets all apps of its catalog have,
// but not one that was revoked.
func TestAllowedByCatalog(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		installed, grants string
		want              []string
	}{
		"a new app":                     {want: []string{"host-read:/srv/a"}},
		"a manifest that asks for more": {installed: "app: {id: evil, name: E, version: 1.0.0, container: {image: x}}", grants: "allow = []\n", want: []string{"host-read:/srv/a"}},
		"one that was revoked":          {installed: evil, grants: "allow = []\n", want: []string{"privileged", "host-read:/srv/a"}},
	} {
		w := newWorld(t)
		if c.installed != "" {
			w.put(map[string]string{"evil.yaml": c.installed, "evil.d/grants.toml": c.grants})
		}
		e := w.entry("evil.yaml", evil)
		e.Catalog, e.Allow = "nodes", []string{"privileged"}
		in, err := install.New(w.dir(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		in.Add(e)
		list, _ := w.stage(in).Requests(nil)
		missing := rights.GrantsFor(list[0].Missing())
		slices.Sort(missing)
		slices.Sort(c.want)
		if d := cmp.Diff(c.want, missing); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
}

// TestGrantsAreInstalled: what was granted is installed with the app: what it asks for, not
// the kinds by which it was granted, beside what it had.
func TestGrantsAreInstalled(t *testing.T) {
	t.Parallel()
	other := newWorld(t)
	w, in, s := choosing(
		t, map[string][]string{"web": {"onion:web"}},
		other.entry("web.yaml", webNew), ours(t, "sftpgo"), ours(t, "electrs-ui"), other.entry("calm.yaml", calm), other.entry("evil.yaml", evil),
	)
	list, _ := s.Requests([]string{"host-write", "listen:0.0.0.0:80/tcp", "privileged"})
	for _, r := range list {
		r.Grant() // as the operator confirms
	}
	if _, err := in.Write(); err != nil {
		t.Fatal(err)
	}
	have := map[string][]string{}
	for _, id := range in.IDs() {
		have[id] = w.granted(id)
	}
	want := map[string][]string{
		"web": {"host-write:/srv/db", "listen:0.0.0.0:80/tcp", "onion:web"}, "sftpgo": nil,
		"electrs-ui": {"use:bitcoin-rpc", "use:electrum"}, "calm": nil, "evil": {"host-read:/srv/a", "privileged"},
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
