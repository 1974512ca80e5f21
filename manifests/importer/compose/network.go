package compose

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// alias gives the part a further name on the app's network.
func (s *service) alias(name string, at syntax.Position, key string) {
	if name == s.part || name == "" || slices.Contains(s.c.Aliases, name) {
		return
	}
	if !fitsAlias(name) {
		s.Report(importer.HostName, at, key, "the name %s is left out: other parts can't reach the part by it", diag.Quote(diag.Shorten(name)))
		return
	}
	s.c.Aliases = append(s.c.Aliases, name)
}

func (s *service) hostname(n *syntax.Node, key string) {
	name := s.text(n, key)
	if !fitsHostname(name) {
		if !s.isUnset(n) {
			s.Report(importer.HostName, n.At, key, "the host name %s is left out", diag.Quote(diag.Shorten(name)))
		}
		return
	}
	s.c.Hostname = name
}

// containerName is a name by which other services reach the container.
func (s *service) containerName(n *syntax.Node, key string) {
	if len(s.services) == 1 {
		s.Report(importer.NoMeaning, n.At, key, "the container is called %s", s.App.ID)
		return
	}
	s.alias(s.text(n, key), n.At, key)
}

// networkMode reads the network of the container. Podman gives it none of its own names there.
func (s *service) networkMode(n *syntax.Node, key string) {
	mode := s.text(n, key)
	kind, other, _ := strings.Cut(mode, ":")
	switch kind {
	case "host", "none":
		s.c.Network = mode
		if kind == "host" {
			s.privilege("network."+s.name, s.name+" is on the network of the host", item{at: n.At, key: key})
		}
	case "bridge", "default", "pasta", "slirp4netns", "":
	case "service":
		target := s.service(other)
		if target == nil || target == s {
			s.Report(importer.ForeignContainer, n.At, key, "there is no service %s whose network is shared", other)
			return
		}
		s.c.Network = "part:" + target.part
	case "container":
		s.Report(importer.ForeignContainer, n.At, key, "the network of the container %s is not that of the app", other)
	default:
		s.Report(importer.ExternalNetwork, n.At, key, "the network %s belongs to another project", mode)
	}
}

// networkNames is the networks that the service joins.
func (s *service) networkNames() (names []string) {
	n := s.node.Get("networks")
	if n == nil || n.Kind == syntax.NullNode {
		return []string{"default"}
	}
	for _, item := range n.Items {
		names = append(names, s.quiet(item))
	}
	for _, e := range n.Entries {
		names = append(names, e.Key)
	}
	return names
}

func (s *service) networks(n *syntax.Node, key string) {
	declared := s.tree.Get("networks")
	for _, name := range s.networkNames() {
		if name != "default" && declared.Find(name) < 0 {
			s.Report(importer.ExternalNetwork, n.At, key, "the network %s is declared in no file of the project", name)
		}
	}
	for _, e := range n.Entries {
		if e.Value.Kind == syntax.MapNode {
			eachKey(s.project, s, joinKeys, e.Value, key+"."+e.Key, s.path)
		}
	}
}

func (s *service) networkAliases(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		s.alias(s.text(it.node, it.key), it.at, it.key)
	}
}

// links are services under other names, which start before.
func (s *service) links(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		name, alias, hasAlias := strings.Cut(s.text(it.node, it.key), ":")
		target := s.service(name)
		if target == nil {
			s.Report(importer.BadSourceValue, it.at, it.key, "there is no service %s to link", name)
			continue
		}
		if hasAlias {
			target.alias(alias, it.at, it.key)
		}
		s.waits = append(s.waits, wait{on: target, until: "started", item: it})
	}
}

func (s *service) extraHosts(n *syntax.Node, key string) {
	for _, h := range s.pairs(n, key, "=:") {
		for _, value := range oneOrMore(h.node) {
			address := strings.Trim(s.text(value, h.key), "[]")
			if address == importer.Reference(importer.MachineAddressVariable) {
				address = "host-gateway" // which is the machine, as the container reaches it
			}
			if !fitsHostname(h.name) || !fitsAddress(address) {
				s.Report(importer.HostName, h.at, h.key, "the host %s with the address %s is left out", diag.Quote(diag.Shorten(h.name)), diag.Quote(diag.Shorten(address)))
				continue
			}
			if s.c.Hosts == nil {
				s.c.Hosts = map[string]string{}
			}
			s.c.Hosts[h.name] = address
		}
	}
}

func (s *service) dns(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		address := s.text(it.node, it.key)
		if _, err := netip.ParseAddr(address); err != nil {
			s.Report(importer.BadSourceValue, it.at, it.key, "%s is no address", diag.Quote(diag.Shorten(address)))
			continue
		}
		s.c.DNS = append(s.c.DNS, address)
	}
}

// wait is that a service starts after another one.
type wait struct {
	item
	on    *service
	until string
}

// conditions is what a service waits for, as a manifest says it.
var conditions = map[string]string{
	"": "started", "service_started": "started", "service_healthy": "serving", "service_completed_successfully": "completed",
}

func (s *service) dependsOn(n *syntax.Node, key string) {
	for _, d := range s.pairs(n, key, "\x00") {
		condition := ""
		for _, e := range d.node.Entries {
			switch here := d.key + "." + e.Key; e.Key {
			case "condition":
				condition = s.text(e.Value, here)
			case "required": // what is not imported is not waited for
			case "restart":
				if s.isTrue(e.Value, here) {
					s.Report(importer.DependsOption, e.At, here, "the part does not restart with %s", d.name)
				}
			default:
				s.Report(importer.UnknownKey, e.At, here, "Compose has no key %s here", e.Key)
			}
		}
		until, known := conditions[condition]
		target := s.service(d.name)
		switch {
		case !known:
			s.Report(importer.BadSourceValue, d.at, d.key, "%s is no condition", diag.Quote(diag.Shorten(condition)))
		case target == nil && s.tree.Get("services").Get(d.name) != nil: // its profile is not imported
		case target == nil || target == s:
			s.Report(importer.BadSourceValue, d.at, d.key, "there is no service %s to depend on", d.name)
		default:
			s.waits = append(s.waits, wait{item: d.item, on: target, until: until})
		}
	}
}

// relate writes what parts say of each other, once all of them are read.
func (p *project) relate() {
	for _, s := range p.services {
		for _, w := range s.waits {
			if w.until == "completed" {
				w.on.finishes()
			}
		}
	}
	for _, s := range p.services {
		for _, w := range s.waits {
			s.after(w)
		}
		if s.c.Network != "" && s.c.Network != "app" {
			s.c.Aliases = nil
		}
	}
}

// finishes makes a service one whose work ends.
func (s *service) finishes() {
	s.c.Oneshot = true
	s.Note(s.path+".oneshot", s.at)
	s.c.Health = manifests.Health{}
	if s.c.Restart.Policy == "" || s.c.Restart.Policy == "no" {
		s.c.Restart.Policy = "" // the default of a container whose work ends
	}
}

func (s *service) after(w wait) {
	until := w.until
	switch {
	case w.on.c.Oneshot:
		until = "completed"
	case until == "serving":
		until = "" // the default
	}
	isKnown := func(a manifests.After) bool { return a.Part == w.on.part }
	if i := slices.IndexFunc(s.c.After, isKnown); i >= 0 {
		if until != "started" {
			s.c.After[i].Until = until
		}
		return
	}
	s.c.After = append(s.c.After, manifests.After{Part: w.on.part, Until: until})
}
