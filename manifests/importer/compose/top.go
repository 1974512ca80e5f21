package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// top reads the keys of the file, makes the services, and chooses the main one.
func (p *project) top() {
	services := p.tree.Get("services")
	if services == nil || services.Kind != syntax.MapNode {
		return
	}
	chosen := p.profiles()
	for _, e := range services.Entries {
		if e.Value.Kind != syntax.MapNode {
			p.Report(importer.BadSourceValue, e.At, "services."+e.Key, "the service %s must be a map, found %s", e.Key, e.Value.Describe())
			continue
		}
		node := p.extended(e.Value, p.tree, "services."+e.Key+".extends", 0)
		s := &service{project: p, name: e.Key, at: e.At, node: node, key: "services." + e.Key, c: &manifests.Container{}}
		if s.isActive(chosen) {
			p.services = append(p.services, s)
		}
	}
	if len(p.services) > 0 {
		p.nameParts()
	}
	eachKey(p, p, topKeys, p.tree, "", "app")
}

// profiles is the profiles that are imported.
func (p *project) profiles() []string {
	answer, _ := p.Answer("profiles")
	return strings.Split(answer, ",")
}

// isActive reports whether a service is started without naming a profile, or by the answer.
func (s *service) isActive(chosen []string) bool {
	n := s.node.Get("profiles")
	if n == nil || n.Kind != syntax.ListNode || len(n.Items) == 0 {
		return true
	}
	isChosen := false
	for _, item := range n.Items {
		isChosen = isChosen || slices.Contains(chosen, s.quiet(item))
	}
	text := "the service %s belongs to a profile, and is left out"
	if isChosen {
		text = "the service %s belongs to a profile that is imported"
	}
	s.Ask(importer.Question{Code: importer.Profile, Key: "profiles", Text: fmt.Sprintf(text, s.name), HasDefault: true}.From(n.At, s.key+".profiles"))
	return isChosen
}

// nameParts chooses the main service and gives each its part of the manifest.
func (p *project) nameParts() {
	main := p.chooseMain()
	taken := map[string]bool{}
	for _, s := range p.services {
		s.part, s.path = "main", "app.container"
		if s == main {
			continue
		}
		base := importer.IDOf(s.name)
		s.part = base
		for i := 2; s.part == "main" || taken[s.part]; i++ {
			s.part = fmt.Sprintf("%s-%d", base[:min(len(base), 40)], i)
		}
		taken[s.part] = true
	}
	if len(p.services) == 1 {
		return
	}
	for _, s := range p.services {
		s.path = "app.containers." + s.part
		if s.part != s.name {
			s.alias(s.name, s.at, s.key)
		}
		p.Note(s.path, s.at)
	}
}

// chooseMain is the answer, or the service with published ports on which nothing depends.
func (p *project) chooseMain() *service {
	if len(p.services) == 1 {
		return p.services[0]
	}
	names := make([]string, 0, len(p.services))
	best, most := p.services[0], -1
	for _, s := range p.services {
		names = append(names, s.name)
		if points := s.mainPoints(); points > most {
			best, most = s, points
		}
	}
	answer := p.Ask(importer.Question{
		Code: importer.MainPart, Key: "main", Text: fmt.Sprintf("the service %s becomes the part main", best.name),
		Default: best.name, HasDefault: true, Choices: names,
	}.From(best.at, best.key))
	return p.service(answer)
}

// mainPoints is how much a service looks like the one that a person means by the app.
func (s *service) mainPoints() (points int) {
	if s.name == "main" {
		points += 10
	}
	if s.Platform.isMain(s.name) {
		points += 20
	}
	if ports := s.node.Get("ports"); ports != nil && len(ports.Items) > 0 {
		points += 4
	}
	isNeeded := slices.ContainsFunc(s.services, func(other *service) bool { return other != s && slices.Contains(other.dependencies(), s.name) })
	if !isNeeded {
		points += 2
	}
	if s.name == s.App.ID {
		points++
	}
	return points
}

// dependencies is the names of the services that this one depends on.
func (s *service) dependencies() (names []string) {
	n := s.node.Get("depends_on")
	if n == nil {
		return nil
	}
	for _, item := range n.Items {
		names = append(names, s.quiet(item))
	}
	for _, e := range n.Entries {
		names = append(names, e.Key)
	}
	return names
}

