package manifests

import (
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// overlay lays the tree of an overlay over that of a manifest: maps are merged
// by key, other values replaced, null takes a value away, and a list under
// `key+` is appended. Values keep the file that they came from.
func (r *reader) overlay(base, over *node, path string) *node {
	if base == nil || base.kind != mapNode || over.kind != mapNode {
		return over
	}
	for _, e := range over.entries {
		name, appends := strings.CutSuffix(e.key, "+")
		i := base.find(name)
		switch {
		case appends:
			r.append(base, i, name, e, path)
		case e.value.kind == nullNode:
			if i >= 0 {
				base.entries = append(base.entries[:i], base.entries[i+1:]...)
			}
		case i < 0:
			base.entries = append(base.entries, entry{name, e.at, r.overlay(emptyMap(e), e.value, path)})
		default:
			base.entries[i].value = r.overlay(base.entries[i].value, e.value, join(path, name))
		}
	}
	return base
}

// emptyMap gives the merge of a new map something to begin with, so that
// `key+` means the same in it.
func emptyMap(e entry) *node { return &node{kind: mapNode, at: e.value.at} }

func (r *reader) append(base *node, i int, name string, e entry, path string) {
	if e.value.kind != listNode {
		r.fail(diag.WrongType, e.value.at.line, e.value.at.column, "", "%s+ appends to a list, found %s", name, e.value.describe())
		return
	}
	if i < 0 {
		base.entries = append(base.entries, entry{name, e.at, e.value})
		return
	}
	old := base.entries[i].value
	if old.kind != listNode {
		r.fail(diag.WrongType, e.at.line, e.at.column, "", "%s is %s in the manifest, so nothing can be appended", join(path, name), old.describe())
		return
	}
	base.entries[i].value = &node{kind: listNode, at: old.at, items: append(append([]*node{}, old.items...), e.value.items...)}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// sameContainers lets `container` in one file and `containers: {main: …}` in
// the other mean the same part.
func sameContainers(base, over *node) {
	a, b := base.get("app"), over.get("app")
	if a.get("container") != nil && b.get("containers") != nil {
		mainContainer(a)
	}
	if a.get("containers") != nil && b.get("container") != nil {
		mainContainer(b)
	}
}

// mainContainer rewrites `container` as `containers: {main: …}`.
func mainContainer(app *node) {
	i := app.find("container")
	if app.find("containers") >= 0 {
		return
	}
	old := app.entries[i]
	app.entries[i] = entry{"containers", old.at, &node{
		kind: mapNode, at: old.value.at, entries: []entry{{"main", old.at, old.value}},
	}}
}
