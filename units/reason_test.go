package units_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units"
)

// TestMeanings: every reason has a meaning, which docs/operations.md shows, too.
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
		if units.Reason(m[1]).Meaning() == "" {
			t.Errorf("nothing says what %s means", m[1])
		}
	}
	var rows strings.Builder
	for _, m := range units.Meanings {
		mend := m.Reason.Mend("ID", units.User)
		if mend != "" {
			mend = "`" + mend + "`"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", m.Reason, m.Meaning, mend)
	}
	if !strings.Contains(string(page), rows.String()) {
		t.Errorf("docs/operations.md needs the rows\n%s", &rows)
	}
	for scope, want := range map[units.Scope]string{units.User: "archgen enable web", units.System: "archgen enable --system web"} {
		if got := units.ReasonDisabled.Mend("web", scope); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := units.ReasonInvalidManifest.Mend("web", units.System); got != "archgen check --system" {
		t.Errorf("%q", got)
	}
	if got := units.ReasonLoading.Mend("web", units.System); got != "" {
		t.Errorf("%q", got)
	}
}
