package install_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
)

// TestGrants: rights are granted to an app that is installed or not, and taken where its
// grants list them. Elsewhere the error says where they are granted.
func TestGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{
		"web.yaml": web + "}}", "web.d/media.yaml": "app: {containers: {main: {volumes: [{path: /srv/music, target: /m, read_only: true}]}}}\n",
		"web.d/grants.toml": "allow = [\"listen\"]\n", "../archipelago.toml": "allow = [\"onion\"]\n",
		"bad.d/grants.toml": "allow = 1\n",
	})
	of := func(id string) *install.Grants {
		k, _ := w.compiled()
		g, err := install.GrantsOf(id, w.dir(), k)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := of("web")
	if d := cmp.Diff([]string{"onion"}, g.Unasked([]string{"listen:0.0.0.0:80/tcp", "onion", "host-read"})); d != "" || !g.IsInstalled {
		t.Errorf("what web does not ask for: -want +got:\n%s", d)
	}
	for right, want := range map[string]string{
		"listen:0.0.0.0:80/tcp": "web is granted all rights of the kind listen: revoke listen, and grant those that it should keep",
		"host-read:/srv/music":  "an overlay of web asks for host-read:/srv/music: change the overlay, archgen rights web names it",
		"privileged":            "web is not granted privileged; see archgen rights web",
	} {
		if err := g.Revoke([]string{right}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", right, err, want)
		}
	}
	if err := g.Add([]string{"privileged"}); err != nil {
		t.Fatal(err)
	}
	if err := of("web").Revoke([]string{"listen", "none"}); err == nil || len(w.granted("web")) != 2 {
		t.Errorf("one of them is not granted: %v, %q are left", err, w.granted("web"))
	}
	if err := of("web").Revoke([]string{"listen"}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"privileged"}, w.granted("web")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	w.put(map[string]string{"../archipelago.toml": "allow = [\"listen\"]\n"})
	if err := of("web").Revoke([]string{"listen:0.0.0.0:80/tcp"}); err == nil || err.Error() != "archipelago.toml allows listen:0.0.0.0:80/tcp to all apps: change it there" {
		t.Errorf("%v", err)
	}
	later := of("later")
	if err := later.Add([]string{"listen"}); err != nil || later.IsInstalled || len(later.Unasked([]string{"listen"})) > 0 {
		t.Errorf("an app that is not installed: %v", err)
	}
	if d := cmp.Diff([]string{"listen"}, w.granted("later")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	k, _ := w.compiled()
	if _, err := install.GrantsOf("bad", w.dir(), k); err == nil || !strings.Contains(err.Error(), "bad.d/grants.toml has errors, and writing it would lose what can't be read") {
		t.Errorf("grants with errors: %v", err)
	}
}

// TestRecordGrants: an app of the catalog has its rights written down, unless the units of
// others only are written.
func TestRecordGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in, err := install.New(w.dir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.Add(ours(t, "bitcoin-knots"))
	if _, err := in.Write(); err != nil {
		t.Fatal(err)
	}
	k, _ := w.compiled()
	k.Only = map[string]bool{"other": true}
	if err := install.RecordGrants(w.dir(), k); err != nil || w.granted("bitcoin-knots") != nil {
		t.Errorf("%v, %q", err, w.granted("bitcoin-knots"))
	}
	k.Only = nil
	if err := install.RecordGrants(w.dir(), k); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(k.Unrecorded["bitcoin-knots"], w.granted("bitcoin-knots")); d != "" || len(k.Unrecorded) != 1 {
		t.Errorf("-want +got:\n%s", d)
	}
}
