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
		p := diag.Printer{Source: func(file string) []byte { return k.loaded.Sources[file] }, Color: c.color(c.stderr)}
		if err := p.Print(c.stderr, k.diags); err != nil {
			return fmt.Errorf("printing diagnostics: %w", err)
		}
	}
	if k.diags.HasErrors() {
		return errReported
	}
	return nil
}

func (c *cli) printJSON(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
