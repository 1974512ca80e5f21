// Package compile owns the compilation of the manifests of a machine to checked unit files:
// where installed apps and settings are, which version of Podman is the target, and which
// apps stay as they are because of an error.
//
// It reads files and never writes one, inspects nothing that runs, and prints nothing: errors
// are in the diagnostics.
package compile

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/conform"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
)

// Source says which manifests are meant, and for which machine.
type Source struct {
	// Root is a system image; empty means this machine.
	Root  string
	Scope units.Scope
	// Podman is the version to render for. Where it is empty the settings say it,
	// else Ask does.
	Podman string
	// Ask returns the version of this machine's Podman, or nothing.
	Ask func() string
	// Places returns where this machine's Podman keeps networks and volumes. Without it, and for
	// an image, it is where the configuration files of the machine or the image leave it.
	Places func() units.Places
	// Generator is the version of archgen that rendered files name.
	Generator string
	Getenv    func(string) string
	// Rendered reads the unit files of the machine. Of two installed apps that conflict, the
	// one with unit files takes precedence; without Rendered the ids decide.
	Rendered func() (units.Set, error)
	// Format returns the format of an app's data on this machine, 0 if it is unknown. Without it, no
	// format is checked.
	Format func(app string) (int, error)
	// FormatsDir is the directory in which the formats are recorded.
	FormatsDir string
	// Ungranted: the result does not run, so it needs no grants.
	Ungranted bool
}

// Compiled is a set of manifests and everything that was made of it.
type Compiled struct {
	Loaded manifests.Loaded
	Set    *manifests.Set
	// Settings is those of the machine.
	Settings manifests.Settings
	// Result is nil where nothing could be rendered.
	Result *generator.Result
	Diags  diag.List
	// Whole: the set is all apps there are, so files of others are stale.
	Whole bool
	// Empty is directories that were read together and hold no manifest.
	Empty [][]string
	// Only is the apps that were asked for by id; nil means all.
	Only map[string]bool
	// Rights is what the apps ask for, by id, including apps that could be read and not
	// compiled.
	Rights map[string][]rights.Right
	// Unrecorded is the rights that apps have although no grants.toml lists them, by id. A
	// pass that writes the units of such an app writes the grants first.
	Unrecorded map[string][]string

	// byPath: the manifests were named by path and are not installed.
	byPath bool
	// there is what apps have on the machine, by id; nil until it is needed.
	there map[string]standing
}

// Owns reports whether files of the app may be written and removed.
func (k *Compiled) Owns(app string) bool {
	if k.Only != nil {
		return k.Only[app]
	}
	return k.Whole || k.Set.App(app) != nil
}

// Compile compiles the manifests that were loaded, all or nothing.
func (s Source) Compile(k *Compiled) error {
	problems, err := s.settings(k)
	if err != nil {
		return err
	}
	k.Diags = append(k.Diags, problems...)
	target, err := s.target(k.Settings)
	if err != nil {
		return err
	}
	if k.Diags.HasErrors() {
		// Rendering would only say in other words what is wrong already.
		set, problems := manifests.Resolve(k.Loaded.Manifests, k.Settings)
		k.Set, k.Diags = set, append(k.Diags, problems...)
		k.rights(s)
		return nil
	}
	found, err := s.compile(k, k.Loaded.Manifests, nil, target)
	k.Diags = append(k.Diags, found...)
	return err
}

// compile compiles manifests, without those of the apps that stay as they are. If there are
// errors it reads the unit files and compiles again: of two apps that conflict, the one
// without unit files gets the error, since the other may be running.
func (s Source) compile(k *Compiled, list []*manifests.Manifest, kept []string, target generator.Target) (diag.List, error) {
	found := s.compileOnce(k, list, target)
	if s.Rendered == nil || !found.HasErrors() && len(kept) == 0 {
		return found, nil
	}
	if err := s.survey(k); err != nil {
		return nil, err
	}
	for _, m := range list {
		m.Installed = k.there[m.Document.App.ID].Installed
	}
	if found.HasErrors() {
		found = s.compileOnce(k, list, target)
	}
	for _, id := range kept {
		found = append(found, k.Set.Taken(id, k.there[id].Ports)...)
	}
	return found, nil
}

// standing is what an app has on the machine.
type standing struct {
	manifests.Installed
	// rights is what the app has by grants.
	rights []string
	// isOlder: its unit files are of a version that kept no grants.
	isOlder bool
}

// survey finds out what apps have on the machine, once.
func (s Source) survey(k *Compiled) error {
	if k.there != nil {
		return nil
	}
	files, err := s.Rendered()
	if err != nil {
		return err
	}
	k.there = map[string]standing{}
	for _, f := range files {
		st := k.there[f.App]
		st.Rendered, st.Ports = true, append(st.Ports, hostPorts(f)...)
		if f.Name == units.ContainerFile(f.App) {
			st.rights, st.isOlder = rightsIn(f)
		}
		k.there[f.App] = st
	}
	return nil
}

// hostPorts is the ports of the host that a rendered file publishes.
func hostPorts(f units.File) (list []manifests.Port) {
	for _, published := range f.Ports() {
		first, last, isRange := strings.Cut(published.Host, "-")
		p := manifests.Port{Count: 1, Protocol: published.Protocol}
		p.Host, _ = strconv.Atoi(first) // archgen wrote it
		if end, err := strconv.Atoi(last); isRange && err == nil {
			p.Count += end - p.Host
		}
		list = append(list, p)
	}
	return list
}

