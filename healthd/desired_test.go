package healthd

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// TestDiagnoseTellsNews: what was found the time before is not told again, and what
// went away and is back is.
func TestDiagnoseTellsNews(t *testing.T) {
	t.Parallel()
	at := func(file string) diag.Diagnostic {
		return diag.Diagnostic{Severity: diag.Error, File: file, Message: "is broken"}
	}
	a, b, c := at("a"), at("b"), at("c")
	var told []diag.List
	compiler := Compiler{Diagnose: func(list diag.List) { told = append(told, list) }}
	for _, found := range []diag.List{{a, b, b}, {a, b, c}, {c}, {a, c}} {
		compiler.diagnose(found)
	}
	if d := cmp.Diff([]diag.List{{a, b}, {c}, nil, {a}}, told); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
