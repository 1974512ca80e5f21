// Package layers tests the import rules of the design against the real import graph.
package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/archipelago-os/archipelago/"

// mayImport is the imports that are permitted among our own packages. A package that is not
// listed may be imported by cmd only.
var mayImport = map[string][]string{
	"manifests/diag":               {},
	"manifests/parallel":           {},
	"units":                        {},
	"manifests/syntax":             {"manifests/diag"},
	"manifests":                    {"manifests/diag", "manifests/parallel", "manifests/syntax"},
	"manifests/catalog":            {"manifests", "manifests/parallel", "manifests/diag"},
	"manifests/catalog/index":      {"manifests", "manifests/diag"},
	"manifests/tags":               {},
	"manifests/installed":          {"manifests", "units/durable", "units/paths"},
	"manifests/imagecheck":         {"manifests", "manifests/diag"},
	"manifests/catalog/contracts":  {},
	"manifests/importer":           {"manifests", "manifests/diag", "manifests/syntax"},
	"manifests/importer/compose":   {"manifests", "manifests/diag", "manifests/importer", "manifests/syntax"},
	"manifests/importer/platform":  {"manifests", "manifests/importer", "manifests/importer/compose", "manifests/syntax"},
	"manifests/importer/casaos":    {"manifests", "manifests/importer", "manifests/importer/compose", "manifests/importer/platform", "manifests/syntax"},
	"manifests/importer/runtipi":   {"manifests", "manifests/importer", "manifests/importer/compose", "manifests/importer/platform", "manifests/syntax"},
	"manifests/importer/umbrel":    {"manifests", "manifests/importer", "manifests/importer/compose", "manifests/importer/platform", "manifests/syntax"},
	"manifests/importer/podmanrun": {"manifests/diag", "manifests/importer", "manifests/importer/compose", "manifests/syntax"},
	"manifests/importer/container": {"manifests", "manifests/importer", "manifests/importer/compose", "manifests/importer/podmanrun", "manifests/syntax"},
	"manifests/importer/quadlet":   {"units", "manifests", "manifests/diag", "manifests/importer", "manifests/importer/compose", "manifests/importer/podmanrun", "manifests/syntax"},
	"manifests/contract":           {"manifests", "manifests/diag", "manifests/imagecheck"},
	"manifests/rights":             {"manifests"},
	"manifests/graph":              {"manifests"},
	"manifests/strict":             {"manifests", "manifests/diag", "manifests/rights"},
	"manifests/datasheet":          {"manifests", "manifests/rights", "units/probe"},
	"manifests/internal/reference": {"manifests", "manifests/diag", "manifests/catalog", "manifests/catalog/contracts", "manifests/contract", "manifests/datasheet", "manifests/rights"},
	"packaging/sbom":               {},
	"generator":                    {"manifests", "manifests/diag", "manifests/parallel", "manifests/rights", "units", "units/probe", "generator/configfile"},
	"generator/configfile":         {},
	"generator/conform":            {"manifests/parallel", "units"},
	"generator/compile":            {"generator", "generator/conform", "manifests", "manifests/catalog", "manifests/diag", "manifests/installed", "manifests/rights", "units", "units/durable", "units/paths", "units/status"},
	"cmd/archgen/catalogs":         {"manifests", "manifests/catalog", "manifests/catalog/index", "manifests/diag", "manifests/rights", "units/durable", "units/podman/podmancli", "units/statedir"},
	"cmd/archgen/install":          {"generator/compile", "cmd/archgen/install/images", "manifests", "manifests/catalog", "manifests/diag", "manifests/installed", "manifests/rights", "units", "units/durable", "units/machine", "units/podman", "units/systemd", "units/adopt", "units/podman/podmancli"},
	"cmd/archgen/install/images":   {"generator", "manifests", "manifests/diag", "manifests/imagecheck", "units", "units/podman/podmancli"},
	"units/paths":                  {"units"},
	"units/durable":                {},
	"units/unitdir":                {"units", "units/durable"},
	"units/statedir":               {"units", "units/durable", "units/update"},
	"units/podman/skopeo":          {"units/podman/podmancli"},
	"units/update":                 {},
	"units/trial":                  {"units", "units/reconcile", "units/update"},
	"units/secret":                 {"units", "units/durable"},
	"units/podman":                 {"units/durable"},
	"units/podman/podmancli":       {"units/podman", "units/secret"},
	"units/limits":                 {"units"},
	"units/status":                 {"units", "units/limits", "units/probe"},
	"units/prestart":               {"units", "units/statedir", "units/durable", "units/podman", "units/podman/podmancli", "units/probe", "units/status", "generator/configfile", "units/systemd"},
	"units/snapshot":               {"units", "units/durable", "units/podman/podmancli"},
	"units/adopt":                  {"units", "units/podman/podmancli"},
	"units/systemd":                {"units", "units/paths"},
	"units/podman/podmantest":      {"units/podman/podmancli"},
	"units/systemd/systemdtest":    {"units/systemd"},
	"units/reconcile":              {"units"},
	"units/machine":                {"units", "units/durable", "units/limits", "units/prestart", "units/secret", "units/statedir", "units/unitdir", "units/systemd", "units/podman", "units/podman/podmancli", "units/probe", "units/paths", "units/reconcile", "units/status"},
	"units/rotation":               {"units", "units/machine", "units/podman/podmancli", "units/reconcile", "units/secret"},
	"units/probe":                  {},
	"healthd/journal":              {"units", "units/reconcile", "units/update"},
	"healthd/watch":                {},
	"healthd":                      {"generator/compile", "manifests/diag", "units/probe", "units", "units/limits", "units/reconcile", "units/status", "healthd/journal"},
	"healthd/busclient":            {"units", "units/paths", "units/status", "units/systemd"},
	"healthd/busclient/bustest":    {},
	"healthd/bus":                  {"healthd", "units", "healthd/busclient"},
	"healthd/metrics":              {"healthd", "units", "units/durable", "units/status"},
	"cmd/healthd":                  {"units/rotation", "generator/compile", "manifests", "manifests/diag", "healthd", "healthd/bus", "healthd/metrics", "healthd/watch", "units", "units/machine", "units/systemd", "healthd/journal", "manifests/installed", "units/trial"},
	"cmd/engine-proxy":             {"cmd/engine-proxy/filter"},
	"cmd/engine-proxy/filter":      {},
	"cmd/archgen/ui":               {},
	"cmd/archgen/imports":          {"cmd/archgen/install/images", "cmd/archgen/ui", "generator", "generator/compile", "manifests", "manifests/diag", "manifests/importer", "manifests/importer/casaos", "manifests/importer/compose", "manifests/importer/container", "manifests/importer/podmanrun", "manifests/importer/quadlet", "manifests/importer/runtipi", "manifests/importer/umbrel", "units", "units/durable", "units/podman/podmancli"},
	"cmd/archgen/secrets":          {"cmd/archgen/session", "cmd/archgen/ui", "cmd/archgen/view", "generator/compile", "units", "units/machine", "units/secret"},
	"cmd/archgen/statusview":       {"cmd/archgen/ui", "generator/compile", "manifests", "manifests/diag", "manifests/rights", "units", "units/machine", "units/prestart", "units/status"},
	"cmd/archgen/doctor":           {"cmd/archgen/ui", "generator", "manifests/diag", "units", "units/limits", "units/machine", "units/paths", "units/podman", "units/podman/podmancli", "units/secret", "units/statedir", "units/systemd", "manifests", "generator/compile", "units/status", "units/update"},
	"cmd/archgen/updates":          {"generator", "generator/compile", "manifests", "manifests/catalog", "manifests/diag", "manifests/installed", "manifests/parallel", "manifests/rights", "manifests/tags", "units", "units/statedir", "units/update"},
	"cmd/archgen/view":             {"cmd/archgen/catalogs", "cmd/archgen/doctor", "cmd/archgen/ui", "manifests/catalog", "manifests/catalog/index", "manifests/datasheet", "manifests/rights", "units", "units/adopt", "units/limits", "units/reconcile", "units/rotation", "units/secret", "units/statedir", "units/unitdir", "units/update", "cmd/archgen/updates", "manifests", "manifests/installed"},
	"cmd/archgen/session":          {"cmd/archgen/catalogs", "cmd/archgen/ui", "generator", "generator/compile", "healthd/busclient", "manifests/catalog", "manifests/diag", "manifests/installed", "units", "units/machine", "units/paths", "units/podman/podmancli", "units/prestart", "units/statedir", "units/systemd", "units/durable"},
	"cmd/archgen/passes":           {"cmd/archgen/install", "cmd/archgen/session", "cmd/archgen/view", "generator/compile", "healthd/journal", "manifests/diag", "units", "units/adopt", "units/limits", "units/machine", "units/reconcile", "units/rotation", "units/secret", "units/statedir", "cmd/archgen/updates"},
	"cmd/archgen/lifecycle":        {"cmd/archgen/doctor", "cmd/archgen/install", "cmd/archgen/install/images", "cmd/archgen/passes", "cmd/archgen/session", "cmd/archgen/ui", "cmd/archgen/updates", "cmd/archgen/view", "generator/compile", "manifests", "manifests/catalog", "manifests/rights", "units", "units/statedir"},
	"cmd/archgen/render":           {"cmd/archgen/install", "cmd/archgen/session", "cmd/archgen/view", "generator/compile", "manifests", "manifests/diag", "units", "units/unitdir", "units/statedir"},
	"cmd/archgen":                  {"cmd/archgen/catalogs", "cmd/archgen/doctor", "cmd/archgen/imports", "cmd/archgen/install/images", "cmd/archgen/lifecycle", "cmd/archgen/passes", "cmd/archgen/render", "cmd/archgen/secrets", "cmd/archgen/session", "cmd/archgen/statusview", "cmd/archgen/ui", "cmd/archgen/updates", "cmd/archgen/view", "generator", "generator/compile", "healthd/busclient", "healthd/journal", "manifests", "manifests/catalog", "manifests/catalog/index", "manifests/datasheet", "manifests/graph", "manifests/installed", "manifests/rights", "manifests/strict", "units", "units/adopt", "units/durable", "units/machine", "units/paths", "units/podman/podmancli", "units/prestart", "units/reconcile", "units/secret", "units/snapshot", "units/statedir", "units/status", "units/update", "cmd/archgen/updates/updater"},
	"cmd/archgen/updates/updater":  {"cmd/archgen/install/images", "cmd/archgen/updates", "generator/compile", "healthd/journal", "manifests", "manifests/catalog", "manifests/diag", "manifests/installed", "units", "units/machine", "units/reconcile", "units/snapshot", "units/update", "units/trial", "units/podman", "manifests/tags", "units/podman/skopeo"},

	// only for tests
	"units/reconcile/reconciletest":   {"units", "units/reconcile"},
	"cmd/archgen/session/sessiontest": {"cmd/archgen/session", "units", "units/podman/podmancli", "units/podman/podmantest", "units/systemd/systemdtest"},
}

