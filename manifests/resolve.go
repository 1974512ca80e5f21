package manifests

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Set is manifests resolved against each other: defaults filled in, variables
// replaced, requirements tied to providers.
type Set struct {
	// Apps is sorted by id.
	Apps []*Resolved
	// Capabilities is every capability that some app provides or requires, sorted.
	Capabilities []string

	byID      map[string]*Resolved
	providers map[string][]provider
	settings  Settings
}

// App returns the app of that id, or nil.
func (s *Set) App(id string) *Resolved { return s.byID[id] }

// Provider is the app and the part that consumers of a capability reach, nil without a
// provider.
func (s *Set) Provider(capability string) (app *Resolved, part string) {
	by := s.providers[capability]
	if len(by) == 0 {
		return nil, ""
	}
	return by[0].app, by[0].offer.Part
}

// Resolved is one app of a set.
type Resolved struct {
	*Manifest
	// Parts is the app's containers, main first, then by name.
	Parts []Part
	// Needs is what the app requires, with the providers.
	Needs []Need
	// Companions is the apps that stop and restart with this one, and agree to.
	Companions []*Resolved
}

// ID is the app's id.
func (r *Resolved) ID() string { return r.Document.App.ID }

// Part returns the part of that name, or nil.
func (r *Resolved) Part(name string) *Part {
	i := slices.IndexFunc(r.Parts, func(p Part) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Parts[i]
}

// Part is one container of an app.
type Part struct {
	*Container
	// Name is "main" or the key in `containers`.
	Name string
	// Path is the path of the part in the manifest.
	Path string
	// Provides is the capabilities that the part provides, sorted.
	Provides []string
	// Uses is the capabilities whose networks the part joins as a consumer, sorted.
	Uses []string
	// Composed is the environment variables whose values contain secrets. Env has the others.
	Composed []Composed
	// Facts is what the values name by its mark, sorted by variable.
	Facts []Fact
}

// Need is a requirement and its provider.
type Need struct {
	Require
	// Provider is nil for an optional requirement without a provider.
	Provider *Resolved
	// Part is the provider's part.
	Part string
	// Index is the position in `requires`, -1 where it follows from `onion`.
	Index int
}

type provider struct {
	app   *Resolved
	offer Provide
	index int
}

// TorCapability is what `onion` needs: an app that runs hidden services.
const TorCapability = "tor"

// Resolve ties manifests together and reports everything that does not fit. A
// manifest with errors of its own may be among them. The set is whole only if
// the list has no errors.
func Resolve(all []*Manifest, settings Settings) (*Set, diag.List) {
	r := &resolver{set: &Set{byID: map[string]*Resolved{}, providers: map[string][]provider{}, settings: settings}}
	for _, m := range all {
		r.add(m)
	}
	slices.SortFunc(r.set.Apps, func(a, b *Resolved) int { return cmp.Compare(a.ID(), b.ID()) })
	for _, app := range r.set.Apps {
		r.registerProviders(app)
	}
	for _, app := range r.set.Apps {
		r.network(app)
		r.conflicts(app)
		r.requirements(app)
		r.hostNames(app)
		r.aliases(app)
		r.foreignVolumes(app)
		r.subpaths(app)
		r.internal(app)
		r.companions(app)
	}
	r.competing()
	r.ports()
	r.names()
	r.buildTags()
	r.cycles()
	for _, app := range r.set.Apps {
		r.reach(app)
		r.exportedMounts(app)
		r.variables(app)
		r.composedNames(app)
	}
	slices.Sort(r.capabilities)
	r.set.Capabilities = slices.Compact(r.capabilities)
	r.diags.Sort()
	return r.set, r.diags
}

type resolver struct {
	set          *Set
	capabilities []string
	// known is the variables of the app whose values are replaced, and part the part.
	known map[string]string
	part  *Part
	// isStarted: the values are those of a container that starts, so they may name facts.
	isStarted bool
	diags     diag.List
}

func (r *resolver) fail(m *Manifest, code diag.Code, path, hint, format string, args ...any) {
	r.diags = append(r.diags, m.Diag(diag.Error, code, path, hint, format, args...))
}

func (r *resolver) add(m *Manifest) {
	app := &Resolved{Manifest: m}
	id := app.ID()
	if other := r.set.byID[id]; other != nil && id != "" {
		r.fail(m, diag.IDClash, "app.id", "remove one of the files or give it another id", "the app %s is also described by %s", id, other.File)
		return
	}
	app.Parts = m.Document.App.Parts()
	for i := range app.Parts {
		app.Parts[i].Container = app.Parts[i].clone()
	}
	r.set.byID[id] = app
	r.set.Apps = append(r.set.Apps, app)
}

// clone is the container with values of its own where variables are replaced: the manifest
// may be resolved again, with other settings.
func (c *Container) clone() *Container {
	own := *c
	for _, p := range []**Probe{&own.Health.Alive, &own.Health.Serving, &own.Health.Synced} {
		if *p != nil {
			probe := **p
			*p = &probe
		}
	}
	return &own
}

// Parts lists the containers, main first.
func (a *App) Parts() []Part {
	var list []Part
	if a.Container != nil {
		list = append(list, Part{Container: a.Container, Name: "main", Path: "app.container"})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Containers)) {
		if c := a.Containers[name]; c != nil {
			list = append(list, Part{Container: c, Name: name, Path: "app.containers." + name})
		}
	}
	if i := slices.IndexFunc(list, func(p Part) bool { return p.Name == "main" }); i > 0 {
		main := list[i]
		copy(list[1:i+1], list[:i])
		list[0] = main
	}
	return list
}

