package imports

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// checked is what is found in a manifest that was written.
type checked struct {
	path     string
	compiled *compile.Compiled
	// images is how the app differs from the images of the machine.
	images diag.List
}

// check does what archgen check --images does with the manifest that was written. It has
// something to say if the manifest needs a newer Podman than the one here, or does not fit its
// image.
func (s *Session) check(ctx context.Context, path string) (found checked, err error) {
	if found.path = path; !strings.ContainsAny(path, "/.") {
		found.path = "./" + path
	}
	k, err := s.Load(found.path)
	if err != nil {
		return found, err
	}
	k.Diags = slices.DeleteFunc(k.Diags, importer.IsOfOthers) // the others need not be here
	found.compiled = k
	if !k.Diags.HasErrors() {
		found.images = s.images.of(ctx, s, k)
	}
	return found, nil
}

// refusal is why the manifest does not pass, in one line.
func (f checked) refusal() error {
	if f.compiled == nil || !f.compiled.Diags.HasErrors() {
		return nil
	}
	return fmt.Errorf("the manifest does not pass the checks for the Podman of this machine: archgen check %s", f.path)
}

// print prints what was found.
func (f checked) print(s *Session, found diag.List) error {
	found.Sort()
	p := diag.Printer{Source: func(file string) []byte { return f.compiled.Loaded.Sources[file] }, Color: ui.HasColor(s.Stderr, s.Getenv)}
	if err := p.Print(s.Stderr, found); err != nil {
		return fmt.Errorf("printing diagnostics: %w", err)
	}
	return nil
}

// comparison is the comparison of apps with the images of the machine.
type comparison struct {
	reader *images.Reader
	// here is the names of the images, once Podman was asked for them.
	here map[string]bool
	// notes is what could not be compared, and why.
	notes []string
}

// of is how an app differs from its images, where they are on the machine.
func (c *comparison) of(ctx context.Context, s *Session, k *compile.Compiled) (found diag.List) {
	if c.reader == nil {
		c.reader = &images.Reader{Podman: s.Podman, Scope: s.Scope}
		c.list(ctx)
	}
	apps := slices.DeleteFunc(k.Asked(), func(app *manifests.Resolved) bool { return !slices.ContainsFunc(app.Parts, c.isHere) })
	found, notes, err := c.reader.CheckAll(ctx, apps)
	if c.notes = append(c.notes, notes...); err != nil {
		c.notes = append(c.notes, fmt.Sprintf("the manifest was not compared with its image: %v", err))
	}
	return found
}

// isHere reports whether the image of a part is on the machine.
func (c *comparison) isHere(p manifests.Part) bool { return c.here[generator.ImageOf(&p)] }

// list asks for the names of the images, once.
func (c *comparison) list(ctx context.Context) {
	var all []struct{ Names, RepoDigests []string }
	if err := c.reader.Podman.JSON(ctx, &all, "image", "ls", "--format=json"); err != nil {
		c.notes = append(c.notes, fmt.Sprintf("the manifests were not compared with images, since Podman does not answer: %v", err))
		return
	}
	c.here = map[string]bool{}
	for _, image := range all {
		for _, name := range slices.Concat(image.Names, image.RepoDigests) {
			c.here[name] = true
		}
	}
}

// note prints what could not be compared.
func (s *Session) note() {
	for _, note := range s.images.notes {
		fmt.Fprintf(s.Stderr, "note: %s\n", ui.Lines(note))
	}
}
