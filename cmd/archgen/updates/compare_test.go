package updates

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// resolved is an app of a manifest and an overlay.
func resolved(t *testing.T, manifest, overlay string) *manifests.Resolved {
	t.Helper()
	in := manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte("app: {id: x, name: X, version: '1', " + manifest + "}")}}
	if overlay != "" {
		in.Overlays = []manifests.Source{{Name: "x.d/local.yaml", Data: []byte("app:\n  " + overlay)}}
	}
	m, diags := manifests.Parse(in)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	return set.Apps[0]
}

// TestCompare: what a release takes away, and where its images are from.
func TestCompare(t *testing.T) {
	t.Parallel()
	const image = "container: {image: 'docker.io/library/x:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'"
	for what, c := range map[string]struct {
		was, is          string
		lost, publishers []string
	}{
		"nothing":            {was: image + "}", is: image + "}"},
		"another version":    {was: image + "}", is: "container: {image: 'docker.io/library/x:2'}"},
		"another namespace":  {was: image + "}", is: "container: {image: 'docker.io/other/x:1'}", publishers: []string{"docker.io/other"}},
		"another registry":   {was: image + "}", is: "container: {image: 'ghcr.io/library/x:1'}", publishers: []string{"ghcr.io/library"}},
		"a part of another":  {was: image + "}", is: "containers: {main: {image: 'docker.io/library/x:1'}, db: {image: 'quay.io/db:1'}}", publishers: []string{"quay.io"}},
		"a port is gone":     {was: image + ", ports: [{name: web, host: 80, container: 80}]}", is: image + "}", lost: []string{"port 80/tcp on 127.0.0.1"}},
		"a port more":        {was: image + "}", is: image + ", ports: [{name: web, host: 80, container: 80}]}"},
		"another address":    {was: image + ", ports: [{name: web, host: 80, container: 80, bind: 0.0.0.0}]}", is: image + ", ports: [{name: web, host: 80, container: 80}]}", lost: []string{"port 80/tcp on 0.0.0.0"}},
		"a shorter range":    {was: image + ", ports: [{host: 80, container: 80, count: 3}]}", is: image + ", ports: [{host: 80, container: 80, count: 2}]}", lost: []string{"port 82/tcp on 127.0.0.1"}},
		"a volume is gone":   {was: image + ", volumes: [{name: data, target: /data}]}", is: image + "}", lost: []string{"volume data at /data in main"}},
		"another target":     {was: image + ", volumes: [{name: data, target: /data}]}", is: image + ", volumes: [{name: data, target: /srv}]}", lost: []string{"volume data at /data in main"}},
		"a capability":       {was: image + ", ports: [{name: web, container: 80}]}, provides: [{capability: page, port: web}]", is: image + "}", lost: []string{"capability page"}},
		"an export":          {was: image + ", ports: [{name: web, container: 80}]}, provides: [{capability: page, port: web, exports: {path: /x}}]", is: image + ", ports: [{name: web, container: 80}]}, provides: [{capability: page, port: web}]", lost: []string{"export path of page"}},
		"a hidden service":   {was: image + ", ports: [{name: web, container: 80}]}, onion: [{port: web}]", is: image + ", ports: [{name: web, container: 80}]}", lost: []string{"hidden service of port web"}},
		"addresses of Tor":   {was: image + ", ports: [{name: socks, container: 9050}], volumes: [{name: data, target: /data}]}, provides: [{capability: tor, port: socks, onions: 'data/{app}-{port}/hostname'}]", is: image + ", ports: [{name: socks, container: 9050}], volumes: [{name: data, target: /data}]}, provides: [{capability: tor, port: socks}]", lost: []string{"onions of tor"}},
		"a disposable mount": {was: image + ", volumes: [{disposable: true, target: /data}]}", is: image + "}"},
	} {
		was, is := resolved(t, c.was, ""), resolved(t, c.is, "")
		if d := cmp.Diff(c.lost, lost(was, is)); d != "" && len(c.lost)+len(lost(was, is)) > 0 {
			t.Errorf("%s: lost: -want +got:\n%s", what, d)
		}
		if got := newPublishers(was, is); len(c.publishers)+len(got) > 0 {
			if d := cmp.Diff(c.publishers, got); d != "" {
				t.Errorf("%s: publishers: -want +got:\n%s", what, d)
			}
		}
	}
}

// TestHidden: an overlay that keeps an image is in the way only if the release has another one.
func TestHidden(t *testing.T) {
	t.Parallel()
	const overlay = "container: {image: localhost/mine:1}"
	one, two := "container: {image: 'docker.io/x:1'}", "container: {image: 'docker.io/x:2'}"
	plain := func(manifest string) *manifests.Manifest { return resolved(t, manifest, "").Manifest }
	if got := hidden(plain(one), plain(two), resolved(t, two, overlay)); len(got) != 1 || got[0] != (place{"app.container.image", "x.d/local.yaml", 2}) {
		t.Errorf("an overlay: %v", got)
	}
	for what, got := range map[string][]place{
		"the same image":              hidden(plain(one), plain(one), resolved(t, one, overlay)),
		"no overlay":                  hidden(plain(one), plain(two), resolved(t, two, "")),
		"another overlay":             hidden(plain(one), plain(two), resolved(t, two, "enabled: false")),
		"a manifest that has errors":  hidden(nil, plain(two), resolved(t, two, overlay)),
		"a manifest of another shape": hidden(plain(one), plain("containers: {main: {image: 'docker.io/x:1'}}"), resolved(t, one, overlay)),
	} {
		if len(got) > 0 {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// TestMoreRights: a right that is granted already, and one that the installed release has, need nothing.
func TestMoreRights(t *testing.T) {
	t.Parallel()
	const (
		plain = "container: {image: x, user: '1000'}"
		open  = "container: {image: x, user: '1000', ports: [{name: web, host: 80, container: 80, bind: 0.0.0.0}]}"
		root  = "container: {image: x}"
	)
	listen := manifests.Granted{Grants: manifests.Grants{Allow: []string{"listen"}}}
	for what, c := range map[string]struct {
		was, is string
		granted manifests.Granted
		want    string
	}{
		"the same":          {was: open, is: open},
		"fewer":             {was: open, is: plain},
		"one more":          {was: plain, is: open, want: "listen:0.0.0.0:80/tcp"},
		"one that it has":   {was: plain, is: open, granted: listen},
		"root":              {was: plain, is: root, want: "root:main"},
		"root as before":    {was: root, is: root},
		"a user, from root": {was: root, is: plain},
	} {
		was, is := resolved(t, c.was, ""), resolved(t, c.is, "")
		s := &Survey{Compiled: &compile.Compiled{
			Loaded: manifests.Loaded{Grants: map[string]manifests.Granted{"x": c.granted}},
			Rights: map[string][]rights.Right{"x": rights.Of(was)},
		}}
		a := &App{}
		a.ID = "x"
		var got strings.Builder
		for _, r := range s.moreRights(a, was, is) {
			got.WriteString(r.ID)
		}
		if d := cmp.Diff(c.want, got.String()); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
}
