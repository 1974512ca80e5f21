package main

import (
	"fmt"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// report prints the diagnostics and returns errReported if one of them is an error.
func (c *cli) report(k *compile.Compiled, asJSON bool) error {
	k.Diags.Sort()
	if asJSON {
		if err := c.printJSON(document{"diagnostics": list(k.Diags)}); err != nil {
			return err
		}
	} else if err := c.printer(k).Print(c.stderr, k.Diags); err != nil {
		return fmt.Errorf("printing diagnostics: %w", err)
	}
	if k.Diags.HasErrors() {
		return errReported
	}
	return nil
}

// printer prints diagnostics with excerpts of the files that were read.
func (c *cli) printer(k *compile.Compiled) diag.Printer {
	return diag.Printer{Source: func(file string) []byte { return k.Loaded.Sources[file] }, Color: ui.HasColor(c.stderr, c.getenv)}
}

// document is the JSON output of a verb by field name. The names are a contract.
type document map[string]any

// list keeps an empty list from being null in JSON.
func list[T any](all []T) []T { return append([]T{}, all...) }

// printJSON prints a value as JSON.
func (c *cli) printJSON(v any) error { return ui.JSON(c.stdout, v) }