// onlyImporter is outside packages that only the listed packages may import.
var onlyImporter = map[string][]string{
	"github.com/containers/podman/v5/pkg/systemd/quadlet": {"generator/conform"},
	"github.com/containers/podman/v5/pkg/systemd/parser":  {"generator/conform"},
	"github.com/coreos/go-systemd/v22/dbus":               {"units/systemd", "units/systemd/systemdtest"},
	"github.com/godbus/dbus/v5":                           {"units/systemd", "units/systemd/systemdtest", "healthd/bus", "healthd/busclient"},
	"github.com/godbus/dbus/v5/introspect":                {"healthd/bus"},
	"github.com/spf13/cobra":                              {"cmd/archgen"},
	"golang.org/x/term":                                   {"cmd/archgen/ui"},
}

// onlyInTests is modules that the product must not contain: tests compare with them.
var onlyInTests = []string{"github.com/compose-spec/compose-go", "github.com/hiddeco/sshsig", "golang.org/x/crypto/ssh"}

// pure is packages that use no process, network or file.
// TestManifestsAndGeneratorAreDeterministic covers those of manifests and generator.
var pure = map[string][]string{
	"units":        {"os", "os/exec", "net/http"},
	"units/limits": {"os", "os/exec", "net/http"},
	"units/update": {"os", "os/exec", "net/http"},
	"units/status": {"os", "os/exec", "net/http"},
	"units/probe":  {"os/exec", "net/http"}, // it probes over the network itself, and runs nothing

	"cmd/engine-proxy/filter": {"os", "os/exec", "net", "net/http"},
}

