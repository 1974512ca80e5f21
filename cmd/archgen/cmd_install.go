package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

func (c *cli) installCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "install ID|FILE…",
		Short: "Install apps of the catalog, or of manifests of your own",
		Long: `install puts manifests where the installed apps are, with their companions and
with what they require as far as the catalog leaves no choice, starts the apps,
and waits until they serve. Installing again changes nothing, unless the
manifest is another one.

The manifest is yours from then on: change it, or lay files over it in ID.d/. An
app that can't be started stays installed; remove takes it away.

Exit status: as of apply; 6 where an app does not serve, with its last words.`,
		Example: `  archgen install bitcoin-knots
  archgen install ./my-app.yaml`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name an app of the catalog (archgen catalog) or the file of a manifest")}
			}
			return c.install(&o, args)
		},
	}
	o.flags(cmd)
	return cmd
}

// installation is manifests that are about to be installed.
type installation struct {
	c       *cli
	catalog []catalogEntry
	// here is the capabilities that installed and chosen apps provide.
	here map[string]bool
	// chosen is in the order in which the apps were chosen.
	chosen []catalogEntry
	// installed is the ids of the apps that are installed already.
	installed map[string]bool
}

func (c *cli) install(o *applyOptions, args []string) error {
	dirs, err := c.appDirs(&o.source)
	if err != nil {
		return err
	}
	in, err := c.newInstallation(dirs)
	if err != nil {
		return err
	}
	for _, arg := range args {
		if err := in.choose(arg); err != nil {
			return err
		}
	}
	if err := in.requirements(); err != nil {
		return err
	}
	ids := make([]string, 0, len(in.chosen))
	for _, e := range in.chosen {
		ids = append(ids, e.ID)
	}
	restore, err := in.write(dirs[0])
	if err == nil {
		err = c.compiles(&o.source, ids)
	}
	if err != nil {
		return errors.Join(err, restore())
	}
	return c.apply(o, ids, "")
}

func (c *cli) newInstallation(dirs []string) (*installation, error) {
	entries, _, err := c.catalogEntries()
	if err != nil {
		return nil, err
	}
	in := &installation{c: c, catalog: entries, here: map[string]bool{}, installed: map[string]bool{}}
	var loaded manifests.Loaded
	_ = loaded.LoadDirs(dirs) // what is wrong with installed apps is said when they are compiled
	for _, m := range loaded.Manifests {
		in.installed[m.Document.App.ID] = true
		for _, p := range m.Document.App.Provides {
			in.here[p.Capability] = true
		}
	}
	return in, nil
}

// choose takes what an argument names, and its companions.
func (in *installation) choose(arg string) error {
	if strings.ContainsAny(arg, "/.") {
		return in.chooseFile(arg)
	}
	i := slices.IndexFunc(in.catalog, func(e catalogEntry) bool { return e.ID == arg })
	switch {
	case i >= 0:
		in.add(in.catalog[i])
	case in.installed[arg]:
		in.chosen = append(in.chosen, catalogEntry{ID: arg})
	default:
		return fmt.Errorf("the catalog has no app %q; see archgen catalog, or give the file of a manifest", arg)
	}
	return nil
}

func (in *installation) chooseFile(path string) error {
	data, err := manifests.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", path, compile.Reason(err))
	}
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: path, Data: data}})
	if m == nil || diags.HasErrors() {
		k := &compile.Compiled{Diags: diags, Loaded: manifests.Loaded{Sources: map[string][]byte{path: data}}}
		return cmp.Or(in.c.report(k, false), errReported)
	}
	e := entryOf(m, path, m.Document.App.ID+filepath.Ext(path), data)
	if diags := e.addTemplates(m, templatesBeside(path)); len(diags) > 0 {
		k := &compile.Compiled{Diags: diags, Loaded: manifests.Loaded{Sources: map[string][]byte{path: data}}}
		return cmp.Or(in.c.report(k, false), errReported)
	}
	in.add(e)
	return nil
}

func (in *installation) add(e catalogEntry) {
	if slices.ContainsFunc(in.chosen, func(o catalogEntry) bool { return o.ID == e.ID }) {
		return
	}
	in.chosen = append(in.chosen, e)
	for _, name := range e.Provides {
		in.here[name] = true
	}
	for _, id := range e.companions {
		if i := slices.IndexFunc(in.catalog, func(o catalogEntry) bool { return o.ID == id }); i >= 0 {
			in.add(in.catalog[i])
		}
	}
}

// requirements adds what the chosen apps require and nobody provides, where the
// catalog leaves no choice.
func (in *installation) requirements() error {
	for i := 0; i < len(in.chosen); i++ {
		for _, name := range in.chosen[i].needs {
			if in.here[name] {
				continue
			}
			var offers []catalogEntry
			for _, e := range in.catalog {
				if slices.Contains(e.Provides, name) {
					offers = append(offers, e)
				}
			}
			if len(offers) != 1 {
				return fmt.Errorf("%s requires %s, %s", in.chosen[i].ID, name, choice(offers))
			}
			fmt.Fprintf(in.c.stderr, "%s requires %s: installing %s as well\n", in.chosen[i].ID, name, offers[0].ID)
			in.add(offers[0])
		}
	}
	return nil
}

func choice(offers []catalogEntry) string {
	if len(offers) == 0 {
		return "which no installed app provides, and none of the catalog"
	}
	ids := make([]string, 0, len(offers))
	for _, e := range offers {
		ids = append(ids, e.ID)
	}
	return "which several apps of the catalog provide: install one of " + strings.Join(ids, ", ") + " first"
}

// write puts the manifests into place, after their templates. restore takes that
// back.
func (in *installation) write(dir string) (restore func() error, err error) {
	var undo []func() error
	restore = func() error {
		var errs []error
		for _, u := range slices.Backward(undo) {
			errs = append(errs, u())
		}
		return errors.Join(errs...)
	}
	replace := func(dir, file string, data []byte) error {
		before, err := os.ReadFile(filepath.Join(dir, file))
		switch {
		case err == nil && bytes.Equal(before, data):
			return nil
		case err == nil:
			undo = append(undo, func() error { return unitdir.Replace(dir, file, before) })
		case errors.Is(err, fs.ErrNotExist):
			undo = append(undo, func() error { return unitdir.Remove(dir, file) })
		default:
			return fmt.Errorf("%s can't be read: %w", filepath.Join(dir, file), compile.Reason(err))
		}
		return unitdir.Replace(dir, file, data)
	}
	for _, e := range in.chosen {
		if e.data == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(e.templates)) {
			if err := replace(filepath.Join(dir, manifests.FilesDir(e.ID)), name, e.templates[name]); err != nil {
				return restore, err
			}
		}
		if err := replace(dir, e.file, e.data); err != nil {
			return restore, err
		}
	}
	return restore, nil
}

// compiles demands that the apps have no errors among the others.
func (c *cli) compiles(from *source, ids []string) error {
	k, want, err := c.installed(from)
	if err != nil {
		return err
	}
	if k.Result != nil && !slices.ContainsFunc(want.Kept, func(id string) bool { return slices.Contains(ids, id) }) {
		return nil
	}
	return cmp.Or(c.report(k, false), errReported)
}
