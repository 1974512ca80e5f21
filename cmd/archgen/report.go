package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

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
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := c.stdout.Write(escaped(text.Bytes()))
	return err
}

// escaped is JSON in which no character stands for itself that a terminal would obey, or
// that turns the direction of what follows.
func escaped(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		switch {
		case r < utf8.RuneSelf, unicode.IsPrint(r), r == utf8.RuneError:
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
