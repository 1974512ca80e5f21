package compose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// published is a port of a part that the host has.
type published struct {
	on *service
	// index is its place in the ports of the part.
	index int
	item
}

// span is a range of ports; first is 0 where none is given.
type span struct{ first, last int }

func (r span) count() int { return r.last - r.first + 1 }

// mapping is one entry of `ports`.
type mapping struct {
	host, container span
	protocol, bind  string
}

func (s *service) ports(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		read := s.shortPort
		if it.node.Kind == syntax.MapNode {
			read = s.longPort
		}
		if m, ok := read(it); ok {
			s.publish(m, it)
		}
	}
}

// shortPort reads [[IP:]HOST:]CONTAINER[/PROTOCOL].
func (s *service) shortPort(it item) (m mapping, ok bool) {
	text := s.text(it.node, it.key)
	if s.isUnset(it.node) {
		return m, false
	}
	rest, protocol, _ := strings.Cut(text, "/")
	m.protocol = protocol
	i := strings.LastIndexByte(rest, ':')
	container, host := rest[i+1:], ""
	if i >= 0 {
		host = rest[:i]
		if j := strings.LastIndexByte(host, ':'); j >= 0 {
			m.bind, host = strings.Trim(host[:j], "[]"), host[j+1:]
		}
	}
	var okHost, okContainer bool
	m.host, okHost = spanOf(host)
	m.container, okContainer = spanOf(container)
	if !okHost || !okContainer || m.container.first == 0 {
		s.Report(importer.BadSourceValue, it.at, it.key, "%s is no port", diag.Quote(diag.Shorten(text)))
		return m, false
	}
	return m, true
}

// isUnset reports whether a value lacks a variable, which is reported already.
func (p *project) isUnset(n *syntax.Node) bool {
	return slices.ContainsFunc(p.expand(n).uses, func(u use) bool { return !u.isSet })
}

// longPort reads a port that is a map.
func (s *service) longPort(it item) (m mapping, ok bool) {
	n := it.node
	field := func(name string) string {
		v := n.Get(name)
		if v == nil {
			return ""
		}
		return s.text(v, it.key+"."+name)
	}
	m.protocol, m.bind = field("protocol"), strings.Trim(field("host_ip"), "[]")
	var okHost, okContainer bool
	m.host, okHost = spanOf(field("published"))
	m.container, okContainer = spanOf(field("target"))
	for _, e := range n.Entries {
		switch e.Key {
		case "target", "published", "protocol", "host_ip", "name", "mode", "app_protocol":
		default:
			s.Report(importer.PortOption, e.At, it.key+"."+e.Key, "%s of the port is left out", e.Key)
		}
	}
	if !okHost || !okContainer || m.container.first == 0 {
		s.Report(importer.BadSourceValue, it.at, it.key, "the port needs a target, and numbers")
		return m, false
	}
	return m, true
}

// spanOf reads A or A-B. Nothing is the empty range.
func spanOf(text string) (r span, ok bool) {
	if text == "" {
		return span{}, true
	}
	a, b, isRange := strings.Cut(text, "-")
	lowest, err := strconv.Atoi(a)
	if err != nil || lowest < 1 || lowest > 65535 {
		return r, false
	}
	r = span{lowest, lowest}
	if isRange {
		if r.last, err = strconv.Atoi(b); err != nil || r.last < r.first || r.last > 65535 {
			return r, false
		}
	}
	return r, true
}

// publish adds a port to the part.
func (s *service) publish(m mapping, it item) {
	protocol := strings.ToLower(cmp.Or(m.protocol, "tcp"))
	if protocol != "tcp" && protocol != "udp" {
		s.Report(importer.Protocol, it.at, it.key, "the port is %s", protocol)
		return
	}
	if s.c.Network != "" && s.c.Network != "app" {
		s.Report(importer.NoMeaning, it.at, it.key, "with network_mode nothing is published")
		return
	}
	p := manifests.Port{Container: m.container.first, Count: m.container.count(), Protocol: protocol, Host: m.host.first}
	switch {
	case m.host.first == 0:
		s.Report(importer.RandomPort, it.at, it.key, "Compose picks a free host port at each start; the port %d is not published", p.Container)
	case m.host.count() != m.container.count():
		p.Count = min(m.host.count(), m.container.count())
		s.Report(importer.RandomPort, it.at, it.key, "Compose picks one of the host ports at each start; the port %d is published as %d", p.Container, p.Host)
	}
	if p.Host == 0 && s.listens(p) {
		return
	}
	s.addPort(p, m.bind, it)
}

// listens reports whether the part has a container port already.
func (s *service) listens(p manifests.Port) bool {
	return slices.ContainsFunc(s.c.Ports, func(o manifests.Port) bool {
		return o.Container == p.Container && cmp.Or(o.Protocol, "tcp") == p.Protocol
	})
}

