package container

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// declare says which networks the app has. A network with a name holds the parts together, and
// they are its only containers.
func (a *app) declare(tree *syntax.Node) {
	a.tree = tree
	for _, c := range a.containers {
		for _, name := range c.networks() {
			at := "NetworkSettings.Networks." + name
			n := &syntax.Node{Kind: syntax.MapNode, At: c.at(at)}
			if driver := a.known[name].Driver; driver != "" && driver != "bridge" {
				podmanrun.Put(n, "driver", scalar(driver, n.At))
			}
			if a.known[name].Internal {
				podmanrun.Put(n, "internal", scalar("true", n.At))
			}
			if a.child("networks", n.At).Find(name) < 0 {
				a.child("networks", n.At).Entries = append(a.child("networks", n.At).Entries, syntax.Entry{Key: name, At: n.At, Value: n})
				a.neighbours(c, at, "on the network "+name, func(l listed) bool { return slices.Contains(l.Networks, name) })
			}
		}
		if c.isOfPod(c.HostConfig.NetworkMode) {
			a.neighbours(c, "Pod", "in the pod", func(l listed) bool { return l.Pod == c.Pod })
		}
	}
}

// child is a map of the project, which is made where there is none.
func (a *app) child(key string, at syntax.Position) *syntax.Node {
	if a.tree.Get(key) == nil {
		podmanrun.Put(a.tree, key, &syntax.Node{Kind: syntax.MapNode, At: at})
	}
	return a.tree.Get(key)
}

// declareVolume says that the app keeps a volume that Podman has.
func (c *container) declareVolume(name, at string) {
	volumes := c.child("volumes", c.at(at))
	if volumes.Find(name) < 0 {
		external := &syntax.Node{Kind: syntax.MapNode, At: c.at(at)}
		podmanrun.Put(external, "external", scalar("true", c.at(at)))
		volumes.Entries = append(volumes.Entries, syntax.Entry{Key: name, At: c.at(at), Value: external})
	}
}

