package generator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

// unit writes the description of the part, its order, and its limit of starts.
func (c *container) unit() {
	c.begin("Unit")
	description := c.app.Document.App.Name
	if c.part.Name != "main" {
		description += " (" + c.part.Name + ")"
	}
	c.put(origin{base: "app", field: "name", index: -1}, "Description", description)
	c.partOrder()
	c.mountsOfHost()
	c.blocks()
	c.engine()
	c.companions()
	for _, p := range c.providers() {
		c.orderAfter(p.origin, p.app, p.part, p.until)
	}
	if limit := c.part.Restart.Limit; limit != nil {
		c.put(c.at("restart.limit.interval"), "StartLimitIntervalSec", limit.Interval.String())
		c.put(c.at("restart.limit.burst"), "StartLimitBurst", strconv.Itoa(limit.Burst))
	} else {
		// The growing delay bounds the cost of a crash loop. With a limit, five quick
		// failures would leave the app down until an operator starts it.
		c.put(c.at("restart"), "StartLimitIntervalSec", "0")
	}
	c.raw("Unit")
}

// mountsOfHost starts the part after the file systems are mounted that hold its host paths.
// Quadlet does that for Volume=, but before Podman 5.8 systemd takes a path with a space for two.
func (c *container) mountsOfHost() {
	for i := range c.part.Volumes {
		v := &c.part.Volumes[i]
		if !c.r.set.Mounts(c.app, v) {
			continue
		}
		if source := c.source(v); strings.Contains(source, " ") {
			c.put(c.at("volumes").at(i), "RequiresMountsFor", `"`+source+`"`)
		}
	}
}

// blocks keeps the part from starting while archgen copies or restores the data of a volume that it mounts.
// systemd itself looks, so that this holds at a boot, for a start that another unit pulls in, and without
// archgen.
func (c *container) blocks() {
	var done []string
	for i := range c.part.Volumes {
		v := &c.part.Volumes[i]
		if v.Name == "" || !c.r.set.Mounts(c.app, v) {
			continue
		}
		source, isOurs := c.volumeSource(cmp.Or(v.App, c.app.ID()), v.Name)
		if isOurs && !slices.Contains(done, source) {
			done = append(done, source)
			unless(c.writer, "AssertPathExists", c.target.Places.Volumes, source+"/"+units.VolumeBlock)
		}
	}
}

// engine starts the part after systemd listens on the socket that it mounts. After a restart the
// socket is another file, so that restarts the part, too (Requires=).
func (c *container) engine() {
	if e, ok := units.Engines[c.part.Engine]; ok {
		c.put(c.at("engine"), "Requires", e.Unit)
		c.put(c.at("engine"), "After", e.Unit)
	}
}

// companions ties the companions to the app: it starts them, and a requested stop or restart
// of the app stops or restarts them, too.
func (c *container) companions() {
	if c.part.Name != "main" {
		return
	}
	for _, h := range c.r.hosts {
		switch c.app {
		case h.app:
			c.put(origin{base: "app", field: "companions", index: -1}, "Wants", serviceName(h.companion.ID(), "main"))
		case h.companion:
			c.put(origin{base: "app", field: "id", index: -1}, "PartOf", serviceName(h.app.ID(), "main"))
		}
	}
}

// provider is a part of another app, what it has to have reached, and the requirement
// that asks most of it.
type provider struct {
	app    *manifests.Resolved
	part   string
	until  string
	origin origin
}

// providers is the units that meet the requirements of the part, each once,
// however much it provides.
func (c *container) providers() []provider {
	var list []provider
	for _, n := range c.app.Needs {
		if n.Provider == nil || n.Provider == c.app || !slices.Contains(n.Parts, c.part.Name) {
			continue
		}
		p := provider{n.Provider, n.Part, n.Until, origin{base: "app", field: "requires", index: n.Index}}
		i := slices.IndexFunc(list, func(o provider) bool { return o.app == p.app && o.part == p.part })
		switch {
		case i < 0:
			list = append(list, p)
		case list[i].until == "started":
			list[i] = p
		}
	}
	return list
}

// orderAndPull orders this unit after another one and pulls that one in, unless the other one
// pulls this one in. When a unit enters auto-restart, systemd starts what it wants at once
// (systemd 257); if that wanted the unit, it would start the unit without its delay, in a
// loop.
func (c *container) orderAndPull(o origin, pull, service string) {
	if !c.pulledBy(service) {
		c.put(o, pull, service)
	}
	c.put(o, "After", service)
}

