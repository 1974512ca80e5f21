package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// installed compiles the installed apps one by one as far as they can be: an app
// with an error is kept as it is, with all that need it, and keeps no other from
// being put right.
func (c *cli) installed(s *source) (*compiled, units.Desired, error) {
	k := &compiled{whole: true}
	dirs, err := c.appDirs(s)
	if err != nil {
		return nil, units.Desired{}, err
	}
	k.diags = k.loaded.LoadDirs(dirs)
	settings, problems, err := c.settings(k, s)
	if err != nil {
		return nil, units.Desired{}, err
	}
	k.diags = append(k.diags, problems...)
	if problems.HasErrors() {
		return k, units.Desired{}, nil
	}
	target, err := c.target(s, settings)
	if err != nil {
		return nil, units.Desired{}, err
	}
	kept := k.compileValid(settings, target)
	k.diags.Sort()
	k.diags = slices.Compact(k.diags)
	if k.result == nil {
		return k, units.Desired{}, nil
	}
	want := k.result.Desired(k.set)
	want.Whole, want.Kept = true, kept
	return k, want, nil
}

// compileValid compiles what has no error, again and again until nothing has,
// and returns the ids of the rest. It leaves the result nil where an error
// belongs to no app.
func (k *compiled) compileValid(settings manifests.Settings, target generator.Target) (kept []string) {
	valid := k.loaded.Manifests
	bad, attributed := faulty(k.diags)
	for attributed {
		kept = append(kept, bad...)
		valid = without(valid, bad)
		found := k.compile(valid, settings, target)
		k.diags = append(k.diags, found...)
		if !found.HasErrors() {
			return slices.Compact(slices.Sorted(slices.Values(kept)))
		}
		bad, attributed = faulty(found)
		attributed = attributed && len(without(valid, bad)) < len(valid)
	}
	k.result = nil
	return nil
}

func without(list []*manifests.Manifest, ids []string) []*manifests.Manifest {
	return slices.DeleteFunc(slices.Clone(list), func(m *manifests.Manifest) bool { return slices.Contains(ids, appOf(m.File)) })
}

// faulty lists the apps that errors are about. It reports false where an error
// is about none.
func faulty(diags diag.List) (ids []string, attributed bool) {
	for _, d := range diags {
		if d.Severity != diag.Error {
			continue
		}
		id := appOf(d.File)
		if id == "" {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// appOf is the id of the app that a manifest or an overlay is about: both carry
// it in their path.
func appOf(file string) string {
	if dir, isOverlay := strings.CutSuffix(filepath.Base(filepath.Dir(file)), ".d"); isOverlay {
		return dir
	}
	name := filepath.Base(file)
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".toml":
		return strings.TrimSuffix(name, filepath.Ext(name))
	}
	return ""
}

// narrow keeps only the named apps of what is wanted.
func narrow(want units.Desired, ids []string) (units.Desired, error) {
	if len(ids) == 0 {
		return want, nil
	}
	narrowed := units.Desired{Shared: want.Shared}
	for _, id := range ids {
		i := slices.IndexFunc(want.Apps, func(a units.App) bool { return a.ID == id })
		switch {
		case i >= 0:
			narrowed.Apps = append(narrowed.Apps, want.Apps[i])
		case slices.Contains(want.Kept, id):
			return want, fmt.Errorf("the manifest of %s has errors; see archgen check", id)
		default:
			return want, fmt.Errorf("no app %q is installed; see archgen status", id)
		}
	}
	return narrowed, nil
}
