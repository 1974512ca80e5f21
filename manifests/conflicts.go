package manifests

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Installed is what an app has on the machine. If two manifests claim the same thing, the app
// that has it keeps it; else the app with unit files; else the first one by id.
type Installed struct {
	// Rendered: the app has unit files.
	Rendered bool
	// Ports is the host ports that they publish.
	Ports []Port
}

// byPrecedence orders apps that are on the machine before those that are new.
func byPrecedence(a, b *Resolved) int {
	switch {
	case a.Installed.Rendered == b.Installed.Rendered:
		return 0
	case a.Installed.Rendered:
		return -1
	}
	return 1
}

// listener is published ports of the set.
type listener struct {
	app         *Resolved
	part        string
	index       int
	addr        netip.Addr
	protocol    string
	first, last int
}

func (l listener) path() string { return fmt.Sprintf("%s.ports[%d].host", l.part, l.index) }

// overlaps reports whether two listeners can't both be open. The unspecified
// address takes the port on every address of its family, and :: on both.
func (l listener) overlaps(o listener) bool {
	if l.protocol != o.protocol || l.last < o.first || o.last < l.first {
		return false
	}
	if l.addr == o.addr || l.addr == netip.IPv6Unspecified() || o.addr == netip.IPv6Unspecified() {
		return true
	}
	return l.addr.Is4() == o.addr.Is4() && (l.addr.IsUnspecified() || o.addr.IsUnspecified())
}

// held reports whether the app's unit files publish one of the ports already.
func (l listener) held() bool { return slices.ContainsFunc(l.app.Installed.Ports, l.wants) }

func (l listener) wants(p Port) bool {
	return p.Protocol == l.protocol && p.Host <= l.last && l.first <= p.Host+p.Count-1
}

// first orders apps that hold a port before others, and installed apps before new ones.
func first(a, b listener) int {
	switch {
	case a.held() == b.held():
		return byPrecedence(a.app, b.app)
	case a.held():
		return -1
	}
	return 1
}

// ports reports host ports that two containers publish, at the later of the two.
func (r *resolver) ports() {
	var all []listener
	for _, app := range r.set.Apps {
		for _, part := range app.Parts {
			all = append(all, listeners(app, part)...)
		}
	}
	slices.SortStableFunc(all, first)
	byPort := make([]int, len(all))
	for i := range byPort {
		byPort[i] = i
	}
	slices.SortFunc(byPort, func(a, b int) int { return cmp.Or(cmp.Compare(all[a].first, all[b].first), cmp.Compare(a, b)) })
	clash := map[int]int{}
	var open []int
	for _, i := range byPort {
		open = slices.DeleteFunc(open, func(o int) bool { return all[o].last < all[i].first })
		for _, o := range open {
			later, earlier := max(i, o), min(i, o)
			if known, ok := clash[later]; all[i].overlaps(all[o]) && (!ok || earlier < known) {
				clash[later] = earlier
			}
		}
		open = append(open, i)
	}
	for _, later := range slices.Sorted(maps.Keys(clash)) {
		r.portClash(all[later], all[clash[later]])
	}
}

func (r *resolver) portClash(l, first listener) {
	r.fail(l.app.Manifest, diag.PortClash, l.path(), "publish another host port, for instance in "+l.app.ID()+".d/ports.yaml",
		"the host port %d/%s is already published by %s (%s)", max(l.first, first.first), l.protocol, first.app.ID(), first.path())
}

// Taken reports ports that an app which is not in the set has on the machine, and
// that an app of the set does not have yet.
func (s *Set) Taken(by string, ports []Port) (diags diag.List) {
	for _, app := range s.Apps {
		for _, part := range app.Parts {
			for _, l := range listeners(app, part) {
				if i := slices.IndexFunc(ports, l.wants); i >= 0 && !l.held() {
					diags = append(diags, app.Diag(diag.Error, diag.PortClash, l.path(), "correct the manifest of "+by+" first, or publish another host port",
						"the host port %d/%s is still published by %s, which stays unchanged", max(l.first, ports[i].Host), l.protocol, by))
				}
			}
		}
	}
	return diags
}

func listeners(app *Resolved, part Part) []listener {
	var list []listener
	for i, p := range part.Ports {
		addr, err := netip.ParseAddr(strings.Trim(p.Bind, "[]"))
		if p.Host == 0 || err != nil {
			continue
		}
		list = append(list, listener{app, part.Path, i, addr.Unmap(), p.Protocol, p.Host, p.Host + p.Count - 1})
	}
	return list
}

// cycles reports apps that wait for each other, at the first that is new: systemd
// would break such a circle at a place of its own choosing.
func (r *resolver) cycles() {
	waits := make(map[string][]string, len(r.set.Apps))
	at := map[[2]string]int{}
	for _, app := range r.set.Apps {
		for _, n := range app.Needs {
			if n.Provider != nil && n.Provider != app {
				waits[app.ID()] = append(waits[app.ID()], n.Provider.ID())
				at[[2]string{app.ID(), n.Provider.ID()}] = n.Index
			}
		}
	}
	isNew := func(id string) bool { return !r.set.byID[id].Installed.Rendered }
	for _, loop := range loops(waits) {
		loop = startingAt(loop, max(0, slices.IndexFunc(loop, isNew)))
		app := r.set.byID[loop[0]]
		r.fail(app.Manifest, diag.Cycle, fmt.Sprintf("app.requires[%d]", at[[2]string{loop[0], loop[1%len(loop)]}]),
			"remove one of the requirements; an optional one waits, too",
			"the apps wait for each other: %s", strings.Join(append(loop, loop[0]), " -> "))
	}
}

// loops returns the circles of a graph, each once, starting at its smallest name.
func loops(edges map[string][]string) [][]string {
	const onPath, done = 1, 2
	var found [][]string
	state := map[string]int{}
	var path []string
	var visit func(string)
	visit = func(n string) {
		switch state[n] {
		case done:
			return
		case onPath:
			found = append(found, rotate(path[slices.Index(path, n):]))
			return
		}
		state[n] = onPath
		path = append(path, n)
		for _, next := range edges[n] {
			visit(next)
		}
		path = path[:len(path)-1]
		state[n] = done
	}
	for _, n := range sortedKeys(edges) {
		visit(n)
	}
	return found
}

// rotate starts a loop at its smallest name, so that it always reads the same.
func rotate(loop []string) []string {
	return startingAt(loop, slices.Index(loop, slices.Min(loop)))
}

func startingAt(loop []string, i int) []string { return slices.Concat(loop[i:], loop[:i]) }