// service is a service by its name, or nil.
func (p *project) service(name string) *service {
	i := slices.IndexFunc(p.services, func(s *service) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return p.services[i]
}

// topNetworks reads the networks of the file, and which of them keep services apart.
func (p *project) topNetworks(n *syntax.Node, key string) {
	p.separate()
	for _, e := range n.Entries {
		if e.Value.Kind != syntax.MapNode {
			continue
		}
		here := key + "." + e.Key
		eachKey(p, p, networkKeys, e.Value, here, "app")
		if v := e.Value.Get("internal"); v != nil {
			p.isolate(e.Key, v, here+".internal")
		}
	}
}

// separate has each service join the networks that it has in the source. Services that share
// all of them, none of which is internal, are on the app's own network instead.
func (p *project) separate() {
	sets := map[string]bool{}
	isInternal := false
	for _, s := range p.services {
		if s.node.Get("network_mode") != nil {
			continue
		}
		joined := s.joined()
		sets[strings.Join(slices.Sorted(slices.Values(joined)), " ")] = true
		isInternal = isInternal || slices.ContainsFunc(joined, p.isInternal)
	}
	if len(sets) < 2 && !isInternal {
		return
	}
	for _, s := range p.services {
		if s.node.Get("network_mode") != nil {
			continue
		}
		for _, name := range s.joined() {
			s.c.Networks = append(s.c.Networks, p.networkOf(name))
		}
		if slices.Equal(s.c.Networks, []string{manifests.OwnNetwork}) {
			s.c.Networks = nil // the default
		}
	}
}

// joined is the networks of the project that the service joins.
func (s *service) joined() []string {
	return slices.DeleteFunc(s.networkNames(), func(name string) bool {
		declared := s.tree.Get("networks").Get(name)
		return name != "default" && s.tree.Get("networks").Find(name) < 0 || declared.Get("external") != nil && s.isExternal(declared.Get("external"))
	})
}

func (p *project) isInternal(network string) bool {
	n := p.tree.Get("networks").Get(network).Get("internal")
	return n != nil && p.quiet(n) == "true"
}

// networkOf is the app's name of a network of the file.
func (p *project) networkOf(network string) string {
	if network == "default" {
		return manifests.OwnNetwork
	}
	if name, ok := p.networks[network]; ok {
		return name
	}
	base := importer.IDOf(network)
	name := base
	isTaken := func(name string) bool {
		return name == manifests.OwnNetwork || slices.Contains(slices.Collect(maps.Values(p.networks)), name)
	}
	for i := 2; isTaken(name); i++ {
		name = fmt.Sprintf("%s-%d", base[:min(len(base), 40)], i)
	}
	p.networks[network] = name
	return name
}

// isolate makes a network that services join one that leads nowhere else.
func (p *project) isolate(network string, n *syntax.Node, key string) {
	isOn := func(s *service) bool {
		return s.node.Get("network_mode") == nil && slices.Contains(s.joined(), network)
	}
	switch {
	case !p.isTrue(n, key):
		p.Report(importer.NoMeaning, n.At, key, "the network %s is not internal", network)
	case !slices.ContainsFunc(p.services, isOn):
		p.Report(importer.NoMeaning, n.At, key, "no service joins the network %s", network)
	default:
		p.App.InternalNetworks = append(p.App.InternalNetworks, p.networkOf(network))
		p.Note("app.internal_networks", n.At)
		p.Keep(n.At, key, "app.internal_networks")
	}
}

func (p *project) networkDriver(n *syntax.Node, key string) {
	if driver := p.text(n, key); driver != "bridge" && driver != "" {
		p.Report(importer.NetworkDriver, n.At, key, "the network has the driver %s; it becomes the app's bridge network", driver)
	}
}

func (p *project) networkExternal(n *syntax.Node, key string) {
	if p.isExternal(n) {
		p.Report(importer.ExternalNetwork, n.At, key, "the network belongs to another project, which the app does not reach")
	}
}

func (p *project) isExternal(n *syntax.Node) bool {
	return n.Kind == syntax.MapNode || p.quiet(n) == "true"
}
