package units

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOnly: of some apps nothing is removed that belongs to others, and one that can't be
// compiled is named.
func TestOnly(t *testing.T) {
	t.Parallel()
	d := Desired{
		Apps: []App{{ID: "a"}, {ID: "b"}}, Invalid: []string{"wrong"}, Ungranted: []string{"lacks"},
		Shared: Set{{Name: "cap.network"}}, Complete: true, Scope: System,
	}
	if all, err := d.Only(nil); err != nil || cmp.Diff(d, all) != "" {
		t.Errorf("%+v, %v; want all", all, err)
	}
	only, err := d.Only([]string{"b"})
	if diff := cmp.Diff(Desired{Apps: []App{{ID: "b"}}, Shared: d.Shared, Scope: System}, only); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	for id, want := range map[string]string{
		"wrong": "the manifest of wrong has errors; see archgen check",
		"lacks": "the manifest of lacks has errors; see archgen check",
		"none":  `no app "none" is installed; see archgen status`,
	} {
		if _, err := d.Only([]string{"a", id}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}
