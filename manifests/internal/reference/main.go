// Command reference generates docs/manifest.md, manifests/schema.json and the manual page
// archipelago-manifest(5) from the schema, docs/diagnostics.md from the codes, docs/rights.md
// from the rights, and docs/catalog.md from the catalog. `make generate` runs it. With -check
// it only reports stale files.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "say what is stale and exit with 1, write nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	types, err := readTypes("manifests/schema.go")
	if err != nil {
		return err
	}
	schema, err := jsonSchema(types)
	if err != nil {
		return err
	}
	apps, err := catalogPage()
	if err != nil {
		return err
	}
	stale := false
	for _, f := range []struct {
		path string
		data []byte
	}{
		{"manifests/schema.json", schema},
		{"docs/manifest.md", manifestPage(types)},
		{"docs/diagnostics.md", diagnosticsPage()},
		{"docs/catalog.md", apps},
		{"docs/rights.md", rightsPage()},
		{"packaging/man/archipelago-manifest.5", manifestManual(types)},
	} {
		old, err := os.ReadFile(f.path)
		if err == nil && bytes.Equal(old, f.data) {
			continue
		}
		if check {
			fmt.Fprintf(os.Stderr, "reference: %s is stale; run make generate\n", f.path)
			stale = true
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.path, f.data, 0o644); err != nil {
			return err
		}
	}
	if stale {
		return fmt.Errorf("generated files are stale")
	}
	return nil
}
