package session

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/statedir"
)

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

// Compiler compiles the manifests of the session.
func (s *Session) Compiler() compile.Source {
	from := compile.Source{
		Root: s.Root, Scope: s.Scope, Podman: s.Version, Ask: installedPodman, Generator: compile.Version(), Getenv: s.Getenv,
	}
	if base, err := s.Local(); err == nil {
		from.Places = (&machine.PodmanPlaces{Base: base, Getenv: s.Getenv, Version: installedPodman}).Find
		from.Format, from.FormatsDir = base.Store.DataFormat, base.Store.DataFormats()
	}
	if places, err := paths.Of(s.Scope, s.Getenv); err == nil && s.Root == "" {
		from.Rendered = func() (units.Set, error) {
			files, _ := machine.Files(places.Units).Read() // a file that can't be read is reported by the verbs that need it
			return files, nil
		}
	}
	return from
}

// Installed compiles the installed apps that can be compiled.
func (s *Session) Installed() (*compile.Compiled, units.Desired, error) {
	return s.Compiler().Installed()
}

// MustCompile compiles the installed apps, and fails if one of the named apps has an error among
// them, which it prints.
func (s *Session) MustCompile(ids []string) (units.Desired, error) {
	k, want, err := s.Installed()
	if err != nil {
		return want, err
	}
	refused := want.Refused()
	if k.Result != nil && !slices.ContainsFunc(ids, func(id string) bool { return refused[id] != "" }) {
		return want, nil
	}
	return want, cmp.Or(s.Report(k, false), ErrReported)
}

// UsersOf is the installed apps that may use one of some secrets.
func (s *Session) UsersOf(names []string) (units.Desired, error) {
	k, want, err := s.Installed()
	if err != nil {
		return want, err
	}
	if k.Set == nil {
		return want, errors.New("can't compile the manifests; see archgen check")
	}
	ids := k.UsersOf(names)
	if len(ids) == 0 { // it was removed meanwhile
		return units.Desired{Scope: want.Scope}, nil
	}
	return want.Only(ids)
}

// Load compiles the manifests that arguments name: paths, or ids of installed apps.
func (s *Session) Load(args []string) (*compile.Compiled, error) {
	if s.Version != "" {
		if _, err := generator.ParseVersion(s.Version); err != nil {
			return nil, UsageError{err}
		}
	}
	var paths, ids []string
	for _, arg := range args {
		if IsPath(arg) {
			paths = append(paths, arg)
		} else {
			ids = append(ids, arg)
		}
	}
	if len(paths) > 0 && len(ids) > 0 {
		return nil, UsageError{fmt.Errorf("%s is a path and %s the id of an installed app: give either paths or ids", paths[0], ids[0])}
	}
	from := s.Compiler()
	from.Ungranted = s.Grants == Nowhere || s.Grants == WhereInstalled && len(paths) > 0
	k, err := from.Named(paths, ids)
	if err != nil {
		return nil, err
	}
	for _, dirs := range k.Empty {
		fmt.Fprintf(s.Stderr, "archgen: no manifest in %s\n", strings.Join(dirs, ", "))
	}
	return k, nil
}

// IsPath reports whether an argument is the path of a manifest, and not the id of an app.
func IsPath(arg string) bool { return strings.ContainsAny(arg, "/.") }

// Directory is the directory of installed manifests.
func (s *Session) Directory() (installed.Directory, error) {
	return installed.Of(s.Compiler().Paths())
}

// Catalogs is the catalogs from sources.
func (s *Session) Catalogs() catalogs.Catalogs {
	env := paths.Env{Scope: s.Scope, Getenv: s.Getenv}
	return catalogs.Catalogs{Dirs: env.Catalogs(), Store: statedir.Store{State: env.State(), Now: time.Now}, Podman: s.Podman, Now: time.Now}
}

// Entries lists the apps of all catalogs, sorted by id.
func (s *Session) Entries() ([]catalog.Entry, diag.List, error) {
	remotes, found := s.Catalogs().Remotes()
	entries, diags, err := catalog.Entries(paths.Env{Getenv: s.Getenv}.Catalog(), remotes...)
	return entries, append(found, diags...), err
}

// Inputs identifies what compiling the manifests in directories depends on, or the installed ones
// without directories, and the program that compiles: a build for tests has the version of another
// one. It is empty if a file has just changed, and may change again without another identity.
func Inputs(from compile.Source, dirs ...string) string {
	found, err := from.Inputs(dirs...)
	if err != nil || !found.IsSettled(time.Now()) {
		return ""
	}
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	var program durable.Stamp
	program.Add(path)
	return program.String() + found.String()
}

// Kept returns the desired state that a pass has compiled from the inputs, if that is still there. Inputs
// that are not known identify none.
func Kept(store statedir.Store, inputs string) (want units.Desired, isKept bool) {
	if inputs == "" {
		return want, false
	}
	return store.Compiled(statedir.ByApply, inputs)
}
