package compose

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// maxFiles is more files than a project has that include or extend each other.
const maxFiles = 50

// load reads a Compose file with what it includes, and the override beside it.
func (p *project) load(name string, loading map[string]bool) *syntax.Node {
	tree := p.readTree(name)
	if tree == nil {
		return nil
	}
	if override := p.overrideOf(name); override != "" && len(loading) == 0 {
		if over := p.readTree(override); over != nil {
			tree = merged(tree, over, "")
		}
	}
	loading[name] = true
	for _, file := range p.includes(tree) {
		if loading[file.Text] || len(loading) > maxFiles {
			p.Report(importer.BadSource, file.At, "include", "%s is included already", file.Text)
			continue
		}
		if included := p.load(file.Text, loading); included != nil {
			tree = merged(included, tree, "")
		}
	}
	return tree
}

// readTree reads one YAML file with its anchors and merge keys.
func (p *project) readTree(name string) *syntax.Node {
	data, err := fs.ReadFile(p.fsys, name)
	if err != nil {
		p.Report(importer.MissingFile, syntax.Position{File: name}, "", "%s can't be read: %v", name, manifests.CauseOf(err))
		return nil
	}
	p.Sources[name] = data
	r := &syntax.Reader{File: name, FollowAliases: true}
	if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
		r.File = name + ".yaml" // Compose reads YAML whatever the file is called
		p.Sources[r.File] = data
	}
	tree := r.Read(data)
	p.Unreadable(r.Diags)
	if r.Diags.HasErrors() {
		return nil
	}
	if tree.Kind != syntax.MapNode {
		p.Report(importer.BadSource, tree.At, "", "a Compose file is a map with services")
		return nil
	}
	return tree
}

// overrideOf is the file that Compose merges over another without being asked to.
func (p *project) overrideOf(name string) string {
	if p.File != "" {
		return "" // with an explicit file Compose reads no other
	}
	ext := path.Ext(name)
	for _, ext := range []string{ext, ".yml", ".yaml"} {
		override := strings.TrimSuffix(name, path.Ext(name)) + ".override" + ext
		if _, err := fs.Stat(p.fsys, override); err == nil {
			return override
		}
	}
	return ""
}

// includes is the files that a tree includes, as scalars with a position.
func (p *project) includes(tree *syntax.Node) (files []*syntax.Node) {
	n := tree.Get("include")
	if n == nil {
		return nil
	}
	for i, item := range n.Items {
		key := fmt.Sprintf("include[%d]", i)
		paths := []*syntax.Node{item}
		if item.Kind == syntax.MapNode {
			paths = nil
			if at := item.Get("path"); at != nil {
				paths = oneOrMore(at)
			}
		}
		for _, at := range paths {
			name, ok := inside(p.text(at, key))
			if !ok {
				p.Report(importer.OutsideDirectory, at.At, key, "the included file %s is outside of the directory", name)
				continue
			}
			files = append(files, &syntax.Node{Kind: syntax.ScalarNode, Text: name, At: at.At})
		}
	}
	return files
}

// oneOrMore is the items of a list, or the value itself.
func oneOrMore(n *syntax.Node) []*syntax.Node {
	switch n.Kind {
	case syntax.ListNode:
		return n.Items
	case syntax.NullNode, syntax.BrokenNode:
		return nil
	default:
		return []*syntax.Node{n}
	}
}

// extended is a service merged over the one that it extends.
func (p *project) extended(n *syntax.Node, tree *syntax.Node, key string, depth int) *syntax.Node {
	ext := n.Get("extends")
	if ext == nil {
		return n
	}
	name, file := ext, (*syntax.Node)(nil)
	if ext.Kind == syntax.MapNode {
		name, file = ext.Get("service"), ext.Get("file")
	}
	if name == nil || depth > maxFiles {
		p.Report(importer.BadSourceValue, ext.At, key, "extends needs a service, and services must not extend each other in a circle")
		return n
	}
	if file != nil {
		at, ok := inside(p.text(file, key))
		if !ok {
			p.Report(importer.OutsideDirectory, file.At, key, "the file %s is outside of the directory", at)
			return n
		}
		if tree = p.readTree(at); tree == nil {
			return n
		}
	}
	base := tree.Get("services").Get(p.text(name, key))
	if base == nil || base.Kind != syntax.MapNode {
		p.Report(importer.BadSourceValue, ext.At, key, "there is no service %s to extend", name.Text)
		return n
	}
	return merged(p.extended(base, tree, key, depth+1), n, "services.x")
}

// replaced is the keys whose lists an override replaces instead of appending to them.
var replaced = map[string]bool{"command": true, "entrypoint": true, "test": true}

// keyed is the keys that are a map or a list of NAME=value.
var keyed = map[string]string{
	"environment": "=", "labels": "=", "annotations": "=", "sysctls": "=", "args": "=", "extra_hosts": ":", "depends_on": "", "networks": "",
}

// merged is a tree with another one merged into it, as Compose does for overrides, extends and
// includes.
func merged(base, over *syntax.Node, key string) *syntax.Node {
	if sep, isKeyed := keyed[key]; isKeyed {
		base, over = asMap(base, sep), asMap(over, sep)
	}
	switch {
	case over.Kind == syntax.NullNode:
		return base
	case base.Kind == syntax.MapNode && over.Kind == syntax.MapNode:
		return mergedMap(base, over)
	case base.Kind == syntax.ListNode && over.Kind == syntax.ListNode && !replaced[key]:
		return mergedList(base, over, key)
	}
	return over
}

func mergedMap(base, over *syntax.Node) *syntax.Node {
	n := *base
	n.Entries = append([]syntax.Entry(nil), base.Entries...)
	for _, e := range over.Entries {
		if i := n.Find(e.Key); i >= 0 {
			e.Value = merged(n.Entries[i].Value, e.Value, e.Key)
			n.Entries[i] = e
			continue
		}
		n.Entries = append(n.Entries, e)
	}
	return &n
}

// mergedList appends, except that a mount replaces one with the same target.
func mergedList(base, over *syntax.Node, key string) *syntax.Node {
	n := *base
	n.Items = nil
	seen := map[string]bool{}
	for _, item := range over.Items {
		seen[identity(item, key)] = true
	}
	for _, item := range base.Items {
		if !seen[identity(item, key)] {
			n.Items = append(n.Items, item)
		}
	}
	n.Items = append(n.Items, over.Items...)
	return &n
}

// identity is by what a list item is replaced: a mount by its target, anything else by itself.
func identity(n *syntax.Node, key string) string {
	if key != "volumes" {
		return n.Text
	}
	if target := n.Get("target"); target != nil {
		return target.Text
	}
	parts := strings.Split(n.Text, ":")
	return parts[min(1, len(parts)-1)]
}

// asMap turns a list of NAME=value into a map.
func asMap(n *syntax.Node, sep string) *syntax.Node {
	if n.Kind != syntax.ListNode {
		return n
	}
	m := &syntax.Node{Kind: syntax.MapNode, At: n.At}
	for _, item := range n.Items {
		name, value, hasValue := item.Text, "", false
		if sep != "" {
			name, value, hasValue = strings.Cut(item.Text, sep)
		}
		v := &syntax.Node{Kind: syntax.NullNode, At: item.At}
		if hasValue {
			v.Kind, v.Text = syntax.ScalarNode, value
		}
		if i := m.Find(name); i >= 0 {
			m.Entries[i].Value = v
			continue
		}
		m.Entries = append(m.Entries, syntax.Entry{Key: name, At: item.At, Value: v})
	}
	return m
}
