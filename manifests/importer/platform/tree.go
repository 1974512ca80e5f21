package platform

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Services is the services of a Compose tree that are maps.
func Services(tree *syntax.Node) (list []syntax.Entry) {
	services := tree.Get("services")
	if services == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(services.Entries), func(e syntax.Entry) bool { return e.Value.Kind != syntax.MapNode })
}

// Remove takes a key out of a map and returns it.
func Remove(n *syntax.Node, key string) (e syntax.Entry, found bool) {
	i := n.Find(key)
	if i < 0 {
		return e, false
	}
	e = n.Entries[i]
	n.Entries = slices.Delete(slices.Clone(n.Entries), i, i+1)
	return e, true
}

// Set gives a map a key, in place of one that it has.
func Set(n *syntax.Node, key string, at syntax.Position, value *syntax.Node) {
	Remove(n, key)
	n.Entries = append(n.Entries, syntax.Entry{Key: key, At: at, Value: value})
}

// Text is a scalar that stands at a position.
func Text(text string, at syntax.Position) *syntax.Node {
	return &syntax.Node{Kind: syntax.ScalarNode, Text: text, At: at}
}

// Map is a map of texts, key and value in turn.
func Map(at syntax.Position, pairs ...string) *syntax.Node {
	n := &syntax.Node{Kind: syntax.MapNode, At: at}
	for i := 0; i < len(pairs); i += 2 {
		n.Entries = append(n.Entries, syntax.Entry{Key: pairs[i], At: at, Value: Text(pairs[i+1], at)})
	}
	return n
}

// Append adds an item to a list of a map, which it makes if it is not there.
func Append(n *syntax.Node, key string, at syntax.Position, item *syntax.Node) {
	list := n.Get(key)
	if list == nil || list.Kind != syntax.ListNode {
		Set(n, key, at, &syntax.Node{Kind: syntax.ListNode, At: at, Items: []*syntax.Node{item}})
		return
	}
	list.Items = append(slices.Clone(list.Items), item)
}

// Publish publishes a container port of a service for the user interface, unless the service
// publishes it already. It returns the host port.
func Publish(service *syntax.Node, at syntax.Position, container, host string, expand func(string) string) string {
	if ports := service.Get("ports"); ports != nil {
		for _, item := range ports.Items {
			if have, ok := published(item, container, expand); ok {
				return have
			}
		}
	}
	Append(service, "ports", at, Map(at, "target", container, "published", host))
	return host
}

// published is the host port of an entry of `ports`, if it is for a container port.
func published(item *syntax.Node, container string, expand func(string) string) (host string, ok bool) {
	if item.Kind == syntax.MapNode {
		target, from := item.Get("target"), item.Get("published")
		if target == nil || from == nil || expand(target.Text) != container {
			return "", false
		}
		return expand(from.Text), true
	}
	words := strings.Split(expand(item.Text), ":")
	if len(words) < 2 || strings.TrimSuffix(words[len(words)-1], "/tcp") != container {
		return "", false
	}
	return words[len(words)-2], true
}

// NetworkOwner is the service whose network another one shares, or the service itself.
func NetworkOwner(tree *syntax.Node, name string) string {
	mode := tree.Get("services").Get(name).Get("network_mode")
	if mode == nil {
		return name
	}
	if owner, ok := strings.CutPrefix(mode.Text, "service:"); ok && tree.Get("services").Get(owner) != nil {
		return owner
	}
	return name
}

// Sources replaces the text of each path beside the source that a Compose tree has: the sources of
// mounts, and files of variables.
func Sources(tree *syntax.Node, replace func(string) string) {
	for _, s := range Services(tree) {
		for _, key := range []string{"volumes", "env_file"} {
			if n := s.Value.Get(key); n != nil {
				sourcesOf(n, replace)
			}
		}
	}
}