// mayExecute is the packages that start processes. Only podmancli runs Podman.
var mayExecute = []string{
	"packaging/sbom", "units/machine", "units/podman/podmancli", "units/podman/skopeo", "units/secret",
	"healthd/busclient/bustest", "healthd/journal", "cmd/archgen/catalogs", "cmd/archgen/session/sessiontest", "cmd/archgen/doctor", "cmd/archgen", "cmd/healthd",
}

type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "test/") {
			continue
		}
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s is in no layer: add it to mayImport", name)
		}
		for _, ours := range allowed {
			if !slices.Contains(p.Imports, module+ours) {
				t.Errorf("%s may import %s and does not: remove it from mayImport", name, ours)
			}
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s must not import %s", name, ours)
			}
			if owners, ok := onlyImporter[imported]; ok && !slices.Contains(owners, name) {
				t.Errorf("%s must not import %s: only %v does", name, imported, owners)
			}
			if slices.ContainsFunc(onlyInTests, func(m string) bool { return strings.HasPrefix(imported, m) }) {
				t.Errorf("%s must not import %s: tests compare with it", name, imported)
			}
			if imported == "os/exec" && !slices.Contains(mayExecute, name) {
				t.Errorf("%s must not start processes", name)
			}
			if slices.Contains(pure[name], imported) {
				t.Errorf("%s is pure and must not import %s", name, imported)
			}
		}
	}
}

