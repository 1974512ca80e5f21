package imports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Session is one run of archgen import.
type Session struct {
	// Out is the directory that is written to, and ID the id of the app; that of the source if
	// empty.
	Out, ID string
	Answers Answers
	// Partial: what no manifest can say is left out. Force: a manifest that exists is replaced.
	// AsJSON: the report is for programs, and nothing is asked.
	Partial, Force, AsJSON bool

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Load compiles a manifest that was written, by its path.
	Load   func(path string) (*compile.Compiled, error)
	Podman podmancli.Runner
	// Scope is whose Podman it is.
	Scope units.Scope

	images comparison
}

// Outcome is how a session ended for all of its apps.
type Outcome int

// The outcomes, the least first.
const (
	// Whole: nothing is lost.
	Whole Outcome = iota
	// Lossy: something is approximated or left out.
	Lossy
	// Failed: the report says why an app was not written.
	Failed
)

// UsageError is an answer or option that does not fit the source.
type UsageError struct{ error }

func (e UsageError) Unwrap() error { return e.error }

// document is the JSON output by field name. The names are a contract.
type document map[string]any

// list keeps an empty list from being null in JSON.
func list[T any](all []T) []T { return append([]T{}, all...) }

// Path imports the app of a file or directory, or all apps of a store.
func (s *Session) Path(ctx context.Context, f Format, path string) (Outcome, error) {
	apps, err := Apps(f, path)
	switch {
	case err != nil:
		return Failed, err
	case len(apps) > 0:
		return s.Store(ctx, f, apps)
	}
	return s.Import(ctx, func(ask Ask) ([]*importer.Result, error) {
		return one(App(f, path, s.ID, s.Out, s.Answers, ask))
	})
}

// Command imports a command such as podman run.
func (s *Session) Command(ctx context.Context, words []string) (Outcome, error) {
	return s.Import(ctx, func(ask Ask) ([]*importer.Result, error) { return one(Run(words, s.ID, s.Answers, ask)) })
}

// Quadlet imports the apps of a directory of Quadlet files, or that of one of them.
func (s *Session) Quadlet(ctx context.Context, path string) (Outcome, error) {
	return s.Import(ctx, func(ask Ask) ([]*importer.Result, error) {
		return Quadlet(path, s.ID, s.Out, Specifiers(s.Getenv), s.Answers, ask)
	})
}

// Containers imports containers of Podman as one app.
func (s *Session) Containers(ctx context.Context, names []string) (Outcome, error) {
	return s.Import(ctx, func(ask Ask) ([]*importer.Result, error) {
		return one(Containers(ctx, s.Podman, names, s.ID, s.Answers, ask))
	})
}

func one(r *importer.Result, err error) ([]*importer.Result, error) {
	return []*importer.Result{r}, err
}

// Import imports apps with the answers of the command line, of the file and of a person.
func (s *Session) Import(ctx context.Context, read func(Ask) ([]*importer.Result, error)) (Outcome, error) {
	apps, err := read(s.ask)
	if err != nil {
		return Failed, err
	}
	if key := s.Answers.Unasked(apps...); key != "" {
		return Failed, UsageError{fmt.Errorf("--set %s answers no question of this source; the report names the keys", key)}
	}
	return s.conclude(ctx, apps)
}

// ask asks a question if there is a terminal to ask at.
func (s *Session) ask(q importer.Question) (answer string, ok bool) {
	if _, isTerminal := ui.Terminal(s.Stdin); !isTerminal || s.AsJSON {
		return "", false
	}
	for {
		answer, err := ui.Line(s.Stdin, s.Stderr, q.Prompt())
		if err != nil {
			return "", false
		}
		if answer = cmp.Or(answer, q.Default); q.Accepts(answer) {
			return answer, true
		}
	}
}

// conclude concludes each app. An app that can't be written does not keep others from it.
func (s *Session) conclude(ctx context.Context, apps []*importer.Result) (worst Outcome, failed error) {
	documents := make([]document, 0, len(apps))
	for _, r := range apps {
		d, outcome, err := s.concludeApp(ctx, r)
		documents = append(documents, d)
		worst, failed = max(worst, outcome), errors.Join(failed, err)
	}
	if s.AsJSON {
		whole := documents[0]
		if len(apps) > 1 {
			whole = document{"apps": documents}
		}
		whole["notes"] = list(s.images.notes)
		failed = errors.Join(failed, ui.JSON(s.Stdout, whole))
	} else {
		s.note()
	}
	return worst, failed
}

// concludeApp prints the report, writes the files, and checks what it wrote.
func (s *Session) concludeApp(ctx context.Context, r *importer.Result) (document, Outcome, error) {
	doesWrite := s.writes(r)
	var written []string
	var err error
	if doesWrite {
		written, err = Write(r, s.Out, s.Force)
	}
	d := imported(r, written)
	if !s.AsJSON {
		err = errors.Join(err, r.Print(s.Stderr, ui.HasColor(s.Stderr, s.Getenv)))
		for _, name := range written {
			fmt.Fprintf(s.Stdout, "%s written\n", name)
		}
	}
	switch {
	case err != nil:
		return d, Failed, err
	case len(r.Files) == 0:
		return d, Failed, nil
	case !doesWrite:
		return d, Failed, fmt.Errorf("%s: nothing was written; --partial writes what the manifest can say", r.ID)
	}
	found, err := s.check(ctx, filepath.Join(s.Out, r.Files[0].Path))
	if err != nil {
		return d, Failed, err
	}
	d["images"] = list(found.images)
	if s.AsJSON {
		err = found.refusal()
	} else {
		err = found.print(s, slices.Concat(found.compiled.Diags, found.images))
	}
	switch {
	case err != nil || found.compiled.Diags.HasErrors():
		return d, Failed, err
	case r.IsLossy() || found.images.HasErrors():
		return d, Lossy, nil
	}
	return d, Whole, nil
}

// writes reports whether the files of an import are written.
func (s *Session) writes(r *importer.Result) bool {
	return len(r.Files) > 0 && (r.Worst() != importer.Refused || s.Partial)
}

// imported is an imported app for programs.
func imported(r *importer.Result, written []string) document {
	return document{
		"id": r.ID, "version": r.Version, "written": list(written), "findings": list(r.Findings), "questions": list(r.Questions), "counts": r.Counts(),
		"images": []diag.Diagnostic{},
	}
}
