package statedir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// TestSeenHistory: a daemon has each history that another program stores, and a change that it makes
// to what it has read stays its own until it is saved.
func TestSeenHistory(t *testing.T) {
	t.Parallel()
	store := Store{State: t.TempDir()}
	seen := &Seen{Store: store}
	read := func(why string, want units.History) units.History {
		t.Helper()
		h, err := seen.History()
		if d := cmp.Diff(want, h); d != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", why, err, d)
		}
		return h
	}
	save := func(h units.History) {
		t.Helper()
		if err := store.SaveHistory(h); err != nil {
			t.Fatal(err)
		}
	}
	read("none", units.History{})
	one := units.History{"a": {Tries: 1, Last: time.Unix(1, 0).UTC(), Pending: map[string]string{"app@a.service": "1"}}}
	save(one)
	h := read("the first", one)
	h.ClearPending("a")
	h.MarkChanged("a")
	h["b"] = units.Record{Tries: 7}
	read("the same again", one)
	two := units.History{"a": {Tries: 2, Last: time.Unix(1, 0).UTC()}}
	save(two)
	read("another one", two)
	file := filepath.Join(store.State, historyFile)
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	read("a damaged one", units.History{})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	read("none any more", units.History{})
}
