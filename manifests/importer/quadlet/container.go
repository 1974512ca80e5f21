package quadlet

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// image reads the reference of an image, or the file that builds or pulls it.
func (u *unit) image(e entry) {
	name := u.plain(e)
	switch path.Ext(name) {
	case ".image", ".build":
		u.imageFile(name, e)
	default:
		u.put("image", name, e)
	}
}

// pulls is the words for when an image is pulled.
var pulls = map[string]string{"missing": "", "always": "always", "newer": "newer", "never": "never"}

func (u *unit) pull(e entry) {
	policy, isKnown := pulls[u.plain(e)]
	if !isKnown {
		u.report(importer.BadSourceValue, e, "%s says nothing of when to pull the image", diag.Quote(diag.Shorten(e.value)))
		return
	}
	u.set("pull", e, func(c *manifests.Container) { c.Pull = policy })
}

func (u *unit) containerName(e entry) {
	if !u.isRendered() { // else the name follows from the app
		u.put("container_name", u.plain(e), e)
	}
}

func (u *unit) addCapability(e entry) { u.add("cap_add", strings.ToUpper(u.plain(e)), e) }

func (u *unit) dropCapability(e entry) { u.add("cap_drop", strings.ToUpper(u.plain(e)), e) }

// device reads a device; a dash in front makes it optional.
func (u *unit) device(e entry) {
	text, isOptional := strings.CutPrefix(u.plain(e), "-")
	u.add("devices", text, e)
	if !isOptional {
		return
	}
	name, _, _ := strings.Cut(text, ":")
	u.say(func(*importer.Draft) {
		for i, d := range u.part.Devices {
			if d.Path == name || d.CDI == name {
				u.part.Devices[i].Optional = true
			}
		}
	})
}

func (u *unit) autoUpdate(e entry) {
	u.say(func(d *importer.Draft) {
		d.App.Update.Policy = e.value
		d.Origin("app.update.policy", e.at, e.id())
		d.Keep(e.at, e.id(), "app.update.policy")
	})
}

// entrypoint is one program, or a list as JSON.
func (u *unit) entrypoint(e entry) {
	text := u.plain(e)
	var list []string
	if json.Unmarshal([]byte(text), &list) != nil {
		list = []string{text}
	}
	u.putWords("entrypoint", list, e)
}

func (u *unit) putWords(key string, list []string, e entry) {
	n := &syntax.Node{Kind: syntax.ListNode, At: e.at}
	for _, text := range list {
		n.Items = append(n.Items, scalar(text, e.at))
	}
	podmanrun.Put(u.service, key, n)
}

func (u *unit) exec(e entry) {
	list, ok := e.words()
	if !ok {
		u.report(importer.BadSourceValue, e, "a quote is not closed")
		return
	}
	texts := make([]string, 0, len(list))
	for _, w := range list {
		texts = append(texts, u.plain(w))
	}
	u.putWords("command", texts, e)
}

// environmentFile reads a file of variables: one of the host stays there, and one beside the unit
// is read.
func (u *unit) environmentFile(e entry) {
	name := u.plain(e)
	if path.IsAbs(name) {
		u.set("env_files", e, func(c *manifests.Container) { c.EnvFiles = append(c.EnvFiles, path.Clean(name)) })
		return
	}
	u.add("env_file", name, e)
}

func (u *unit) user(e entry) {
	text := u.plain(e)
	if group := u.last("Container", "Group"); group.value != "" {
		text += ":" + u.plain(group)
	}
	u.put("user", text, e)
}

// group is read with the user. Alone it is a group of the user 0.
func (u *unit) group(e entry) {
	if u.value("Container", "User") == "" {
		u.put("user", "0:"+u.plain(e), e)
	}
}

// healthCmd reads a health check: none, a list as JSON, CMD and a program, or a line of a shell.
func (u *unit) healthCmd(e entry) {
	text := u.plain(e)
	var list []string
	program, isProgram := strings.CutPrefix(text, "CMD ")
	switch {
	case text == "none":
		u.put("healthcheck.disable", "true", e)
		return
	case json.Unmarshal([]byte(text), &list) == nil && len(list) > 0:
		if list[0] != "CMD" && list[0] != "CMD-SHELL" {
			list = append([]string{"CMD"}, list...)
		}
	case isProgram:
		list = append([]string{"CMD"}, strings.Fields(program)...)
	default:
		list = []string{"CMD-SHELL", strings.TrimPrefix(text, "CMD-SHELL ")}
	}
	u.putWords("healthcheck.test", list, e)
}

func (u *unit) healthOnFailure(e entry) {
	code, text := importer.NoMeaning, "an unhealthy container is killed, and systemd starts it again"
	if e.value == "none" || e.value == "stop" {
		code = importer.RestartCondition
	}
	u.report(code, e, "%s", text)
}

// notify says when the service counts as started; after reads it, too.
func (u *unit) notify(e entry) {
	if e.value == "healthy" || e.value == "false" {
		u.report(importer.NoMeaning, e, "the start waits for the health check in any case")
		return
	}
	u.report(importer.NoEquivalent, e, "the program does not say that it has started; its probe does")
}

func (u *unit) label(e entry) {
	name, _, _ := strings.Cut(e.value, "=")
	if strings.HasPrefix(name, "io.archipelago.") || name == "io.containers.autoupdate" {
		u.report(importer.NoMeaning, e, "archgen writes the label %s itself", name)
		return
	}
	u.add("labels", u.plain(e), e)
}

func (u *unit) labelDisable(e entry) {
	if e.value == "true" {
		u.add("security_opt", "label=disable", e)
	}
}

