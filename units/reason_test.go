package units_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units"
)

// TestMeanings: every reason that is told is explained, in docs/operations.md as well.
func TestMeanings(t *testing.T) {
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Reason = "(.+)"`).FindAllStringSubmatch(string(source), -1) {
		if units.Reason(m[1]).Meaning("web") == "" {
			t.Errorf("nothing says what %s means", m[1])
		}
	}
	var rows strings.Builder
	for _, m := range units.Meanings {
		fmt.Fprintf(&rows, "| `%s` | %s |\n", m.Reason, m.Meaning)
	}
	if !strings.Contains(string(page), rows.String()) {
		t.Errorf("docs/operations.md needs the rows\n%s", &rows)
	}
	if got, want := units.ReasonDisabled.Meaning("web"), "it is not to start by itself; archgen enable web"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
