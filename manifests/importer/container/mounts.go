package container

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// isAnonymous tells a volume that Podman named itself.
var isAnonymous = regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString

// usualOptions is the options of mounts that Podman adds.
var usualOptions = []string{"", "bind", "rbind", "rw", "private", "rprivate", "nosuid", "nodev", "exec"}

// mounts is the volumes and directories, and the memory file systems.
func (c *container) mounts() {
	for i, m := range c.Mounts {
		at := fmt.Sprintf("Mounts[%d]", i)
		switch {
		case m.Type == "volume" && isAnonymous(m.Name):
			c.anonymous(m, at+".Destination")
		case m.Type == "volume":
			c.volume(m, at+".Name")
		case m.Type == "bind":
			c.add("volumes", m.Source+":"+m.Destination+":"+options(m), c.at(at+".Source"))
		default:
			c.mountNode(m, at+".Source")
		}
	}
	for _, target := range slices.Sorted(maps.Keys(c.HostConfig.Tmpfs)) {
		kept := slices.DeleteFunc(strings.Split(c.HostConfig.Tmpfs[target], ","), isUsualOfTmpfs)
		c.add("tmpfs", strings.TrimSuffix(target+":"+strings.Join(kept, ","), ":"), c.at("HostConfig.Tmpfs."+target))
	}
}

func isUsualOfTmpfs(option string) bool {
	return slices.Contains(usualOptions, option) || slices.Contains([]string{"noexec", "tmpcopyup", "relatime"}, option)
}

// options is what was asked for of a mount.
func options(m mounted) string {
	list := []string{m.Mode}
	if !m.RW {
		list = append(list, "ro")
	}
	for _, o := range append(m.Options, m.Propagation) {
		if !slices.Contains(usualOptions, o) {
			list = append(list, o)
		}
	}
	return strings.Trim(strings.Join(list, ","), ",")
}

// volume mounts a volume that Podman has, and that the app keeps.
func (c *container) volume(m mounted, at string) {
	c.declareVolume(m.Name, at)
	if m.SubPath != "" {
		c.mountNode(m, at)
		return
	}
	c.add("volumes", m.Name+":"+m.Destination+":"+options(m), c.at(at))
}

// mountNode is a mount that only the long form of Compose says.
func (c *container) mountNode(m mounted, at string) {
	n := &syntax.Node{Kind: syntax.MapNode, At: c.at(at)}
	source := m.Source
	if m.Type == "volume" {
		source = m.Name
	}
	podmanrun.Put(n, "type", scalar(m.Type, c.at(at)))
	podmanrun.Put(n, "source", scalar(source, c.at(at)))
	podmanrun.Put(n, "target", scalar(m.Destination, c.at(at)))
	if !m.RW {
		podmanrun.Put(n, "read_only", scalar("true", c.at(at)))
	}
	if m.SubPath != "" {
		podmanrun.Put(n, "volume.subpath", scalar(strings.Trim(m.SubPath, "/"), c.at(at)))
	}
	podmanrun.Add(c.service, "volumes", n)
}

// anonymous is a volume without a name, of which a unit's container would lose the data: the app
// gets a new one with a name. archgen adopt has the data copied.
func (c *container) anonymous(m mounted, at string) {
	q := importer.Question{
		Code: importer.AnonymousVolume, Key: "mount." + m.Destination, Default: "volume", HasDefault: true, Choices: []string{"volume", "disposable"},
		Text: fmt.Sprintf("%s is in a volume without a name, and becomes a new volume", m.Destination),
	}.From(c.at(at), at)
	isDisposable := c.Answers[q.Key] == "disposable"
	if !isDisposable {
		c.add("volumes", m.Destination, c.at(at))
	}
	c.say(func(d *importer.Draft) {
		d.Ask(q)
		if isDisposable {
			c.part.Volumes = append(c.part.Volumes, manifests.Volume{Disposable: true, Target: path.Clean(m.Destination)})
		}
	})
}
