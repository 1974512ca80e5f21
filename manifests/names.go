package manifests

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// ContainerName is what Podman calls the container of a part: ID or ID.PART. Ids and names
// of parts hold no dots.
func ContainerName(app, part string) string {
	if part == "main" {
		return app
	}
	return app + "." + part
}

// member is a part on the network of a capability.
type member struct {
	app  *Resolved
	part *Part
}

// taken is the names that the part answers to on each of its networks, with their paths in the
// manifest: Podman's name server resolves a container's name and its hostname.
func (m member) taken() map[string]string {
	names := map[string]string{searched(ContainerName(m.app.ID(), m.part.Name)): "app.id"}
	if m.part.Hostname != "" {
		names[searched(m.part.Hostname)] = m.part.Path + ".hostname"
	}
	return names
}

// reliance is a name by which a part is reached or reaches others. what describes the name,
// together with the app's id. The provider of a capability may take the capability's name.
type reliance struct {
	by           member
	what         string
	isCapability bool
}

// relied is the names that the part relies on.
func (m member) relied() map[string]reliance {
	names := map[string]reliance{}
	for _, name := range m.part.Uses {
		names[searched(name)] = reliance{m, "a capability that %s requires", true}
	}
	for _, p := range m.app.Parts {
		for _, name := range append([]string{p.Name}, p.Aliases...) {
			names[searched(name)] = reliance{m, "a part of %s", false}
		}
	}
	names[searched(ContainerName(m.app.ID(), m.part.Name))] = reliance{m, "a container of %s", false}
	return names
}

// searched is a name as the name server looks it up: in lower case, and without the domain
// that it searches.
func searched(name string) string {
	return strings.TrimSuffix(strings.ToLower(name), ".dns.podman")
}

// names refuses apps that answer to a name by which others reach something else on the
// network of a capability.
func (r *resolver) names() {
	networks := map[string][]member{}
	for _, app := range r.set.Apps {
		for i := range app.Parts {
			p := &app.Parts[i]
			if p.Network != "app" {
				continue
			}
			for _, name := range slices.Concat(p.Provides, p.Uses) {
				networks[name] = append(networks[name], member{app, p})
			}
		}
	}
	said := map[string]bool{}
	for _, network := range slices.Sorted(maps.Keys(networks)) {
		relied := map[string][]reliance{}
		for _, m := range networks[network] {
			for name, use := range m.relied() {
				relied[name] = append(relied[name], use)
			}
		}
		for _, m := range networks[network] {
			r.namesOf(network, m, relied, said)
		}
	}
}

// namesOf refuses names of a part on a network: that of the network, which it uses, also
// where the provider is not in the set, and those that other apps rely on there, at the
// later of the two apps. Each is said once.
func (r *resolver) namesOf(network string, m member, relied map[string][]reliance, said map[string]bool) {
	taken := m.taken()
	for _, name := range slices.Sorted(maps.Keys(taken)) {
		provider, _ := r.set.Provider(name)
		if name == searched(network) && provider != m.app {
			said[m.app.ID()+" "+taken[name]] = true
			r.fail(m.app.Manifest, diag.NameClash, taken[name], "give the app or its hostname another name",
				"%s requires %s, and would answer to that name itself", m.app.ID(), network)
		}
		for _, use := range relied[name] {
			if use.by.app == m.app || use.isCapability && provider == m.app {
				continue
			}
			late, path := m.app, taken[name]
			if byPrecedence(m.app, use.by.app) < 0 {
				late, path = use.by.app, use.by.part.Path
			}
			if key := late.ID() + " " + path; !said[key] {
				said[key] = true
				r.fail(late.Manifest, diag.NameClash, path, "give the app, the part or the hostname another name",
					"%s answers to the name %s on the network of %s, where it is %s", m.app.ID(), name, network, fmt.Sprintf(use.what, use.by.app.ID()))
			}
		}
	}
}

// hostNames replaces ${…} in host names, before they are compared.
func (r *resolver) hostNames(app *Resolved) {
	r.known = nil
	for i := range app.Parts {
		p := &app.Parts[i]
		r.part = p
		p.Hostname = r.hostName(app, p.Path+".hostname", p.Hostname)
		if slices.ContainsFunc(p.Aliases, hasVariable) {
			p.Aliases = slices.Clone(p.Aliases)
			for k, alias := range p.Aliases {
				p.Aliases[k] = r.hostName(app, fmt.Sprintf("%s.aliases[%d]", p.Path, k), alias)
			}
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(p.Hosts)), hasVariable) {
			p.Hosts = r.hosts(app, p)
		}
	}
}

// hosts is the additional hosts of a part, with the values of variables in their names.
func (r *resolver) hosts(app *Resolved, p *Part) map[string]string {
	out := make(map[string]string, len(p.Hosts))
	for _, written := range slices.Sorted(maps.Keys(p.Hosts)) {
		at := p.Path + ".hosts." + written
		name := r.hostName(app, at, written)
		if _, ok := out[name]; ok {
			r.fail(app.Manifest, diag.NameClash, at, "remove one of them", "the host %s is already given", name)
		}
		out[name] = p.Hosts[written]
	}
	return out
}

// hostName replaces ${…} in a host name. The decoder has checked a name without.
func (r *resolver) hostName(app *Resolved, path, text string) string {
	if !hasVariable(text) {
		return text
	}
	known := len(r.diags)
	name := r.expand(app, path, text)
	if len(r.diags) == known && !isDNSName(name) {
		r.fail(app.Manifest, diag.BadValue, path, "", "%s must be %s, found %s, which stands for %s",
			path, patterns["dnsname"].text, diag.Quote(diag.Shorten(text)), diag.Quote(diag.Shorten(name)))
	}
	return name
}

// aliases refuses an alias that is a name of another part on the app's network: the name
// server would answer with the addresses of both. A part of another network has no name there.
func (r *resolver) aliases(app *Resolved) {
	holders := map[string]string{}
	for _, p := range app.Parts {
		if p.Network == "app" {
			for name := range (member{app, &p}).taken() {
				holders[name] = p.Path
			}
			holders[searched(p.Name)] = p.Path
		}
	}
	for _, p := range app.Parts {
		for i, alias := range p.Aliases {
			at := fmt.Sprintf("%s.aliases[%d]", p.Path, i)
			holder, held := holders[searched(alias)]
			switch {
			case alias == "": // there is a diagnostic already
			case !held:
				holders[searched(alias)] = at
			case strings.HasPrefix(holder, p.Path+"."):
				r.fail(app.Manifest, diag.NameClash, at, "remove one of them", "the alias %s is already given by %s", alias, holder)
			case holder != p.Path: // its own name is one that it has anyway
				r.fail(app.Manifest, diag.NameClash, at, "remove the alias, or give it another name",
					"the alias %s is already taken by %s: other parts would reach either of the two", alias, holder)
			}
		}
	}
}