func (u *unit) mask(e entry) {
	for name := range strings.SplitSeq(u.plain(e), ":") {
		u.set("security.mask", e, func(c *manifests.Container) { c.Security.Mask = append(c.Security.Mask, name) })
	}
}

func (u *unit) unmask(e entry) {
	for name := range strings.SplitSeq(u.plain(e), ":") {
		u.set("security.unmask", e, func(c *manifests.Container) { c.Security.Unmask = append(c.Security.Unmask, name) })
	}
}

func (u *unit) timezone(e entry) {
	zone := u.plain(e)
	u.set("timezone", e, func(c *manifests.Container) { c.Timezone = zone })
}

// publish reads a port.
func (u *unit) publish(e entry) { u.add("ports", u.plain(e), e) }

// secret mounts a secret of Podman, or puts it into the environment. Its value is set again for
// the app.
func (u *unit) secret(e entry) {
	s := importer.ReadPodmanSecret(u.plain(e), u.ID+".")
	s.Mount.UID, s.Mount.GID = u.unlessUser(s.Mount.UID, "User"), u.unlessUser(s.Mount.GID, "Group")
	u.say(func(d *importer.Draft) { d.AddPodmanSecret(u.part.Container, u.part.Path, s, e.at, e.id()) })
}

// unlessUser is the owner of a file, unless it is the container's user, whose id the file has
// anyway.
func (u *unit) unlessUser(id *int, key string) *int {
	if id == nil || strconv.Itoa(*id) == u.value("Container", key) {
		return nil
	}
	return id
}

// modes is the networks of Podman that are none of their own names.
var modes = []string{"host", "none", "bridge", "private", "pasta", "slirp4netns", "default"}

func (u *unit) network(e entry) {
	value := u.plain(e)
	name, options, _ := strings.Cut(value, ":")
	other, isUnit := strings.CutSuffix(name, ".container")
	switch {
	case u.isCapability(name):
		u.capability(name, options, e)
	case slices.Contains(modes, name):
		if name == "private" || name == "default" {
			name = "bridge"
		}
		u.put("network_mode", name, e)
	case isUnit:
		u.put("network_mode", "service:"+u.partNamed(other), e)
	case name == "container":
		u.put("network_mode", u.sharedNetwork(options), e)
	case path.Ext(name) == ".network":
		u.join(u.networkFile(name, e), options, e)
	default:
		u.declare("networks", name, "external", e)
		u.join(name, options, e)
	}
}

// partNamed is the part of a file's stem, or the stem itself.
func (u *unit) partNamed(stem string) string {
	if other := u.unitOf(stem); other != nil {
		return other.key()
	}
	return stem
}

// sharedNetwork is the network of another container, by that container's name.
func (u *unit) sharedNetwork(container string) string {
	for _, other := range u.units {
		if containerOf(other.file) == container {
			return "service:" + other.key()
		}
	}
	return "container:" + container
}

// join makes the part join a network.
func (u *unit) join(network, options string, e entry) {
	n := child(child(u.service, "networks", e), network, e)
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch {
		case option == "":
		case key == "alias" && value == u.name:
		case key == "alias":
			podmanrun.Add(n, "aliases", scalar(value, e.at))
		case key == "ip":
			podmanrun.Put(n, "ipv4_address", scalar(value, e.at))
		case key == "ip6":
			podmanrun.Put(n, "ipv6_address", scalar(value, e.at))
		case key == "interface_name" || key == "mac":
			podmanrun.Put(n, "interface_name", scalar(value, e.at))
		default:
			u.report(importer.NetworkOption, e, "the option %s of the network is left out", diag.Quote(diag.Shorten(option)))
		}
	}
}

// child is the map of a key, which may have dots, and which is made where there is none.
func child(n *syntax.Node, key string, e entry) *syntax.Node {
	if below := n.Get(key); below != nil {
		return below
	}
	below := &syntax.Node{Kind: syntax.MapNode, At: e.at}
	n.Entries = append(n.Entries, syntax.Entry{Key: key, At: e.at, Value: below})
	return below
}

func (u *unit) networkAlias(e entry) {
	alias := u.plain(e)
	u.set("aliases", e, func(c *manifests.Container) {
		if alias != u.part.Name && !slices.Contains(c.Aliases, alias) {
			c.Aliases = append(c.Aliases, alias)
		}
	})
}

// volume reads [SOURCE:]TARGET[:OPTIONS].
func (u *unit) volume(e entry) {
	if u.isRenderedFile(e) || u.isRenderedEngine(e) {
		return
	}
	text := u.plain(e)
	source, rest, hasSource := strings.Cut(text, ":")
	switch {
	case !hasSource:
		u.set("volumes", e, func(c *manifests.Container) {
			c.Volumes = append(c.Volumes, manifests.Volume{Disposable: true, Target: path.Clean(text)})
		})
	default:
		u.add("volumes", u.volumeSource(source, e)+":"+rest, e)
	}
}

// volumeSource is what Compose calls a source of a mount.
func (u *unit) volumeSource(source string, e entry) string {
	switch {
	case path.Ext(source) == ".volume":
		return u.volumeFile(source, e)
	case source != "" && !strings.ContainsAny(source[:1], "./~"):
		u.declare("volumes", source, "external", e)
	}
	return source
}

func (u *unit) mount(e entry) { u.addMount(u.plain(e), e) }

func (u *unit) addMount(text string, e entry) {
	m := podmanrun.Mount(text, e.at)
	if source := m.Get("source"); source != nil {
		source.Text = strings.ReplaceAll(u.volumeSource(strings.ReplaceAll(source.Text, "$$", "$"), e), "$", "$$")
	}
	podmanrun.Add(u.service, "volumes", m)
}