// port returns the container's port of that name, or nil.
func (c *Container) port(name string) *Port {
	i := slices.IndexFunc(c.Ports, func(p Port) bool { return p.Name == name })
	if i < 0 || name == "" {
		return nil
	}
	return &c.Ports[i]
}

// Port returns the container's port of that name, or nil.
func (p *Part) Port(name string) *Port { return p.port(name) }

// VirtualPort is the port of the hidden service that leads to a port of a container.
func (o Onion) VirtualPort(p *Port) int { return cmp.Or(o.Virtual, p.Container) }

// registerProviders records what an app provides.
func (r *resolver) registerProviders(app *Resolved) {
	for i, offer := range app.Document.App.Provides {
		r.set.providers[offer.Capability] = append(r.set.providers[offer.Capability], provider{app, offer, i})
		r.capabilities = append(r.capabilities, offer.Capability)
		if p := app.Part(offer.Part); p != nil {
			p.Provides = append(p.Provides, offer.Capability)
			slices.Sort(p.Provides)
		}
	}
}

// requirements ties what an app requires to the providers.
func (r *resolver) requirements(app *Resolved) {
	for i, req := range app.Document.App.Requires {
		r.require(app, req, i)
	}
	r.onions(app)
}

// onions ties each part that has a port with a hidden service to Tor, which reaches it on
// the network of the capability, whichever other parts the app requires Tor for.
func (r *resolver) onions(app *Resolved) {
	var parts []string
	for _, p := range app.Parts {
		hasOnion := func(o Onion) bool { return p.Port(o.Port) != nil }
		if slices.ContainsFunc(app.Document.App.Onion, hasOnion) && !slices.Contains(p.Uses, TorCapability) {
			parts = append(parts, p.Name)
		}
	}
	if len(parts) == 0 {
		return
	}
	i := slices.IndexFunc(app.Needs, func(n Need) bool { return n.Capability == TorCapability })
	if i < 0 {
		tor := withDefaults[Require]()
		tor.Capability, tor.Optional, tor.Parts = TorCapability, true, parts
		r.require(app, tor, -1)
		return
	}
	app.Needs[i].Parts = slices.Concat(app.Needs[i].Parts, parts)
	r.join(app, TorCapability, parts)
}

func (r *resolver) require(app *Resolved, req Require, index int) {
	r.capabilities = append(r.capabilities, req.Capability)
	need := Need{Require: req, Index: index}
	need.Provider, need.Part = r.set.Provider(req.Capability)
	if need.Provider == nil && !req.Optional {
		r.fail(app.Manifest, diag.Unsatisfied, fmt.Sprintf("app.requires[%d].capability", index),
			didYouMean(req.Capability, slices.Sorted(maps.Keys(r.set.providers))),
			"no app in the set provides %s, which %s requires", req.Capability, app.ID())
	}
	app.Needs = append(app.Needs, need)
	r.join(app, req.Capability, req.Parts)
}

// join puts parts on the network of a capability.
func (r *resolver) join(app *Resolved, capability string, parts []string) {
	for _, name := range parts {
		if p := app.Part(name); p != nil && !slices.Contains(p.Provides, capability) {
			p.Uses = append(p.Uses, capability)
			slices.Sort(p.Uses)
		}
	}
}

