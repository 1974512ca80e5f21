package contract_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog/contracts"
	"github.com/archipelago-os/archipelago/manifests/contract"
	"github.com/archipelago-os/archipelago/units"
)

// catalogContracts is the contracts of the catalog, decoded.
func catalogContracts(t *testing.T) contract.Set {
	t.Helper()
	files, err := contracts.Files()
	if err != nil {
		t.Fatal(err)
	}
	var set contract.Set
	for name, data := range files {
		c, err := contract.Decode(name, data)
		if err != nil {
			t.Errorf("manifests/catalog/contracts/%v", err)
			continue
		}
		set = append(set, c)
	}
	return set
}

// load resolves the manifests in a directory but for some, for a network.
func load(t *testing.T, dir, network string, without ...string) []contract.App {
	t.Helper()
	var loaded manifests.Loaded
	if diags := loaded.LoadDirs([]string{dir}); diags.HasErrors() {
		t.Fatal(diags)
	}
	list := slices.DeleteFunc(loaded.Manifests, func(m *manifests.Manifest) bool { return slices.Contains(without, m.Document.App.ID) })
	settings := manifests.DefaultSettings()
	settings.Network = network
	set, _ := manifests.Resolve(list, settings)
	apps := make([]contract.App, 0, len(set.Apps))
	files := render(t, set)
	for _, a := range set.Apps {
		apps = append(apps, contract.App{Resolved: a, Network: network, Files: files[a.ID()]})
	}
	return apps
}

// render is the text of every configuration file, by app, part and target.
func render(t *testing.T, set *manifests.Set) map[string]map[string]map[string]string {
	t.Helper()
	result, _ := generator.Render(set, generator.Target{Podman: generator.Default, Scope: units.User})
	all := map[string]map[string]map[string]string{}
	for _, app := range set.Apps {
		all[app.ID()] = map[string]map[string]string{}
		for _, p := range app.Parts {
			name := app.ID()
			if p.Name != "main" {
				name += "." + p.Name
			}
			all[app.ID()][p.Name] = rendered(t, result.Files, "archipelago-"+name+units.PrestartSuffix, p)
		}
	}
	return all
}

func rendered(t *testing.T, files units.Set, name string, p manifests.Part) map[string]string {
	t.Helper()
	out := map[string]string{}
	file, ok := files.Find(name)
	if !ok {
		return out
	}
	recipe, err := units.ReadPrestart(file.Content)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var data configfile.Data
	if recipe.Data != nil {
		if err := json.Unmarshal(recipe.Data, &data); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, f := range p.Files {
		i := slices.IndexFunc(recipe.Files, func(r units.PrestartFile) bool { return filepath.Base(r.Source) == f.Template })
		if i < 0 {
			t.Fatalf("%s: no file is made of the template %s", name, f.Template)
		}
		text, err := configfile.Render(recipe.Files[i].Template, data, configfile.Machine{Memory: 4096, Cores: 4},
			func(string) (string, error) { return "secret", nil })
		if err != nil {
			t.Fatalf("%s: %v", f.Template, err)
		}
		out[f.Target] = string(text)
	}
	return out
}
