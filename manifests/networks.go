package manifests

import (
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// OwnNetwork is how manifests name the network that containers of an app join by default.
const OwnNetwork = "app"

// Networks lists the app's private networks that its containers join, sorted.
func (r *Resolved) Networks() []string {
	var names []string
	for _, p := range r.Parts {
		if p.Network == "app" {
			names = append(names, p.Networks...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// IsInternal reports whether a private network of the app leads nowhere else.
func (r *Resolved) IsInternal(network string) bool {
	return slices.Contains(r.Document.App.InternalNetworks, network)
}

// networksOf checks which networks a part joins.
func (v *validator) networksOf(p Part) {
	at := p.Path + ".networks"
	v.unique(at+"[%d]", "network", p.Networks)
	switch {
	case p.Network != "app" && v.m.isGiven(at):
		v.fail(diag.Exclusive, at, "", "a container with `network: %s` joins no other network", p.Network)
	case p.Network == "app" && len(p.Networks) == 0:
		v.fail(diag.MissingKey, at, "leave it out, or write `network: none`", "the container joins no network")
	}
}

// internalNetworks checks that each internal network is one that a container joins.
func (v *validator) internalNetworks() {
	known := (&Resolved{Manifest: v.m, Parts: v.parts}).Networks()
	for i, name := range v.app.InternalNetworks {
		v.reference(fmt.Sprintf("app.internal_networks[%d]", i), "network", name, known)
	}
}

// internal refuses ports of the host of containers that are only on internal networks: the
// host reaches them with some versions of Podman, and not as root.
func (r *resolver) internal(app *Resolved) {
	for _, p := range app.Parts {
		isOutside := func(network string) bool { return !app.IsInternal(network) }
		if p.Network != "app" || len(p.Uses)+len(p.Provides) > 0 || slices.ContainsFunc(p.Networks, isOutside) {
			continue
		}
		for i, port := range p.Ports {
			if port.Host != 0 {
				r.fail(app.Manifest, diag.Exclusive, fmt.Sprintf("%s.ports[%d].host", p.Path, i), "add a network to the container that is not among `internal_networks`",
					"the host does not reach a container that is only on internal networks")
			}
		}
	}
}