// network refuses an app that does not support the Bitcoin network of the settings: it
// would fail at each start.
func (r *resolver) network(app *Resolved) {
	known := app.Document.App.Networks
	want := r.set.settings.Network
	if len(known) == 0 || slices.Contains(known, want) {
		return
	}
	r.fail(app.Manifest, diag.UnknownNetwork, "app.networks", "set another network in archipelago.toml, or leave the app out of the set",
		"%s does not support network = %q of the settings; it supports %s", app.ID(), want, strings.Join(known, ", "))
}

func (r *resolver) conflicts(app *Resolved) {
	for i, id := range app.Document.App.Conflicts {
		other, newcomer, path := r.set.byID[id], app, fmt.Sprintf("app.conflicts[%d]", i)
		if other == nil || other == app {
			continue
		}
		if byPrecedence(app, other) < 0 {
			other, newcomer, path = app, other, "app.id"
		}
		r.fail(newcomer.Manifest, diag.Conflict, path, "leave one of the two out of the set",
			"%s can't be in the same set as %s (%s)", newcomer.ID(), other.ID(), other.File)
	}
}

// competing reports several providers of a capability that only one can provide.
func (r *resolver) competing() {
	for _, name := range slices.Sorted(maps.Keys(r.set.providers)) {
		by := slices.Clone(r.set.providers[name])
		slices.SortStableFunc(by, func(a, b provider) int { return byPrecedence(a.app, b.app) })
		for _, p := range by[1:] {
			if p.app == by[0].app || p.offer.Shared && by[0].offer.Shared {
				continue
			}
			r.fail(p.app.Manifest, diag.Conflict, fmt.Sprintf("app.provides[%d].capability", p.index),
				"leave one of the two out, or mark both `shared: true`",
				"%s provides %s, and so does %s (%s)", p.app.ID(), name, by[0].app.ID(), by[0].app.File)
		}
	}
}

