package statedir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMigrations: each part has a list of versions whose migrations ran, until the data of
// its app is deleted.
func TestMigrations(t *testing.T) {
	s := store(t)
	if versions, err := s.Migrated("web"); versions != nil || err != nil {
		t.Errorf("before the first: %v, %v", versions, err)
	}
	if err := s.ForgetMigrated([]string{"web"}); err != nil {
		t.Errorf("forgetting what is not there: %v", err)
	}
	for _, part := range []string{"web", "web.db", "webmail"} {
		if err := s.SaveMigrated(part, []string{"1.0", part}); err != nil {
			t.Fatal(err)
		}
	}
	if versions, err := s.Migrated("web.db"); !cmp.Equal(versions, []string{"1.0", "web.db"}) || err != nil {
		t.Errorf("web.db: %v, %v", versions, err)
	}
	if err := s.ForgetMigrated([]string{"web"}); err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string][]string{"web": nil, "web.db": nil, "webmail": {"1.0", "webmail"}} {
		if versions, err := s.Migrated(part); !cmp.Equal(versions, want) || err != nil {
			t.Errorf("%s: %v, %v", part, versions, err)
		}
	}
}

// TestDamagedMigrations: archgen can't guess which migrations ran, so the operator has to
// correct the file.
func TestDamagedMigrations(t *testing.T) {
	s := store(t)
	path := filepath.Join(s.State, "migrated", "web.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, path, `["1.0`)
	if _, err := s.Migrated("web"); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "correct it by hand") {
		t.Errorf("%v", err)
	}
}
