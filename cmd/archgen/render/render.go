// Package render owns what archgen render does with compiled apps: it prints their unit files or
// images, or writes the files to a directory of units.
//
// units/unitdir writes the files; systemd loads them when it is asked to, which this package never
// does.
package render

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// Output is where the unit files go.
type Output struct {
	*session.Session
	// Dir is the directory that they are written to, empty for that of the session's machine.
	Dir string
	// OnStdout: they are printed instead.
	OnStdout bool
	// OnlyImages: the images that they name are printed instead, each of which needs a digest.
	OnlyImages bool
	AsJSON     bool
}

// Render compiles the manifests that arguments name, or the installed apps, and writes their files.
func (o Output) Render(args []string) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	switch {
	case o.OnlyImages:
		o.Grants = session.Nowhere
	case !o.OnStdout:
		o.Grants = session.WhereverTheyLie
	}
	k, files, err := o.compile(args)
	if err != nil {
		return err
	}
	if k.Diags.HasErrors() || !o.AsJSON {
		if err := o.Report(k, o.AsJSON); err != nil {
			return err
		}
	}
	switch {
	case o.OnlyImages:
		return view.Pinned(o.Stdout, files)
	case o.OnStdout:
		return o.print(k, files)
	case !k.Whole && len(files) == 0:
		return errors.New("no app to render")
	}
	if err := manifests.StaysInside(o.Root, dir); err != nil {
		return fmt.Errorf("can't write to %s: %w", dir, err)
	}
	if !slices.ContainsFunc(args, session.IsPath) {
		if err := o.recordGrants(k); err != nil {
			return err
		}
	}
	return o.write(dir, k, files)
}

// compile compiles the manifests, unless the render before it did and no input has changed: then the
// result has no manifests, as it had no diagnostics.
func (o Output) compile(args []string) (*compile.Compiled, units.Set, error) {
	base, err := o.Local()
	inputs := o.inputs(args)
	canKeep := err == nil && inputs != ""
	if canKeep {
		if known, ok := base.Store.Compiled(statedir.ByRender, inputs); ok {
			return &compile.Compiled{Whole: true}, known.Shared, nil
		}
	}
	k, err := o.Load(args)
	if err != nil || k.Result == nil {
		return k, nil, err
	}
	files := k.Files()
	if canKeep && k.Whole && len(k.Diags)+len(k.Empty)+len(k.Unrecorded) == 0 {
		_ = base.Store.SaveCompiled(statedir.ByRender, inputs, units.Desired{Shared: files}) // else it is compiled again
	}
	return k, files, nil
}

// inputs identifies what the files of whole directories, or of all installed apps, are made from. It is
// empty for any other output.
func (o Output) inputs(args []string) string {
	if o.OnStdout || o.OnlyImages {
		return ""
	}
	dirs := make([]string, 0, len(args))
	for _, arg := range args {
		info, err := os.Stat(arg)
		if !session.IsPath(arg) || err != nil || !info.IsDir() {
			return ""
		}
		dir, err := filepath.Abs(arg)
		if err != nil {
			return ""
		}
		dirs = append(dirs, dir)
	}
	return session.Inputs(o.Compiler(), dirs...)
}

// dir is the directory that the files are written to.
func (o Output) dir() (string, error) {
	switch {
	case o.OnStdout:
		return "", nil
	case o.Dir != "":
		return o.Dir, nil
	}
	return o.Compiler().Paths().Units()
}

// print prints the files.
func (o Output) print(k *compile.Compiled, files units.Set) error {
	if !o.AsJSON {
		return view.Files(o.Stdout, files)
	}
	return o.PrintJSON(struct {
		Files       []view.File `json:"files"`
		Diagnostics diag.List   `json:"diagnostics"`
	}{view.FilesJSON(files), session.List(k.Diags)})
}

// recordGrants writes the grants files of installed apps that have none.
func (o Output) recordGrants(k *compile.Compiled) error {
	installed, err := o.Directory()
	if err != nil {
		return err
	}
	return install.RecordGrants(installed, k)
}

// write writes the files, and says what has changed.
func (o Output) write(dir string, k *compile.Compiled, files units.Set) error {
	changes, err := unitdir.Sync(dir, files, k.OwnsFile)
	if o.AsJSON {
		return errors.Join(err, o.PrintJSON(struct {
			view.ChangesDocument
			Diagnostics diag.List `json:"diagnostics"`
		}{view.ChangesJSON(dir, changes), session.List(k.Diags)}))
	}
	for _, name := range changes.MovedAside {
		fmt.Fprintf(o.Stderr, "archgen: a directory or special file had the name of a unit file; moved to %s\n", filepath.Join(dir, name))
	}
	view.Changes(o.Stdout, dir, changes, err)
	if o.isOfMachine() && len(changes.Written)+len(changes.Removed) > 0 {
		fmt.Fprintf(o.Stdout, "to load the files, run systemctl --%v daemon-reload\n", o.Scope)
	}
	return err
}

// isOfMachine reports whether this machine's systemd reads the files.
func (o Output) isOfMachine() bool { return o.Dir == "" && o.Root == "" }
