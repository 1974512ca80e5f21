package prestart

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/durable"
)

// TestForget: no rendered file of a removed app and its parts stays. The record of
// migrations stays with the data.
func TestForget(t *testing.T) {
	t.Parallel()
	r := Renderer{Runtime: t.TempDir(), State: t.TempDir()}
	for _, id := range []string{"web", "web.db", "webmail"} {
		if err := durable.ReplacePrivate(r.Dir(id), "conf", []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := durable.Replace(migratedDir(r.State), id+".json", []byte("[]")); err != nil {
			t.Fatal(err)
		}
	}
	left := func(dir string) []string {
		names, err := durable.Names(dir)
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	for _, c := range []struct{ removed, purged, files, migrated []string }{
		{[]string{"web"}, nil, []string{"webmail"}, []string{"web.db.json", "web.json", "webmail.json"}},
		{[]string{"web"}, []string{"web"}, []string{"webmail"}, []string{"webmail.json"}},
	} {
		if err := r.Forget(c.removed, c.purged); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([][]string{c.files, c.migrated}, [][]string{left(r.filesDir()), left(migratedDir(r.State))}); d != "" {
			t.Errorf("%v, purged %v: -want +left:\n%s", c.removed, c.purged, d)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	if err := (Renderer{Runtime: none, State: none}).Forget([]string{"web"}, []string{"web"}); err != nil {
		t.Errorf("nothing was rendered: %v", err)
	}
}
