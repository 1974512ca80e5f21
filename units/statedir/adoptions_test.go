package statedir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// TestAdoptions: saved adoptions are read again, none leave no file, and a file that can't
// be read is an error.
func TestAdoptions(t *testing.T) {
	t.Parallel()
	store := statedir.Store{State: filepath.Join(t.TempDir(), "state")}
	file := filepath.Join(store.State, "adoptions.json")
	kept := units.Adoptions{
		"x": {Containers: []units.ForeignContainer{{ID: "c1", Name: "x", Ran: true, Restart: "always"}, {ID: "c2", Name: "x.db"}}},
		"y": {Withdrawn: "12"},
	}
	for _, want := range []units.Adoptions{{}, kept, {}} {
		if err := store.SaveAdoptions(want); err != nil {
			t.Fatal(err)
		}
		got, err := store.Adoptions()
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, d)
		}
		if _, err := os.Stat(file); (err == nil) != (len(want) > 0) {
			t.Errorf("of %v there is a file: %v", want, err)
		}
	}
	if err := os.WriteFile(file, []byte(`{"x": {"containers": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := store.Adoptions(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("half a file: %v, %v", a, err)
	}
}

// TestAdoptionsOnDisk: the file format is the same for all versions of archgen.
func TestAdoptionsOnDisk(t *testing.T) {
	t.Parallel()
	store := statedir.Store{State: t.TempDir()}
	err := store.SaveAdoptions(units.Adoptions{
		"x": {Containers: []units.ForeignContainer{{ID: "c1", Name: "x", Ran: true, Restart: "always"}, {ID: "c2", Name: "x.db"}}},
		"y": {Withdrawn: "12"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(store.State, "adoptions.json"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(adoptions, string(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

const adoptions = `{
  "x": {
    "containers": [
      {
        "id": "c1",
        "name": "x",
        "ran": true,
        "restart": "always"
      },
      {
        "id": "c2",
        "name": "x.db"
      }
    ]
  },
  "y": {
    "withdrawn": "12"
  }
}
`
