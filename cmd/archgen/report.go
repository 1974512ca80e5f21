package main

import (
	"encoding/json"
	"fmt"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// report prints the findings and returns errReported if any of them stops the work.
func (c *cli) report(k *compiled, asJSON bool) error {
	k.diags.Sort()
	if asJSON {
		if err := c.printJSON(struct {
			Diagnostics diag.List `json:"diagnostics"`
		}{append(diag.List{}, k.diags...)}); err != nil {
			return err
		}
	} else {
		if err := c.printer(k).Print(c.stderr, k.diags); err != nil {
			return fmt.Errorf("printing diagnostics: %w", err)
		}
	}
	if k.diags.HasErrors() {
		return errReported
	}
	return nil
}

// printer prints findings with excerpts of the files that were read.
func (c *cli) printer(k *compiled) diag.Printer {
	return diag.Printer{Source: func(file string) []byte { return k.loaded.Sources[file] }, Color: c.color(c.stderr)}
}

func (c *cli) printJSON(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
