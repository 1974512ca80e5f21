package compile

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// Named compiles the manifests of files and directories, else the installed apps of ids,
// else all installed apps. Manifests that are named by their path are no installed ones,
// and meet nothing on this machine.
func (s Source) Named(paths, ids []string) (*Compiled, error) {
	if s.Root != "" && !isDir(s.Root) {
		return nil, fmt.Errorf("%s is not a directory, so it can't be the root of a system image", s.Root)
	}
	k := &Compiled{Loaded: manifests.Loaded{Root: s.Root}, byPath: len(paths) > 0}
	if k.byPath {
		s.Rendered = nil
		k.readPaths(paths)
	} else if err := k.readInstalled(s, ids); err != nil {
		return nil, err
	}
	return k, s.Compile(k)
}

func (k *Compiled) readPaths(paths []string) {
	for _, path := range paths {
		if isDir(path) {
			k.readAll([]string{path})
		} else {
			k.Diags = append(k.Diags, k.Loaded.LoadFile(path)...)
		}
	}
}

// readAll reads directories that hold all apps there are.
func (k *Compiled) readAll(dirs []string) {
	k.Whole = true
	k.Diags = append(k.Diags, k.Loaded.LoadDirs(dirs)...)
	if len(k.Loaded.Manifests) == 0 && !k.Diags.HasErrors() {
		k.Empty = append(k.Empty, dirs)
	}
}

// readInstalled reads every installed app, since the ones that are asked for may need
// others, and notes which are meant.
func (k *Compiled) readInstalled(s Source, ids []string) error {
	dirs, err := s.Paths().Apps()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		k.readAll(dirs)
		return nil
	}
	k.Diags = k.Loaded.LoadDirs(dirs)
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

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Asked is the apps that were asked for.
func (k *Compiled) Asked() []*manifests.Resolved {
	isOther := func(app *manifests.Resolved) bool { return k.Only != nil && !k.Only[app.ID()] }
	return slices.DeleteFunc(slices.Clone(k.Set.Apps), isOther)
}

// Files is everything that was rendered, or the files of the apps that were asked for and
// the networks that they use.
func (k *Compiled) Files() units.Set {
	if k.Only == nil {
		return k.Result.Files
	}
	networks := k.networks()
	var set units.Set
	for _, f := range k.Result.Files {
		if k.Only[f.App] || networks[f.Name] {
			set = append(set, f)
		}
	}
	return set
}

// networks is the files of the capability networks that the asked-for apps join.
func (k *Compiled) networks() map[string]bool {
	names := map[string]bool{}
	for _, app := range k.Asked() {
		for _, p := range app.Parts {
			for _, capability := range slices.Concat(p.Provides, p.Uses) {
				names[units.NetworkFile(units.CapabilityNetwork(capability))] = true
			}
		}
	}
	return names
}

// OwnsFile reports whether a file may be removed when it is no longer rendered. The network
// of a capability may have users that are not in a partial set.
func (k *Compiled) OwnsFile(m units.Ownership) bool {
	if m.App == "" {
		return k.Whole
	}
	return k.Owns(m.App)
}
