package generator_test

import (
	"bytes"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// coveredBy names the Go test of each code that no manifest in a txtar can
// bring about.
var coveredBy = map[diag.Code]string{
	diag.TooLarge:      "manifests.TestLargeFiles: a case would be large itself",
	diag.PodmanRejects: "conform.TestFindings: the generator writes nothing that Podman refuses",
	diag.PodmanWarns:   "conform.TestFindings: nor what Podman warns about",
	diag.NotGranted:    "archgen's script grants: what is rendered here is not run",
	diag.DataFormat:    "archgen's script data_format: the format of data is known on a machine only",
	// What an image has is known on a machine only.
	diag.ImageArchitecture: "imagecheck.TestCheck", diag.ImagePort: "imagecheck.TestCheck", diag.ImageVolume: "imagecheck.TestCheck",
	diag.ImageProgram: "imagecheck.TestCheck", diag.ImageUser: "imagecheck.TestCheck", diag.ImageOwner: "imagecheck.TestCheck",
}

// Every code of the reference has an example that shows its exact message: a
// case in testdata/diagnostics, or one of the tests above.
func TestEveryCodeHasACase(t *testing.T) {
	shown := shownDiagnostics(t)
	for _, entry := range diag.Codes {
		_, elsewhere := coveredBy[entry.Code]
		found := bytes.Contains(shown, []byte("["+entry.Code+"]"))
		switch {
		case found && elsewhere:
			t.Errorf("%s has a case now: take it out of coveredBy", entry.Code)
		case !found && !elsewhere:
			t.Errorf("no case in testdata/diagnostics shows a diagnostic with the code %s", entry.Code)
		}
	}
}

// A code that is used has to be documented.
func TestEveryShownCodeIsDocumented(t *testing.T) {
	codes := regexp.MustCompile(`(?m) \[([a-z0-9-]+)\](?:;|$)`)
	for _, m := range codes.FindAllSubmatch(shownDiagnostics(t), -1) {
		if !slices.ContainsFunc(diag.Codes, func(e diag.Entry) bool { return string(e.Code) == string(m[1]) }) {
			t.Errorf("the code %s is not in diag.Codes", m[1])
		}
	}
}

// shownDiagnostics is the findings that all cases expect.
func shownDiagnostics(t *testing.T) []byte {
	t.Helper()
	files, err := filepath.Glob("testdata/diagnostics/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var shown []byte
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "diagnostics" })
		if i < 0 {
			t.Errorf("%s shows no diagnostics", file)
			continue
		}
		shown = append(shown, a.Files[i].Data...)
	}
	return shown
}