// compileOnce resolves, renders and checks manifests, as far as there is no error.
func (s Source) compileOnce(k *Compiled, list []*manifests.Manifest, target generator.Target) diag.List {
	set, diags := manifests.Resolve(list, k.Settings)
	k.Set = set
	if ungranted := k.rights(s); !s.Ungranted {
		diags = append(diags, ungranted...)
	}
	diags = append(diags, k.unreadable(s)...)
	if diags.HasErrors() {
		return diags
	}
	result, problems := generator.Render(set, target)
	k.Result = result
	diags = append(diags, problems...)
	if !diags.HasErrors() {
		diags = append(diags, conformity(result, target)...)
	}
	return diags
}

// conformity is what Podman's own converter says of a whole set.
func conformity(result *generator.Result, t generator.Target) diag.List {
	findings := conform.Check(result.Files, t.Scope)
	diags := make(diag.List, 0, len(findings))
	for _, f := range findings {
		sev, code := diag.Error, diag.PodmanRejects
		if f.Warning {
			sev, code = diag.Warning, diag.PodmanWarns
		}
		diags = append(diags, result.Diagnose(f.File, f.Line, sev, code, f.Message))
	}
	return diags
}

// Installed compiles the installed apps. An app with an error stays as it is, with all apps
// that need it. The others are compiled without it.
func (s Source) Installed() (*Compiled, units.Desired, error) { return s.InstalledWith() }

// InstalledWith is Installed, as if the manifests of some directories replaced those of the same apps.
func (s Source) InstalledWith(staged ...string) (*Compiled, units.Desired, error) {
	k := &Compiled{Whole: true, Loaded: manifests.Loaded{Root: s.Root}}
	dirs, err := s.Paths().Apps()
	if err != nil {
		return nil, units.Desired{}, err
	}
	k.Diags = k.Loaded.LoadDirs(slices.Concat(staged, dirs))
	problems, err := s.settings(k)
	if err != nil {
		return nil, units.Desired{}, err
	}
	k.Diags = append(k.Diags, problems...)
	if problems.HasErrors() {
		return k, units.Desired{}, nil
	}
	target, err := s.target(k.Settings)
	if err != nil {
		return nil, units.Desired{}, err
	}
	kept, err := s.compileValid(k, target)
	if err != nil {
		return nil, units.Desired{}, err
	}
	whole, err := s.isWhole(k, dirs[0], kept)
	if err != nil {
		return nil, units.Desired{}, err
	}
	k.Diags.Sort()
	k.Diags = slices.Compact(k.Diags)
	if k.Result == nil {
		return k, units.Desired{}, nil
	}
	want := k.Result.Desired(k.Set)
	want.Complete, want.Invalid = whole, kept
	if want.Ungranted, err = s.ungranted(k, kept); err != nil {
		return nil, units.Desired{}, err
	}
	want.Invalid = slices.DeleteFunc(kept, func(id string) bool { return slices.Contains(want.Ungranted, id) })
	for i := range want.Apps {
		want.Apps[i].Unrecorded = k.UnrecordedOf(want.Apps[i].ID, dirs[0])
	}
	return k, want, nil
}

// isWhole reports whether the set is complete, so that an app without a manifest was removed.
// If the directory of manifests itself is absent, as on a disk that is not mounted, no app
// was removed, and a pass must not stop them all.
func (s Source) isWhole(k *Compiled, dir string, kept []string) (bool, error) {
	if s.Rendered == nil || !slices.Contains(k.Loaded.Absent, dir) {
		return true, nil
	}
	if err := s.survey(k); err != nil {
		return false, err
	}
	there := maps.Clone(k.there)
	maps.DeleteFunc(there, func(id string, _ standing) bool {
		return id == "" || slices.Contains(kept, id) || k.Set != nil && k.Set.App(id) != nil
	})
	if len(there) > 0 {
		k.Diags = append(k.Diags, diag.Diagnostic{
			Code: diag.Unreadable, File: dir,
			Message: "the directory does not exist, so archgen can't tell which apps were removed and leaves them unchanged: " + strings.Join(slices.Sorted(maps.Keys(there)), ", "),
			Hint:    "restore the directory; to remove the apps, create it empty: mkdir -p " + dir,
		})
	}
	return false, nil
}

// compileValid compiles what has no error, again and again until nothing has,
// and returns the ids of the rest. It leaves the result nil where an error
// belongs to no app.
func (s Source) compileValid(k *Compiled, target generator.Target) (kept []string, err error) {
	valid := k.Loaded.Manifests
	bad, attributed := s.Faulty(k.Diags)
	for attributed {
		kept = append(kept, bad...)
		valid = without(valid, bad)
		found, err := s.compile(k, valid, kept, target)
		if err != nil {
			return nil, err
		}
		k.Diags = append(k.Diags, found...)
		if !found.HasErrors() {
			return slices.Compact(slices.Sorted(slices.Values(kept))), nil
		}
		bad, attributed = s.Faulty(found)
		attributed = attributed && len(without(valid, bad)) < len(valid)
	}
	k.Result = nil
	return nil, nil
}

func without(list []*manifests.Manifest, ids []string) []*manifests.Manifest {
	return slices.DeleteFunc(slices.Clone(list), func(m *manifests.Manifest) bool { return slices.Contains(ids, manifests.AppOf(m.File)) })
}

// Faulty lists the apps that errors are about. It reports false where an error is about
// none, but about the settings or a directory.
func (s Source) Faulty(diags diag.List) (ids []string, isAttributed bool) {
	settings := s.Paths().Settings()
	for _, d := range diags {
		if d.Severity != diag.Error {
			continue
		}
		id := manifests.AppOf(d.File)
		if id == "" || slices.Contains(settings, d.File) {
			return nil, false
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), true
}
