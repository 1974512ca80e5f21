package generator

import (
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// Desired is what the rendered set asks of the machine.
func (r *Result) Desired(set *manifests.Set) units.Desired {
	byApp := make(map[string]units.Set, len(set.Apps))
	for _, f := range r.Files {
		byApp[f.App] = append(byApp[f.App], f)
	}
	want := units.Desired{Apps: make([]units.App, 0, len(set.Apps)), Shared: byApp[""], Scope: r.scope}
	for _, app := range set.Apps {
		a := desired(set, app, byApp[app.ID()])
		for _, companion := range app.Companions {
			a.Companions = append(a.Companions, companion.ID())
		}
		want.Apps = append(want.Apps, a)
	}
	return want
}

func desired(set *manifests.Set, app *manifests.Resolved, files units.Set) units.App {
	a := units.App{ID: app.ID(), Files: files, Enabled: app.Document.App.Enabled, ManifestDigest: app.Digest}
	for _, p := range app.Parts {
		part := units.Part{Service: serviceName(app.ID(), p.Name), File: containerFile(app.ID(), p.Name), Oneshot: p.Oneshot, After: partsBefore(app, p)}
		for _, n := range app.Needs {
			if n.Follow && n.Provider != nil && n.Provider != app && slices.Contains(n.Parts, p.Name) {
				part.TracksAddressOf = append(part.TracksAddressOf, serviceName(n.Provider.ID(), n.Part))
			}
		}
		if f, ok := files.Find(part.File); ok {
			part = part.In(files, f)
			part.Digest = f.Digest
		}
		a.Parts = append(a.Parts, part)
	}
	for _, p := range app.Parts {
		for i := range p.Volumes {
			if v := &p.Volumes[i]; len(v.Watch) > 0 && set.Mounts(app, v) {
				a.RestartAfter = append(a.RestartAfter, v.App)
			}
		}
	}
	for _, s := range app.Document.App.Secrets {
		a.Secrets = append(a.Secrets, secretOf(app.ID(), s))
	}
	for _, n := range app.Needs {
		if n.Provider == nil || n.Provider == app {
			continue
		}
		// Also for until=started: a companion is restarted with its provider, and must not be
		// checked during that restart.
		a.Needs = append(a.Needs, n.Provider.ID())
		if n.Follow {
			a.RestartAfter = append(a.RestartAfter, n.Provider.ID())
		}
	}
	return a
}

// partsBefore is the services of the app's parts that start before a part.
func partsBefore(app *manifests.Resolved, p manifests.Part) []string {
	var list []string
	for _, a := range p.After {
		list = append(list, serviceName(app.ID(), a.Part))
	}
	if other, shares := strings.CutPrefix(p.Network, "part:"); shares {
		list = append(list, serviceName(app.ID(), other))
	}
	return list
}

// secretOf is a secret by its full name, and how its value is made.
func secretOf(app string, s manifests.Secret) units.Secret {
	made := units.Secret{Name: units.SecretName(app, s.Name)}
	switch {
	case s.Derive != nil:
		made.From, made.Method = units.SecretName(app, s.Derive.From), s.Derive.Method
	case s.Generate != nil:
		made.Length, made.Alphabet = s.Generate.Length, s.Generate.Alphabet
	}
	return made
}
