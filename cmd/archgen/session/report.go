package session

import (
	"fmt"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Report prints the diagnostics and returns ErrReported if one of them is an error.
func (s *Session) Report(k *compile.Compiled, asJSON bool) error {
	k.Diags.Sort()
	if asJSON {
		if err := s.PrintJSON(Document{"diagnostics": List(k.Diags)}); err != nil {
			return err
		}
	} else if err := s.Printer(k).Print(s.Stderr, k.Diags); err != nil {
		return fmt.Errorf("printing diagnostics: %w", err)
	}
	if k.Diags.HasErrors() {
		return ErrReported
	}
	return nil
}

// SayDiagnostics prints the diagnostics. It fails only if no app could be compiled.
func (s *Session) SayDiagnostics(k *compile.Compiled, isQuiet bool) error {
	if !isQuiet {
		if err := s.Printer(k).Print(s.Stderr, k.Diags); err != nil {
			return err
		}
	}
	if k.Result == nil && k.Diags.HasErrors() {
		return ErrReported
	}
	return nil
}

// Printer prints diagnostics with excerpts of the files that were read.
func (s *Session) Printer(k *compile.Compiled) diag.Printer {
	return diag.Printer{Source: func(file string) []byte { return k.Loaded.Sources[file] }, Color: ui.HasColor(s.Stderr, s.Getenv)}
}

// PrintPlain prints diagnostics without excerpts.
func (s *Session) PrintPlain(diags diag.List) error {
	return diag.Printer{Color: ui.HasColor(s.Stderr, s.Getenv)}.Print(s.Stderr, diags)
}

// Say prints an error. The error may quote untrusted text of a registry or an image.
func (s *Session) Say(err error) { fmt.Fprintf(s.Stderr, "archgen: %s\n", ui.Lines(err.Error())) }

// SayPulling reports that archgen pulls an image, which may take long.
func (s *Session) SayPulling(app, image string) {
	fmt.Fprintf(s.Stderr, "%s: pulling %s …\n", app, image)
}

// Document is the JSON output of a verb by field name. The names are a contract.
type Document map[string]any

// List keeps an empty list from being null in JSON.
func List[T any](all []T) []T { return append([]T{}, all...) }

// PrintJSON prints a value as JSON.
func (s *Session) PrintJSON(v any) error { return ui.JSON(s.Stdout, v) }
