package rights

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCheckGrants: a grant is a right or a kind of rights, and fits in a file.
func TestCheckGrants(t *testing.T) {
	t.Parallel()
	for text, isRight := range map[string]bool{
		"listen": true, "listen:0.0.0.0:80/tcp": true, "privileged": true,
		"lisetn": false, "": false, ":80": false, "host-read:/srv/a\nb": false,
	} {
		if err := CheckGrants([]string{"onion", text}); (err == nil) != isRight {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestExplain: each right has the origin that counts for it, and no list is nil.
func TestExplain(t *testing.T) {
	t.Parallel()
	low := Right{ID: "provide:page", Kind: Provide, Severity: Low, OfManifest: true}
	listen := Right{ID: "listen:0.0.0.0:80/tcp", Kind: Listen, Severity: Medium, OfManifest: true}
	onion := Right{ID: "onion:web", Kind: Onion, Severity: Medium, OfManifest: true}
	grants := Grants{App: []string{"listen"}}
	want := []Granted{{Right: low, Granted: Safe}, {Right: listen, Granted: ByGrant}, {Right: onion, Granted: Nobody}}
	if d := cmp.Diff(want, grants.Explain([]Right{low, listen, onion})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if list := grants.Explain(nil); list == nil || len(list) > 0 {
		t.Errorf("of no rights: %#v", list)
	}
	if d := cmp.Diff([]Right{onion}, Without([]Right{listen, onion}, []Right{listen})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
