package statedir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/durable"
)

// TestCatalog: files and state of a catalog are replaced in one step. Content that an interrupted
// command left does not count, and goes with the next change.
func TestCatalog(t *testing.T) {
	t.Parallel()
	s := store(t)
	if c, err := s.Catalog("nodes"); c != nil || err != nil {
		t.Errorf("before the first: %v, %v", c, err)
	}
	first := Catalog{Source: "dir:/x", Read: s.Now(), Content: "1111", Sequence: 1, Keys: []string{"k"}, Threshold: 1, Apps: map[string]CatalogApp{"web": {Security: 3}}}
	second := first
	second.Content, second.Sequence = "2222", 2
	content := func() string {
		c, err := s.Catalog("nodes")
		if err != nil || c == nil {
			t.Fatal(c, err)
		}
		text, err := os.ReadFile(filepath.Join(s.CatalogDir("nodes", *c), "web.files/a"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	save := func(c Catalog, text string) {
		t.Helper()
		if err := s.SaveCatalog("nodes", c, map[string][]byte{"web.files/a": []byte(text)}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Catalog("nodes")
		if d := cmp.Diff(&c, got); err != nil || d != "" {
			t.Errorf("%v -want +got:\n%s", err, d)
		}
	}
	save(first, "first")
	if err := durable.CreateTree(s.catalog("nodes"), "3333", map[string][]byte{"x": nil}); err != nil {
		t.Fatal(err)
	}
	if got := content(); got != "first" {
		t.Errorf("after an interrupted command: %q", got)
	}
	save(second, "second")
	if got := content(); got != "second" {
		t.Errorf("%q", got)
	}
	if names, err := durable.Names(s.catalog("nodes")); err != nil || strings.Join(names, " ") != "2222" {
		t.Errorf("%v stay, %v", names, err)
	}
	if err := os.RemoveAll(s.CatalogDir("nodes", second)); err != nil {
		t.Fatal(err)
	}
	save(second, "again")
	if got := content(); got != "again" {
		t.Errorf("after its content was deleted: %q", got)
	}
	if err := s.RemoveCatalog("nodes"); err != nil {
		t.Error(err)
	}
	if c, err := s.Catalog("nodes"); c != nil || err != nil {
		t.Errorf("removed: %v, %v", c, err)
	}
}