// orderAfter starts this part after another one has reached a level. systemd waits for the end
// of a start, which is when a part serves. If the part only has to run, archgen waits for it.
func (c *container) orderAfter(o origin, app *manifests.Resolved, part, until string) {
	service := serviceName(app.ID(), part)
	if until != "started" || !startMeansServing(app, part) {
		c.orderAndPull(o, "Wants", service)
		return
	}
	if !c.pulledBy(service) {
		c.put(o, "Wants", service)
	}
	c.awaited = append(c.awaited, awaited{o, manifests.ContainerName(app.ID(), part)})
}

// startMeansServing reports whether a part's start ends later than its container runs.
func startMeansServing(app *manifests.Resolved, part string) bool {
	i := slices.IndexFunc(app.Parts, func(p manifests.Part) bool { return p.Name == part })
	other := container{part: &app.Parts[i]}
	return !other.part.Oneshot && (other.checkedInside() != nil || other.checkedFromHost())
}

// pulledBy reports whether another unit starts this one: the main part starts
// its app's others, and an app its companions.
func (c *container) pulledBy(service string) bool {
	if c.part.Name != "main" && service == serviceName(c.app.ID(), "main") {
		return true
	}
	return slices.ContainsFunc(c.r.hosts, func(h host) bool {
		return h.companion == c.app && service == serviceName(h.app.ID(), "main")
	})
}

// partOrder ties the parts together: starting main starts them all, and a requested stop or
// restart of main stops or restarts them, too. restartMode covers a main that ends by itself.
func (c *container) partOrder() {
	id := c.app.ID()
	if c.part.Name == "main" {
		for _, other := range c.app.Parts[1:] {
			if c.follows(other.Name) {
				continue // written below
			}
			c.put(origin{base: other.Path, index: -1}, "Wants", serviceName(id, other.Name))
		}
	} else {
		c.put(c.at(""), "PartOf", serviceName(id, "main"))
	}
	for i, a := range c.part.After {
		if a.Until == "completed" {
			// What a failed preparation was for must not start.
			c.orderAndPull(c.at("after").at(i), "Requires", serviceName(id, a.Part))
			continue
		}
		c.orderAfter(c.at("after").at(i), c.app, a.Part, a.Until)
	}
	if other, ok := strings.CutPrefix(c.part.Network, "part:"); ok {
		c.orderAndPull(c.at("network"), "Wants", serviceName(id, other))
		c.put(c.at("network"), "PartOf", serviceName(id, other))
	}
}

// follows reports whether this part starts after another of the same app.
func (c *container) follows(part string) bool {
	return c.part.Network == "part:"+part ||
		slices.ContainsFunc(c.part.After, func(a manifests.After) bool { return a.Part == part })
}

// restartMode keeps systemd's own restart of the unit to the unit. In the mode normal,
// that restarts what is PartOf= it as well (measured on systemd 257): each crash of a
// page would restart its database, and use up the database's start limit.
func (c *container) restartMode() {
	if c.part.Restart.Policy != "no" && c.hasFollowers() {
		c.put(c.at("restart.policy"), "RestartMode", "direct")
	}
}

// hasFollowers reports whether another unit is PartOf= this one.
func (c *container) hasFollowers() bool {
	isMain := c.part.Name == "main"
	isHost := slices.ContainsFunc(c.r.hosts, func(h host) bool { return h.app == c.app })
	return isMain && (len(c.app.Parts) > 1 || isHost) || c.lendsNetwork()
}

// lendsNetwork reports whether another part shares the network of this one.
func (c *container) lendsNetwork() bool {
	return slices.ContainsFunc(c.app.Parts, c.lendsTo)
}

func (c *container) lendsTo(p manifests.Part) bool { return p.Network == "part:"+c.part.Name }

// takeBackNetwork removes the containers that share the network of one that has exited: they
// have lost the network, and Podman starts no new container while they exist. Their own
// Restart= starts them again, after this part. One with on-failure must be killed for that:
// on a signal it may exit cleanly.
func (c *container) takeBackNetwork() {
	if !c.lendsNetwork() {
		return
	}
	remove := []string{"-/usr/bin/podman", "rm", "--force", "--ignore", "--depend"}
	if slices.ContainsFunc(c.app.Parts, func(p manifests.Part) bool { return c.lendsTo(p) && p.Restart.Policy == "on-failure" }) {
		remove = append(remove, "--time=0")
	}
	c.exec(c.at("network"), "ExecStartPre", append(remove, c.name)...)
}
