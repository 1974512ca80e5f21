package compile

import (
	"slices"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// UsersOf is the ids of the apps that may use one of some secrets: the app that a secret
// belongs to, and those that require a capability which exports it. Nothing uses a secret
// where no set was resolved.
func (k *Compiled) UsersOf(secrets []string) []string {
	if k.Set == nil {
		return nil
	}
	var ids []string
	for _, app := range k.Set.Apps {
		if uses(k.Set, app, secrets) {
			ids = append(ids, app.ID())
		}
	}
	return ids
}

func uses(set *manifests.Set, app *manifests.Resolved, names []string) bool {
	for _, s := range app.Document.App.Secrets {
		if slices.Contains(names, units.SecretName(app.ID(), s.Name)) {
			return true
		}
	}
	for _, n := range app.Needs {
		provider, exports := set.ExportedSecrets(n.Capability, app.ID())
		for _, name := range exports {
			if slices.Contains(names, units.SecretName(provider.ID(), name)) {
				return true
			}
		}
	}
	return false
}

// SecretDescriptions is what manifests say of their secrets, by full name.
func (k *Compiled) SecretDescriptions() map[string]string {
	list := map[string]string{}
	for _, m := range k.Loaded.Manifests {
		for _, s := range m.Document.App.Secrets {
			list[units.SecretName(m.Document.App.ID, s.Name)] = s.Description
		}
	}
	return list
}