// foreignVolumes refuses mounts of volumes that another app has and does not share.
func (r *resolver) foreignVolumes(app *Resolved) {
	for _, part := range app.Parts {
		for i, v := range part.Volumes {
			if v.App == "" || v.App == app.ID() || v.Optional {
				continue
			}
			at := fmt.Sprintf("%s.volumes[%d]", part.Path, i)
			owner := r.set.byID[v.App]
			switch {
			case owner == nil:
				r.fail(app.Manifest, diag.UnknownName, at+".app", didYouMean(v.App, slices.Sorted(maps.Keys(r.set.byID))),
					"no app %s in the set, whose volume %s is mounted here", v.App, v.Name)
			case !slices.Contains(owner.VolumeNames(), v.Name):
				r.fail(app.Manifest, diag.UnknownName, at+".name", didYouMean(v.Name, owner.VolumeNames()),
					"%s has no volume %s", v.App, v.Name)
			default:
				r.share(app, at, v, owner)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(app.Document.App.Volumes)) {
		owner, volume, _ := strings.Cut(app.Existing(name), ".")
		if other := r.set.byID[owner]; other != nil && other != app && slices.Contains(other.VolumeNames(), volume) {
			r.fail(app.Manifest, diag.NotShared, "app.volumes."+name+".existing", "mount it with {app: "+owner+", name: "+volume+"}, which the app has to share",
				"%s is a volume of %s", app.Existing(name), owner)
		}
	}
}

// subpaths refuses parts of a directory of the host that replaces a volume: Podman would follow
// a link that the app made there, to any path of the host.
func (r *resolver) subpaths(app *Resolved) {
	for _, part := range app.Parts {
		for i, v := range part.Volumes {
			owner := r.set.byID[cmp.Or(v.App, app.ID())]
			if v.Subpath == "" || owner == nil || !strings.HasPrefix(owner.Existing(v.Name), "/") {
				continue
			}
			r.fail(app.Manifest, diag.Exclusive, fmt.Sprintf("%s.volumes[%d].subpath", part.Path, i), "mount the whole volume",
				"the directory %s replaces the volume %s of %s, and Podman mounts a subpath safely only of a volume", owner.Existing(v.Name), v.Name, owner.ID())
		}
	}
}

// companions finds the companions of an app. An app that does not agree is ignored: its host
// would start, stop and restart it.
func (r *resolver) companions(app *Resolved) {
	for i, id := range app.Document.App.Companions {
		switch companion := r.set.byID[id]; {
		case companion == nil || companion == app:
		case AreCompanions(&app.Document.App, &companion.Document.App):
			app.Companions = append(app.Companions, companion)
		default:
			r.diags = append(r.diags, app.Diag(diag.Warning, diag.NotCompanion, fmt.Sprintf("app.companions[%d]", i),
				"add "+app.ID()+" to companion_of of "+id+", in an overlay in "+OverlaysDir(id)+"/", "%s does not say that it is a companion of %s, and is left alone", id, app.ID()))
		}
	}
}

// AreCompanions reports whether an app is a companion of a host, which both must declare.
func AreCompanions(host, app *App) bool {
	hosts := app.CompanionOf
	if hosts == nil {
		hosts = earlierHosts[app.ID]
	}
	return slices.Contains(host.Companions, app.ID) && slices.Contains(hosts, host.ID)
}

// earlierHosts is the hosts of companions of the catalog whose installed manifest is older than
// the key `companion_of`.
var earlierHosts = map[string][]string{
	"bitcoin-ui":   {"bitcoin-core", "bitcoin-knots"},
	"electrs-ui":   {"electrs"},
	"electrumx-ui": {"electrumx"},
	"fulcrum-ui":   {"fulcrum"},
	"lnd-ui":       {"lnd"},
}

// earlierShares is the shares of apps of the catalog whose installed manifest is older than the
// key `shares`.
var earlierShares = map[string][]Share{
	"lnd":     {{Volume: "data", App: "lnd-ui"}, {Volume: "data", App: "fedimint-gateway"}},
	"fulcrum": {{Volume: "logs", App: "fulcrum-ui"}},
}

// Shares lists which volumes the app shares, and with whom.
func (r *Resolved) Shares() []Share {
	if list := r.Document.App.Shares; list != nil {
		return list
	}
	return earlierShares[r.ID()]
}

// share demands that the owner of a volume shares it with an app in this way.
func (r *resolver) share(app *Resolved, at string, v Volume, owner *Resolved) {
	shares := owner.Shares()
	i := slices.IndexFunc(shares, func(s Share) bool { return s.Volume == v.Name && s.App == app.ID() })
	switch {
	case i < 0:
		r.fail(app.Manifest, diag.NotShared, at+".app", fmt.Sprintf("to allow it, add {volume: %s, app: %s} to the shares of %s, in an overlay in %s.d/", v.Name, app.ID(), owner.ID(), owner.ID()),
			"%s does not share its volume %s with %s", owner.ID(), v.Name, app.ID())
	case !shares[i].Write && (!v.ReadOnly || v.Chown):
		r.fail(app.Manifest, diag.NotShared, at, "mount it with read_only: true, and without chown",
			"%s shares its volume %s with %s to be read, not changed", owner.ID(), v.Name, app.ID())
	}
}

// Mounts reports whether an app mounts a volume that it lists: one that is optional only if the
// other app is in the set and shares it in this way.
func (s *Set) Mounts(app *Resolved, v *Volume) bool {
	if !v.Optional {
		return true
	}
	owner := s.byID[v.App]
	return owner != nil && slices.Contains(owner.VolumeNames(), v.Name) &&
		slices.ContainsFunc(owner.Shares(), func(s Share) bool {
			return s.Volume == v.Name && s.App == app.ID() && (s.Write || v.ReadOnly && !v.Chown)
		})
}

// VolumeNames lists the app's own named volumes, sorted.
func (r *Resolved) VolumeNames() []string {
	var names []string
	for _, p := range r.Parts {
		for _, v := range p.Volumes {
			if r.IsOwn(v) {
				names = append(names, v.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// IsOwn reports whether a mount is of a named volume of the app itself.
func (r *Resolved) IsOwn(v Volume) bool { return v.Name != "" && (v.App == "" || v.App == r.ID()) }

// Existing is the existing volume or directory that replaces a named volume of the app, empty
// for none.
func (r *Resolved) Existing(volume string) string {
	if o := r.Document.App.Volumes[volume]; o != nil {
		return o.Existing
	}
	return ""
}

// buildTags reports two builds that make an image of the same name.
func (r *resolver) buildTags() {
	seen := map[string]string{}
	for _, app := range slices.SortedStableFunc(slices.Values(r.set.Apps), byPrecedence) {
		for _, p := range app.Parts {
			if p.Build == nil {
				continue
			}
			if other, ok := seen[p.Build.Tag]; ok {
				r.fail(app.Manifest, diag.NameClash, p.Path+".build.tag", "give the image another name",
					"the image %s is also built for %s", p.Build.Tag, other)
			}
			seen[p.Build.Tag] = app.ID() + "/" + p.Name
		}
	}
}
