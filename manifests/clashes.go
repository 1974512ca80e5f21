package manifests

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// listener is a published port of the set.
type listener struct {
	app      *Resolved
	path     string
	addr     netip.Addr
	protocol string
	port     int
}

// overlaps reports whether two listeners can't both be open. The unspecified
// address takes the port on every address of its family, and :: on both.
func (l listener) overlaps(o listener) bool {
	if l.protocol != o.protocol || l.port != o.port {
		return false
	}
	if l.addr == o.addr || l.addr == netip.IPv6Unspecified() || o.addr == netip.IPv6Unspecified() {
		return true
	}
	return l.addr.Is4() == o.addr.Is4() && (l.addr.IsUnspecified() || o.addr.IsUnspecified())
}

// ports reports host ports that two containers want.
func (r *resolver) ports() {
	type key struct {
		protocol string
		port     int
	}
	taken := map[key][]listener{}
	for _, app := range r.set.Apps {
		for _, part := range app.Parts {
			for _, l := range listeners(app, part) {
				k := key{l.protocol, l.port}
				if i := slices.IndexFunc(taken[k], l.overlaps); i >= 0 {
					r.portClash(l, taken[k][i])
					continue
				}
				taken[k] = append(taken[k], l)
			}
		}
	}
}

func (r *resolver) portClash(l, first listener) {
	r.fail(l.app.Manifest, diag.PortClash, l.path, "publish another host port, for instance in "+l.app.ID()+".d/ports.yaml",
		"the host port %d/%s is already published by %s (%s)", l.port, l.protocol, first.app.ID(), first.path)
}

func listeners(app *Resolved, part Part) []listener {
	var list []listener
	for i, p := range part.Ports {
		addr, err := netip.ParseAddr(strings.Trim(p.Bind, "[]"))
		if p.Host == 0 || err != nil {
			continue
		}
		for n := range p.Count {
			list = append(list, listener{app, fmt.Sprintf("%s.ports[%d].host", part.Path, i), addr.Unmap(), p.Protocol, p.Host + n})
		}
	}
	return list
}

// cycles reports apps that wait for each other: systemd would break such a
// circle at a place of its own choosing.
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
	for _, loop := range loops(waits) {
		app := r.set.byID[loop[0]]
		r.fail(app.Manifest, diag.Cycle, fmt.Sprintf("app.requires[%d]", at[[2]string{loop[0], loop[1%len(loop)]}]),
			"make one of the requirements go away; an optional one waits as well",
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
	i := slices.Index(loop, slices.Min(loop))
	return slices.Concat(loop[i:], loop[:i])
}