func sourcesOf(n *syntax.Node, replace func(string) string) {
	if n.Kind == syntax.ScalarNode {
		n.Text = replace(n.Text)
	}
	for _, item := range n.Items {
		for _, at := range []*syntax.Node{item, item.Get("source"), item.Get("path")} {
			if at != nil && at.Kind == syntax.ScalarNode {
				at.Text = replace(at.Text)
			}
		}
	}
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)`)

// Replace replaces the variables of a text for which there is a value.
func Replace(text string, value func(name string) (string, bool)) string {
	return variable.ReplaceAllStringFunc(text, func(whole string) string {
		if v, ok := value(strings.Trim(whole, "${}")); ok {
			return v
		}
		return whole
	})
}

// Own replaces the source of a mount that is below a directory of the app's data, for which value
// returns a text that begins with own, by a path below the directory of the source. Where the whole
// directory is mounted it is the one called data.
func Own(text, own string, value func(name string) (string, bool)) string {
	end := len(text)
	for i, open := 0, 0; i < len(text) && end == len(text); i++ {
		switch text[i] {
		case '{':
			open++
		case '}':
			open--
		case ':':
			if open == 0 {
				end = i
			}
		}
	}
	source := Replace(text[:end], value)
	if below, ok := strings.CutPrefix(source, own); ok {
		if source = "./" + path.Clean(strings.Trim(below, "/")); source == "./." {
			source = "./data"
		}
	}
	return source + text[end:]
}

// Nested has mounts of directories that are below another one of the app's data mount that one, as
// a volume, with the path in it.
func (a *App) Nested(tree *syntax.Node) {
	var dirs []string
	eachMount(tree, func(_ *syntax.Node, source string) {
		if info, err := fs.Stat(a.FS, path.Clean(source)); strings.HasPrefix(source, "./") && (err != nil || info.IsDir()) {
			dirs = append(dirs, path.Clean(source))
		}
	})
	slices.Sort(dirs) // a directory is before those below it
	eachMount(tree, func(mount *syntax.Node, source string) {
		source = path.Clean(source)
		for _, outer := range dirs {
			if below, ok := strings.CutPrefix(source, outer+"/"); ok && slices.Contains(dirs, source) {
				nest(mount, outer, below)
				return
			}
		}
	})
}

// eachMount visits the mounts of all services, with their sources.
func eachMount(tree *syntax.Node, visit func(mount *syntax.Node, source string)) {
	for _, s := range Services(tree) {
		for _, m := range s.Value.Get("volumes").List() {
			if source := m.Get("source"); source != nil {
				visit(m, source.Text)
			} else if source, _, ok := strings.Cut(m.Text, ":"); ok {
				visit(m, source)
			}
		}
	}
}

// nest makes a mount one of a path in a volume.
func nest(mount *syntax.Node, outer, below string) {
	if mount.Kind == syntax.ScalarNode {
		words := strings.Split(mount.Text, ":")
		*mount = *Map(mount.At, "type", "bind", "target", words[1])
		if slices.Contains(words[2:], "ro") {
			Set(mount, "read_only", mount.At, Text("true", mount.At))
		}
	}
	Set(mount, "source", mount.At, Text("./"+outer, mount.At))
	Set(mount, "volume", mount.At, Map(mount.At, "subpath", below))
}

// DropNetwork takes a network of the platform out of a tree.
func (a *App) DropNetwork(tree *syntax.Node, name string) {
	if networks := tree.Get("networks"); networks != nil {
		if e, ok := Remove(networks, name); ok {
			a.Report(importer.NoMeaning, e.At, "networks."+name, "%s is the network of the platform", name)
		}
		if len(networks.Entries) == 0 {
			Remove(tree, "networks")
		}
	}
	for _, s := range Services(tree) {
		networks := s.Value.Get("networks")
		if networks == nil {
			continue
		}
		Remove(networks, name)
		networks.Items = slices.DeleteFunc(slices.Clone(networks.Items), func(n *syntax.Node) bool { return n.Text == name })
		if len(networks.Entries)+len(networks.Items) == 0 {
			Remove(s.Value, "networks")
		}
	}
}
