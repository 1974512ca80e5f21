package manifests

import (
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

// taken is the names that the part answers to on every network that it is on, with where
// they stand: Podman's name server knows a container by its name and its hostname.
func (m member) taken() map[string]string {
	names := map[string]string{searched(ContainerName(m.app.ID(), m.part.Name)): "app.id"}
	if m.part.Hostname != "" {
		names[searched(m.part.Hostname)] = m.part.Path + ".hostname"
	}
	return names
}

// reliance is what a name stands for. That of a capability is its provider's to take.
type reliance struct {
	what         string
	isCapability bool
}

// relied is the names by which the part is reached and reaches others.
func (m member) relied() map[string]reliance {
	names := map[string]reliance{}
	for _, name := range m.part.Uses {
		names[searched(name)] = reliance{"a capability that " + m.app.ID() + " requires", true}
	}
	for _, p := range m.app.Parts {
		for _, name := range append([]string{p.Name}, p.Aliases...) {
			names[searched(name)] = reliance{"a part of " + m.app.ID(), false}
		}
	}
	names[searched(ContainerName(m.app.ID(), m.part.Name))] = reliance{"a container of " + m.app.ID(), false}
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
			for _, name := range slices.Concat(p.Provides, p.Uses) {
				if p.Network == "app" {
					networks[name] = append(networks[name], member{app, p})
				}
			}
		}
	}
	said := map[string]bool{}
	for _, network := range slices.Sorted(maps.Keys(networks)) {
		for _, m := range networks[network] {
			r.nameOfNetwork(network, m, said)
			for _, other := range networks[network] {
				if m.app != other.app {
					r.namesOf(network, m, other, said)
				}
			}
		}
	}
}

// nameOfNetwork refuses a part that answers to the name of a capability which it uses, also
// where the provider is not in the set.
func (r *resolver) nameOfNetwork(network string, m member, said map[string]bool) {
	path, isTaken := m.taken()[searched(network)]
	if provider, _ := r.set.Provider(network); isTaken && provider != m.app {
		said[m.app.ID()+" "+path] = true
		r.fail(m.app.Manifest, diag.NameClash, path, "give the app or its hostname another name",
			"%s requires %s, and would answer to that name itself", m.app.ID(), network)
	}
}

// namesOf refuses names of a part that another app's part on the same network relies on,
// at the later of the two apps. Each is said once.
func (r *resolver) namesOf(network string, m, other member, said map[string]bool) {
	taken, relied := m.taken(), other.relied()
	for _, name := range slices.Sorted(maps.Keys(taken)) {
		use, isRelied := relied[name]
		if provider, _ := r.set.Provider(name); !isRelied || use.isCapability && provider == m.app {
			continue
		}
		late, path := m.app, taken[name]
		if elders(m.app, other.app) < 0 {
			late, path = other.app, other.part.Path
		}
		if key := late.ID() + " " + path; !said[key] {
			said[key] = true
			r.fail(late.Manifest, diag.NameClash, path, "give the app, the part or the hostname another name",
				"%s answers to the name %s on the network of %s, where it is %s", m.app.ID(), name, network, use.what)
		}
	}
}