func (s *service) addPort(p manifests.Port, bind string, it item) {
	if p.Host != 0 {
		p.Bind = s.bindOf(p, bind, it)
	}
	if p.Count == 1 {
		p.Count = 0
	}
	if p.Protocol == "tcp" {
		p.Protocol = ""
	}
	if slices.Contains(s.c.Ports, p) {
		s.Report(importer.NoMeaning, it.at, it.key, "the port %d is published so already", p.Host)
		return
	}
	if p.Host != 0 {
		s.hostPorts = append(s.hostPorts, published{s, len(s.c.Ports), it})
	}
	s.c.Ports = append(s.c.Ports, p)
	if !s.Says(it.key) {
		s.Keep(it.at, it.key, fmt.Sprintf("%s.ports[%d]", s.path, len(s.c.Ports)-1))
	}
}

// bindOf is the address that a port is published on. Compose publishes on all of them, which a
// person has to want.
func (s *service) bindOf(p manifests.Port, bind string, it item) string {
	switch bind {
	case "127.0.0.1":
		return ""
	case "":
	default:
		if _, err := netip.ParseAddr(bind); err != nil {
			s.Report(importer.BadSourceValue, it.at, it.key, "%s is no address", diag.Quote(diag.Shorten(bind)))
			return ""
		}
		return bind
	}
	all, isForAll := s.Answer("expose")
	q := importer.Question{
		Code: importer.Exposure, Key: fmt.Sprintf("expose.%d", p.Host), HasDefault: true, Default: "loopback", Choices: []string{"loopback", "network"},
		Text: fmt.Sprintf("the port %d is published on loopback only", p.Host),
	}.From(it.at, it.key)
	if _, isForOne := s.Answer(q.Key); isForAll && !isForOne {
		q.Key, q.Text = "expose", "the ports are published on loopback or on all addresses"
	}
	if answer := s.Ask(q); answer == "network" || answer == "" && all == "network" {
		return "0.0.0.0"
	}
	return ""
}

func (s *service) expose(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		text := s.text(it.node, it.key)
		number, protocol, _ := strings.Cut(text, "/")
		r, ok := spanOf(number)
		protocol = cmp.Or(protocol, "tcp")
		switch {
		case !ok || r.first == 0:
			s.Report(importer.BadSourceValue, it.at, it.key, "%s is no port", diag.Quote(diag.Shorten(text)))
		case protocol != "tcp" && protocol != "udp":
			s.Report(importer.Protocol, it.at, it.key, "the port is %s", protocol)
		case s.listens(manifests.Port{Container: r.first, Protocol: protocol}):
		default:
			s.addPort(manifests.Port{Container: r.first, Count: r.count(), Protocol: protocol}, "", it)
		}
	}
}

// databases is ports of programs that serve no page.
var databases = []int{22, 25, 53, 389, 465, 587, 993, 1433, 1521, 1883, 2049, 2181, 3306, 5432, 5672, 6379, 8883, 9042, 9092, 11211, 27017}

// secure is ports that usually speak TLS.
var secure = []int{443, 8443, 9443}

// userInterface names the port that a person opens: the first of the main part that may serve
// pages.
func (p *project) userInterface() {
	candidates := slices.DeleteFunc(slices.Clone(p.hostPorts), func(h published) bool {
		port := h.port()
		return port.Protocol != "" || port.Count > 1 || slices.Contains(databases, port.Container)
	})
	slices.SortStableFunc(candidates, func(a, b published) int { return cmp.Compare(a.points(), b.points()) })
	if len(candidates) == 0 {
		return
	}
	best := candidates[0]
	if i := slices.IndexFunc(candidates, func(c published) bool { return p.Platform.serves(c.port().Host) }); i >= 0 {
		best = candidates[i]
	}
	choices := []string{"none"}
	for _, c := range candidates {
		choices = append(choices, strconv.Itoa(c.port().Host))
	}
	answer := p.Ask(importer.Question{
		Code: importer.UserInterface, Key: "ui", HasDefault: true, Default: strconv.Itoa(best.port().Host), Choices: choices,
		Text: fmt.Sprintf("the port %d becomes the user interface, which archgen asks for a page at the start", best.port().Host),
	}.From(best.at, best.key))
	for _, c := range candidates {
		if port := c.port(); strconv.Itoa(port.Host) == answer {
			port.Name = "web"
			p.App.UI = &manifests.UI{Port: "web", Scheme: p.schemeOf(c)}
			p.Note("app.ui", c.at)
			return
		}
	}
}

// schemeOf is the protocol of the user interface; empty for http.
func (p *project) schemeOf(h published) string {
	if !slices.Contains(secure, h.port().Container) || p.Platform.serves(h.port().Host) { // the platform says it
		return ""
	}
	scheme := p.Ask(importer.Question{
		Code: importer.UIScheme, Key: "ui.scheme", HasDefault: true, Default: "https", Choices: []string{"http", "https"},
		Text: fmt.Sprintf("the user interface on the port %d is https", h.port().Host),
	}.From(h.at, h.key))
	if scheme == "http" {
		return ""
	}
	return scheme
}

func (h published) port() *manifests.Port { return &h.on.c.Ports[h.index] }

// points is lower for a port that looks more like the user interface.
func (h published) points() (points int) {
	if h.on.part != "main" {
		points += 2
	}
	if slices.Contains(secure, h.port().Container) {
		points++
	}
	return points
}