// maxVerbLines is how many lines of Go cmd/archgen may have, without tests: verbs with their flags and
// help. What a verb does belongs to a package below it.
const maxVerbLines = 3500

func TestCommandLineHasVerbsOnly(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != module+"cmd/archgen" {
			continue
		}
		lines := 0
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(text, []byte("\n"))
		}
		if lines == 0 || lines > maxVerbLines {
			t.Errorf("cmd/archgen has %d lines, and may have %d: move what a verb does into the package that it belongs to", lines, maxVerbLines)
		}
	}
}

// TestArchgenHasNoNetworkCode: Podman pulls images and catalogs, with its configuration of
// registries. The probes of units/probe are archgen's own few lines.
func TestArchgenHasNoNetworkCode(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"cmd/archgen").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := strings.Fields(string(out))
	if slices.Contains(all, "net/http") || !slices.Contains(all, module+"cmd/archgen/catalogs") {
		t.Error("archgen must not contain net/http; podman pull reads registries")
	}
}

// TestLinkerDropsMethods: no package that the programs contain finds methods by name. For one that does,
// such as text/template, the linker keeps every method of every type: 2 MB of archgen.
func TestLinkerDropsMethods(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"archgen", "healthd"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-dumpdep", "-o", t.TempDir(), module+"cmd/"+program).CombinedOutput()
			if err != nil {
				t.Fatalf("go build: %v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if finder, ok := strings.CutSuffix(strings.Split(line, " -> ")[0], " <ReflectMethod>"); ok {
					t.Fatalf("%s finds methods by name", finder)
				}
			}
			if !bytes.Contains(out, []byte("main.main -> ")) {
				t.Error("the linker says nothing of what depends on what")
			}
		})
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		// The comment of a package with tests only is in a test file, which go list does
		// not read.
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
