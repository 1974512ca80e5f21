package manifests

import (
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// networkOf is the part whose network a part uses: itself, or with `network: part:NAME` the
// part of that name. It is nil if that part does not exist, or if parts share in a cycle.
func (r *Resolved) networkOf(p *Part) *Part {
	for range r.Parts {
		other, isShared := strings.CutPrefix(p.Network, "part:")
		if !isShared {
			return p
		}
		if p = r.Part(other); p == nil {
			return nil
		}
	}
	return nil
}

// reaches reports whether a part is on the network of a capability, or finds the provider
// under an address of its own.
func (r *Resolved) reaches(p *Part, capability string) bool {
	on := r.networkOf(p)
	return on == nil || p.Hosts[capability] != "" || on.Network == "app" && (slices.Contains(on.Uses, capability) || slices.Contains(on.Provides, capability))
}

// reach reports capabilities, and hidden services, of parts that are not on their networks.
func (r *resolver) reach(app *Resolved) {
	for i, offer := range app.Document.App.Provides {
		p := app.Part(offer.Part)
		if p == nil || p.Network == "app" {
			continue
		}
		severity := diag.Error
		if offer.Port == "" { // it may only say that the app is there
			severity = diag.Warning
		}
		r.unreachable(app, p, severity, fmt.Sprintf("app.provides[%d].part", i), "apps that require "+offer.Capability+" can't reach "+p.Name, app.offerHint(p))
	}
	for i, req := range app.Document.App.Requires {
		r.requiringParts(app, i, req)
	}
	for i, o := range app.Document.App.Onion {
		for k := range app.Parts {
			if p := &app.Parts[k]; p.Port(o.Port) != nil && p.Network != "app" {
				r.unreachable(app, p, diag.Error, fmt.Sprintf("app.onion[%d].port", i), "Tor can't reach the port "+o.Port+" of "+p.Name, app.offerHint(p))
			}
		}
	}
}

// requiringParts reports parts that require a capability and can't reach it. A part on the
// host's network gets a warning only: it may use a host port of the provider, and the
// requirement only makes it wait.
func (r *resolver) requiringParts(app *Resolved, index int, req Require) {
	at := fmt.Sprintf("app.requires[%d]", index)
	path := func(i int) string { return fmt.Sprintf("%s.parts[%d]", at, i) }
	if !app.isGiven(at + ".parts") {
		path = func(int) string { return at + ".capability" }
	}
	for i, name := range req.Parts {
		p := app.Part(name)
		if p == nil || app.reaches(p, req.Capability) {
			continue
		}
		severity := diag.Warning
		if app.networkOf(p).Network == "app" {
			severity = diag.Error
		}
		r.unreachable(app, p, severity, path(i), name+" can't reach "+req.Capability, app.useHint(p))
	}
}

func (r *resolver) unreachable(app *Resolved, p *Part, severity diag.Severity, path, what, hint string) {
	r.diags = append(r.diags, app.Diag(severity, diag.Unreachable, path, hint, "%s: %s", what, p.offNetwork()))
}

// offNetwork says why the part is not reached, or does not reach others, on the network of
// a capability.
func (p *Part) offNetwork() string {
	why := "it is not on the network of the capability"
	if p.Network != "app" {
		why = "with `network: " + p.Network + "` " + why
	}
	return why
}

// OutOfReach says why a part can't reach a capability, and what to do about it. Both are
// empty if it can.
func (r *Resolved) OutOfReach(p *Part, capability string) (why, hint string) {
	if r.reaches(p, capability) {
		return "", ""
	}
	return p.Name + " can't reach " + capability + ": " + p.offNetwork(), r.useHint(p)
}

// offerHint says how other apps can reach a part that is not on the network of a capability.
func (r *Resolved) offerHint(p *Part) string {
	if on := r.networkOf(p); on != nil && on.Network == "app" {
		return "use a port of " + on.Name + ", whose network it shares"
	}
	return "leave `network` out"
}

// useHint says how a part joins the network of a capability.
func (r *Resolved) useHint(p *Part) string {
	if on := r.networkOf(p); on.Network == "app" {
		return "add " + on.Name + " to the `parts` of the requirement"
	}
	return "leave `network` out, or use a host port of the provider"
}