// neighbours reports containers that these reach, and that were not named.
func (a *app) neighbours(c *container, at, where string, isThere func(listed) bool) {
	var names []string
	for _, l := range a.all {
		if isThere(l) && !l.IsInfra && a.find(l.ID) == nil {
			names = append(names, l.Names...)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		c.report(importer.ForeignContainer, at, "the app does not reach %s, which is %s, too; name all containers that belong together in one command", strings.Join(slices.Compact(names), ", "), where)
	}
}

// shared is the container whose network namespace this one has, and its id; nil if it is unknown.
func (c *container) shared() (other *container, id string) {
	id, isShared := strings.CutPrefix(c.HostConfig.NetworkMode, "container:")
	if !isShared {
		return nil, ""
	}
	for _, o := range slices.Concat(c.containers, c.others) {
		if o.ID == id {
			return o, id
		}
	}
	return nil, id
}

// isOfPod reports whether a namespace is that of the container's pod.
func (c *container) isOfPod(mode string) bool {
	id, isShared := strings.CutPrefix(mode, "container:")
	return isShared && slices.ContainsFunc(c.others, func(o *container) bool { return o.ID == id && o.IsInfra })
}

// podOwner is the part that has the network of a pod: the first that was named.
func (c *container) podOwner() *container {
	return c.containers[slices.IndexFunc(c.containers, func(o *container) bool { return o.Pod == c.Pod })]
}

// namespaces is the network that the container has: its own, or that of another container. It is
// also what it starts after.
func (c *container) namespaces() {
	at := c.at("HostConfig.NetworkMode")
	switch other, id := c.shared(); {
	case other != nil && other.IsInfra && slices.Contains([]string{"host", "none"}, other.HostConfig.NetworkMode):
		c.put("network_mode", other.HostConfig.NetworkMode, at)
	case other == nil && id == "":
		c.joins()
	case other == nil:
		c.put("network_mode", "container:"+id[:min(len(id), 12)], at)
	case other.IsInfra && c.podOwner() == c:
		c.joins()
	case other.IsInfra:
		c.put("network_mode", "service:"+c.podOwner().name, at)
	case c.find(id) != nil:
		c.put("network_mode", "service:"+other.name, at)
	default:
		c.put("network_mode", "container:"+other.Name, at)
	}
	c.dependencies()
}

// joins has the part join the networks of the container, with the names that it has there.
func (c *container) joins() {
	mode, _, _ := strings.Cut(c.HostConfig.NetworkMode, ":")
	if mode == "host" || mode == "none" || mode == "ns" {
		c.put("network_mode", c.HostConfig.NetworkMode, c.at("HostConfig.NetworkMode"))
		return
	}
	isInternal := slices.ContainsFunc(c.networks(), func(name string) bool { return c.known[name].Internal })
	if c.isOne() && !isInternal {
		return // it is alone on the app's own network
	}
	for _, name := range c.networks() {
		at := c.at("NetworkSettings.Networks." + name)
		joined := &syntax.Node{Kind: syntax.MapNode, At: at}
		for _, alias := range c.NetworkSettings.Networks[name].Aliases {
			if !strings.HasPrefix(c.ID, alias) && alias != c.name && alias != c.Name {
				podmanrun.Add(joined, "aliases", scalar(alias, at))
			}
		}
		if c.service.Get("networks") == nil {
			podmanrun.Put(c.service, "networks", &syntax.Node{Kind: syntax.MapNode, At: at})
		}
		networks := c.service.Get("networks")
		networks.Entries = append(networks.Entries, syntax.Entry{Key: name, At: at, Value: joined})
	}
}

// dependsLabel is the label by which Docker Compose says what a service starts after:
// SERVICE:CONDITION:RESTART,…
const dependsLabel = "com.docker.compose.depends_on"

// dependencies is what the container starts after.
func (c *container) dependencies() {
	depends := &syntax.Node{Kind: syntax.MapNode, At: c.at("Dependencies")}
	add := func(other *container, condition string, at syntax.Position) {
		if other == nil || other == c || depends.Find(other.name) >= 0 {
			return
		}
		n := &syntax.Node{Kind: syntax.MapNode, At: at}
		podmanrun.Put(n, "condition", scalar(cmp.Or(condition, "service_started"), at))
		depends.Entries = append(depends.Entries, syntax.Entry{Key: other.name, At: at, Value: n})
	}
	for d := range strings.SplitSeq(c.Config.Labels[dependsLabel], ",") {
		service, rest, _ := strings.Cut(d, ":")
		condition, _, _ := strings.Cut(rest, ":")
		add(c.ofService(service), condition, c.at("Config.Labels."+dependsLabel))
	}
	for i, id := range c.Dependencies {
		add(c.find(id), "", c.at(fmt.Sprintf("Dependencies[%d]", i)))
	}
	if len(depends.Entries) > 0 {
		podmanrun.Put(c.service, "depends_on", depends)
	}
}

// ofService is the container of a service of Compose, or nil.
func (a *app) ofService(name string) *container {
	i := slices.IndexFunc(a.containers, func(c *container) bool { return c.composeLabel("service") == name })
	if i < 0 || name == "" {
		return nil
	}
	return a.containers[i]
}

// published is a range of ports that the host has.
type published struct {
	host, container, count int
	protocol, address      string
	at                     syntax.Position
}

// ports is the published ports: Podman prints each alone, also those of a range. Those of a pod are
// its infrastructure container's.
func (c *container) ports() {
	from := c
	if other, _ := c.shared(); other != nil && other.IsInfra && c.podOwner() == c {
		from = other
	}
	var list []published
	for _, key := range slices.Sorted(maps.Keys(from.HostConfig.PortBindings)) {
		number, protocol, _ := strings.Cut(key, "/")
		container, _ := strconv.Atoi(number) // Podman prints numbers
		for i, b := range from.HostConfig.PortBindings[key] {
			host, _ := strconv.Atoi(b.HostPort)
			list = append(list, published{host, container, 1, protocol, b.HostIP, from.at(fmt.Sprintf("HostConfig.PortBindings.%s[%d].HostPort", key, i))})
		}
	}
	slices.SortStableFunc(list, func(a, b published) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.address, b.address), cmp.Compare(a.container, b.container))
	})
	for i := 0; i < len(list); {
		p := list[i]
		for i++; i < len(list) && p.continues(list[i]); i++ {
			p.count++
		}
		c.add("ports", p.String(), p.at)
	}
}

// continues reports whether a port is the next one of a range.
func (p published) continues(next published) bool {
	return next.protocol == p.protocol && next.address == p.address && next.container == p.container+p.count && next.host == p.host+p.count
}

// String is the ports as Compose has them.
func (p published) String() string {
	span := func(first int) string {
		if p.count == 1 {
			return strconv.Itoa(first)
		}
		return fmt.Sprintf("%d-%d", first, first+p.count-1)
	}
	text := span(p.host) + ":" + span(p.container) + "/" + p.protocol
	if p.address != "" && p.address != "0.0.0.0" {
		return strings.TrimSuffix(net.JoinHostPort(p.address, ""), ":") + ":" + text
	}
	return text
}
