package journal

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// journalctl -x explains each kind of entry, and no others.
func TestCatalogExplainsEachKind(t *testing.T) {
	t.Parallel()
	read := func(file, pattern string) []string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(data), -1)
		ids := make([]string, 0, len(found))
		for _, f := range found {
			ids = append(ids, f[1])
		}
		slices.Sort(ids)
		return ids
	}
	const catalog = "../../packaging/journal/archipelago.catalog"
	kinds, explained := read("journal.go", `Kind = "(.*)"`), read(catalog, `(?m)^-- (.*)$`)
	if d := cmp.Diff(kinds, explained); d != "" {
		t.Errorf("-kinds +catalog:\n%s", d)
	}
	if all := slices.Compact(slices.Clone(kinds)); len(kinds) == 0 || len(all) < len(kinds) {
		t.Errorf("there are no kinds, or two with one id: %q", kinds)
	}
	data, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	entry := regexp.MustCompile(`^[0-9a-f]{32}\nSubject: [A-Z].*[^.]\nDefined-By: archipelago\nDocumentation: man:.*\n\n(?s).{50,}\n$`)
	for _, text := range strings.Split(string(data), "\n-- ")[1:] {
		if !entry.MatchString(text + "\n") {
			t.Errorf("this is no entry:\n%s", text)
		}
	}
}
