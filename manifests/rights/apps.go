package rights

import (
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func listen(c *collector, at string, p *manifests.Port) {
	address, err := netip.ParseAddr(strings.Trim(p.Bind, "[]"))
	if p.Host == 0 || err == nil && address.IsLoopback() {
		return
	}
	ports := strconv.Itoa(p.Host)
	if p.Count > 1 {
		ports += "-" + strconv.Itoa(p.Host+p.Count-1)
	}
	ports += "/" + p.Protocol
	bind, from := p.Bind, "from other machines"
	if address.Is6() {
		bind = "[" + address.String() + "]"
	}
	if !address.IsUnspecified() {
		from = "at " + p.Bind
	}
	c.add(Listen, bind+":"+ports, Medium, at, "accept connections %s on port %s", from, ports)
}

func onion(c *collector, at string, o *manifests.Onion) {
	c.add(Onion, o.Port, Medium, at, "be reached at its port %s from the Tor network, and by all apps that provide or require tor", o.Port)
}

// foreignVolume reports a volume that another app lists as its own.
func foreignVolume(c *collector, at string, v *manifests.Volume) {
	name := path.Join(v.App+"."+v.Name, v.Subpath)
	files := "all files in the volume " + v.Name
	if v.Subpath != "" {
		files = "what is at " + v.Subpath + " in the volume " + v.Name
	}
	switch {
	case v.App == c.app.ID():
	case writes(v):
		c.add(VolumeWrite, name, High, at, "read and change %s of %s", files, v.App)
	default:
		c.add(VolumeRead, name, Medium, at, "read %s of %s", files, v.App)
	}
}

// existing reports the volume or directory that replaces the app's own volume. Volumes of
// apps are called ID.NAME.
func existing(c *collector, at string, o *manifests.VolumeOptions) {
	if strings.HasPrefix(o.Existing, "/") {
		c.hostPath(at, o.Existing, true)
		return
	}
	if owner, _, _ := strings.Cut(o.Existing, "."); owner != c.app.ID() {
		c.add(VolumeWrite, o.Existing, High, at, "read and change all files in the volume %s, which is not its own", o.Existing)
	}
}

func companions(c *collector, at string, a *manifests.App) {
	for i, id := range a.Companions {
		if id != a.ID {
			c.add(Control, id, Low, index(at, i), "start, stop and restart %s together with itself, where %s says so too", id, id)
		}
	}
}

func conflicts(c *collector, at string, a *manifests.App) {
	for i, id := range a.Conflicts {
		c.add(Exclude, id, Low, index(at, i), "keep %s from being installed", id)
	}
}

func require(c *collector, at string, r *manifests.Require) {
	c.add(Use, r.Capability, Medium, at, "share a network with all apps that provide or require %s, and read the secrets that the provider exports", r.Capability)
}

func provide(c *collector, at string, p *manifests.Provide) {
	c.add(Provide, p.Capability, Low, at, "serve the apps that require %s", p.Capability)
}

func shared(c *collector, at string, p *manifests.Provide) {
	c.add(Replace, p.Capability, Medium, at, "serve the apps that require %s in place of another app that shares it", p.Capability)
}

// hostname reports a name that the part answers to on the networks of the capabilities that
// it uses. Names that others rely on there are refused when manifests are resolved.
func hostname(c *collector, at string, p *manifests.Container) {
	if len(c.part.Uses) > 0 && p.Hostname != c.app.ID() {
		c.add(Answer, p.Hostname, Medium, at, "answer to the name %s on the networks of %s", p.Hostname, strings.Join(c.part.Uses, ", "))
	}
}

func updatePolicy(c *collector, at string, u *manifests.Update) {
	if u.Policy == "registry" || u.Policy == "local" {
		c.autoUpdate(at)
	}
}

// pull reports an image that can be another at each start: one that is pinned
// can't.
func pull(c *collector, at string, p *manifests.Container) {
	if (p.Pull == "always" || p.Pull == "newer") && !strings.Contains(p.Image, "@") {
		c.autoUpdate(at)
	}
}

func (c *collector) autoUpdate(at string) {
	c.add(AutoUpdate, "", Medium, at, "get a new image without a new manifest")
}
