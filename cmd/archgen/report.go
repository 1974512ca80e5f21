package main

import (
	"encoding/json"
	"fmt"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// report prints the findings and returns errReported if any of them stops the work.
func (c *cli) report(k *compile.Compiled, asJSON bool) error {
	k.Diags.Sort()
	if asJSON {
		if err := c.printJSON(struct {
			Diagnostics diag.List `json:"diagnostics"`
		}{append(diag.List{}, k.Diags...)}); err != nil {
			return err
		}
	} else {
		if err := c.printer(k).Print(c.stderr, k.Diags); err != nil {
			return fmt.Errorf("printing diagnostics: %w", err)
		}
	}
	if k.Diags.HasErrors() {
		return errReported
	}
	return nil
}

// printer prints findings with excerpts of the files that were read.
func (c *cli) printer(k *compile.Compiled) diag.Printer {
	return diag.Printer{Source: func(file string) []byte { return k.Loaded.Sources[file] }, Color: c.color(c.stderr)}
}

func (c *cli) printJSON(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
