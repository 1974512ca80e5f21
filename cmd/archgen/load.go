package main

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// source is the flags that select the manifests and the machine.
type source struct {
	root         string
	user, system bool
	podman       string
	grants       need
}

// need says which apps must have their grants.
type need int

// The needs. Writing the units of a manifest that is not installed amounts to installing
// it, so grants are needed wherever the manifest is.
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

// installedPodman asks for Podman's version once, although manifests are compiled before and
// during a pass. The answer is remembered for later commands.
var installedPodman = sync.OnceValue(func() string {
	scope := units.User
	if os.Geteuid() == 0 {
		scope = units.System
	}
	base, err := machine.Find(machine.Options{Scope: scope, Getenv: os.Getenv})
	if err != nil {
		return podmancli.InstalledVersion()
	}
	return base.PodmanVersion()
})

// from is the compiler's source for the command line.
func (c *cli) from(s *source) compile.Source {
	from := compile.Source{
		Root: s.root, Scope: s.scope(), Podman: s.podman, Ask: installedPodman, Generator: compile.Version(), Getenv: c.getenv,
	}
	if base, err := c.local(s.scope()); err == nil {
		from.Places = (&machine.PodmanPlaces{Base: base, Getenv: c.getenv, Version: installedPodman}).Find
		from.Format, from.FormatsDir = base.Store.DataFormat, base.Store.DataFormats()
	}
	if places, err := paths.Of(s.scope(), c.getenv); err == nil && s.root == "" {
		from.Rendered = func() (units.Set, error) {
			files, _ := machine.Files(places.Units).Read() // a file that can't be read is reported by the verbs that need it
			return files, nil
		}
	}
	return from
}

// installed compiles the installed apps that can be compiled.
func (c *cli) installed(s *source) (*compile.Compiled, units.Desired, error) {
	return c.from(s).Installed()
}

// load compiles the manifests that the arguments name.
func (c *cli) load(s *source, args []string) (*compile.Compiled, error) {
	if s.podman != "" {
		if _, err := generator.ParseVersion(s.podman); err != nil {
			return nil, usageError{err}
		}
	}
	var paths, ids []string
	for _, arg := range args {
		if isPath(arg) {
			paths = append(paths, arg)
		} else {
			ids = append(ids, arg)
		}
	}
	if len(paths) > 0 && len(ids) > 0 {
		return nil, usageError{fmt.Errorf("%s is a path and %s the id of an installed app: give either paths or ids", paths[0], ids[0])}
	}
	from := c.from(s)
	from.Ungranted = s.grants == nowhere || s.grants == whereInstalled && len(paths) > 0
	k, err := from.Named(paths, ids)
	if err != nil {
		return nil, err
	}
	for _, dirs := range k.Empty {
		fmt.Fprintf(c.stderr, "archgen: no manifest in %s\n", strings.Join(dirs, ", "))
	}
	return k, nil
}

func isPath(arg string) bool { return strings.ContainsAny(arg, "/.") }

// directory is the directory of installed manifests.
func (c *cli) directory(s *source) (installed.Directory, error) {
	return installed.Of(c.from(s).Paths())
}
