package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// source is the part of the command line that says which manifests are meant
// and for which machine.
type source struct {
	root         string
	user, system bool
	podman       string
	grants       need
}

// need is which apps need their grants.
type need int

// The needs. Who writes units of manifests that are not installed installs them.
const (
	whereInstalled need = iota
	whereverTheyLie
	nowhere
)

func (s *source) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.root, "root", "", "work on the system image below `DIR`, not this machine")
	f.BoolVar(&s.user, "user", false, "for a user's systemd and rootless Podman (default)")
	f.BoolVar(&s.system, "system", false, "for the system's systemd and Podman as root")
	f.StringVar(&s.podman, "podman", "", "for Podman `VERSION` (default: the installed one)")
	cmd.MarkFlagsMutuallyExclusive("user", "system")
}

func (s *source) scope() units.Scope {
	if s.system {
		return units.System
	}
	return units.User
}

// staysInside demands that a directory of the image that is worked on is in the image.
func (s *source) staysInside(dir string) error {
	if err := manifests.StaysInside(s.root, dir); err != nil {
		return fmt.Errorf("nothing can be written to %s: %w", dir, err)
	}
	return nil
}

// installedPodman is asked once: manifests are compiled before a pass, and in it.
var installedPodman = sync.OnceValue(podmancli.InstalledVersion)

// from is what the command line says, for the compiler.
func (c *cli) from(s *source) compile.Source {
	from := compile.Source{
		Root: s.root, Scope: s.scope(), Podman: s.podman, Ask: installedPodman, Generator: compile.Version(), Getenv: c.getenv,
	}
	if places, err := paths.Of(s.scope(), c.getenv); err == nil && s.root == "" {
		from.Rendered = func() (units.Set, error) {
			files, _ := machine.Files(places.Units).Read() // which is nobody's trouble but who needs it for more
			return files, nil
		}
	}
	return from
}

// installed compiles the installed apps as far as they can be.
func (c *cli) installed(s *source) (*compile.Compiled, units.Desired, error) {
	return c.from(s).Installed()
}

// load reads the manifests that the arguments name and compiles them.
func (c *cli) load(s *source, args []string) (*compile.Compiled, error) {
	k := &compile.Compiled{Loaded: manifests.Loaded{Root: s.root}}
	if info, err := os.Stat(s.root); s.root != "" && (err != nil || !info.IsDir()) {
		return nil, fmt.Errorf("%s is not a directory, so it can't be the root of a system image", s.root)
	}
	if s.podman != "" {
		if _, err := generator.ParseVersion(s.podman); err != nil {
			return nil, usageError{err}
		}
	}
	if err := c.find(k, s, args); err != nil {
		return nil, err
	}
	from := c.from(s)
	from.Ungranted = s.grants == nowhere || s.grants == whereInstalled && slices.ContainsFunc(args, isPath)
	if slices.ContainsFunc(args, isPath) {
		from.Rendered = nil // manifests that are not installed meet nothing on this machine
		from.ByPath = true
	}
	return k, from.Compile(k)
}

func isPath(arg string) bool { return strings.ContainsAny(arg, "/.") }

// find reads the manifests.
func (c *cli) find(k *compile.Compiled, s *source, args []string) error {
	if len(args) == 0 {
		dirs, err := c.appDirs(s)
		if err != nil {
			return err
		}
		c.findAll(k, dirs)
		return nil
	}
	var paths, ids []string
	for _, arg := range args {
		if isPath(arg) {
			paths = append(paths, arg)
		} else {
			ids = append(ids, arg)
		}
	}
	switch {
	case len(paths) == 0:
		return c.findIDs(k, s, ids)
	case len(ids) > 0:
		return usageError{fmt.Errorf("%s is a path and %s the id of an installed app: give either paths or ids", paths[0], ids[0])}
	}
	for _, path := range paths {
		c.findPath(k, path)
	}
	return nil
}

// findAll reads directories that hold all apps there are.
func (c *cli) findAll(k *compile.Compiled, dirs []string) {
	k.Whole = true
	k.Diags = append(k.Diags, k.Loaded.LoadDirs(dirs)...)
	if len(k.Loaded.Manifests) == 0 && !k.Diags.HasErrors() {
		fmt.Fprintf(c.stderr, "archgen: there is no manifest in %s\n", strings.Join(dirs, ", "))
	}
}

func (c *cli) findPath(k *compile.Compiled, path string) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		c.findAll(k, []string{path})
		return
	}
	k.Diags = append(k.Diags, k.Loaded.LoadFile(path)...)
}

// findIDs loads every installed app, since the ones that are asked for may
// need others, and notes which are meant.
func (c *cli) findIDs(k *compile.Compiled, s *source, ids []string) error {
	dirs, err := c.appDirs(s)
	if err != nil {
		return err
	}
	k.Diags = append(k.Diags, k.Loaded.LoadDirs(dirs)...)
	k.Only = map[string]bool{}
	for _, id := range ids {
		k.Only[id] = true
		if !slices.ContainsFunc(k.Loaded.Manifests, func(m *manifests.Manifest) bool { return m.Document.App.ID == id }) {
			hint := "give the path of a file or directory"
			if _, err := os.Stat(id); err == nil {
				hint = "write ./" + id + " to mean the file or directory here"
			}
			return fmt.Errorf("no app %q is installed in %s; %s", id, strings.Join(dirs, ", "), hint)
		}
	}
	return nil
}

// appDirs is where installed apps are, first wins.
func (c *cli) appDirs(s *source) ([]string, error) { return c.from(s).Paths().Apps() }

// directory is the directory of installed manifests.
func (c *cli) directory(s *source) (installed.Directory, error) {
	return installed.Of(c.from(s).Paths())
}

// narrow keeps only the named apps of what is wanted.
func narrow(want units.Desired, ids []string) (units.Desired, error) {
	if len(ids) == 0 {
		return want, nil
	}
	narrowed := units.Desired{Shared: want.Shared, Scope: want.Scope}
	for _, id := range ids {
		app, isValid := want.Find(id)
		switch {
		case isValid:
			narrowed.Apps = append(narrowed.Apps, app)
		case want.Refused()[id] != "":
			return want, fmt.Errorf("the manifest of %s has errors; see archgen check", id)
		default:
			return want, fmt.Errorf("no app %q is installed; see archgen status", id)
		}
	}
	return narrowed, nil
}
