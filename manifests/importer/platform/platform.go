// Package platform owns what the importers of platforms share: the reading of the files of one
// app, the tables of their keys, changes of the Compose tree before it is converted, and what an
// app requires of others.
//
// It knows no platform: manifests/importer/umbrel and its like do.
package platform

import (
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// App is an app of a platform while it is imported.
type App struct {
	*importer.Draft
	compose.Platform
	// FS is the directory of the app.
	FS fs.FS
}

// Begin starts an app.
func Begin(fsys fs.FS, o compose.Options) *App {
	d := importer.NewDraft(o.Answers)
	return &App{Draft: d, FS: fsys, Platform: compose.Platform{Draft: d, Variables: map[string]compose.Variable{}, Volumes: map[string]manifests.Volume{}}}
}

// Convert makes the app of its Compose tree. name is what the app is called on the platform.
func (a *App) Convert(tree *syntax.Node, name string, o compose.Options) *importer.Result {
	o.Name, o.Platform = name, &a.Platform
	return compose.ImportTree(a.FS, tree, nil, o)
}

// Has reports whether there is a file.
func (a *App) Has(name string) bool {
	info, err := fs.Stat(a.FS, name)
	return err == nil && info.Mode().IsRegular()
}

// Read reads a YAML or JSON file whose top is a map. It reports why it can't, and returns nil
// then.
func (a *App) Read(name string) *syntax.Node {
	data, ok := a.ReadText(name)
	if !ok {
		return nil
	}
	r := &syntax.Reader{File: name + ".yaml", FollowAliases: true} // JSON is YAML
	tree := r.Read(data)
	for i := range r.Diags {
		r.Diags[i].File = name
	}
	a.Unreadable(r.Diags)
	if r.Diags.HasErrors() {
		return nil
	}
	if tree.Kind != syntax.MapNode {
		a.Report(importer.BadSource, syntax.Position{File: name, Line: 1, Column: 1}, "", "%s must be a map, found %s", name, tree.Describe())
		return nil
	}
	call(tree, name)
	return tree
}

// call names the file in all positions of a tree.
func call(n *syntax.Node, file string) {
	n.At.File = file
	for i := range n.Entries {
		n.Entries[i].At.File = file
		call(n.Entries[i].Value, file)
	}
	for _, item := range n.Items {
		call(item, file)
	}
}

// ReadText reads a file, and keeps it for excerpts.
func (a *App) ReadText(name string) (data []byte, ok bool) {
	data, err := fs.ReadFile(a.FS, name)
	if err == nil && len(data) > syntax.MaxFileSize {
		err = errors.New("it is too large")
	}
	if err != nil {
		a.Report(importer.MissingFile, syntax.Position{File: name}, "", "%s can't be read: %v", name, manifests.CauseOf(err))
		return nil, false
	}
	a.Sources[name] = data
	return data, true
}

// Row says what happens to one key of a platform's own file: a function that reads it, or the
// code of its loss. With neither, the key is read elsewhere if it has To, and is for the platform's
// pages only if it has not.
type Row[T any] struct {
	Key string
	// To is the key of the manifest that says the same.
	To   string
	Read func(T, *syntax.Node, string)
	Loss importer.Code
	// Text says the loss.
	Text string
}

// Each has the rows of a table read the keys of a map, which is at a path of its file.
func Each[T any](d *importer.Draft, on T, rows []Row[T], n *syntax.Node, path string) {
	known := map[string]bool{}
	for _, row := range rows {
		known[row.Key] = true
		i := n.Find(row.Key)
		if i < 0 || IsEmpty(n.Entries[i].Value) {
			continue
		}
		e, key := n.Entries[i], syntax.JoinPath(path, row.Key)
		switch {
		case row.Read != nil:
			row.Read(on, e.Value, key)
		case row.Loss != "":
			d.Report(row.Loss, e.At, key, "%s", row.Text)
		case row.To == "":
			d.Report(importer.NoMeaning, e.At, key, "%s is for the pages of the platform", row.Key)
		}
		if row.To != "" && !d.Says(key) {
			d.Keep(e.At, key, row.To)
		}
	}
	for _, e := range n.Entries {
		if !known[e.Key] {
			d.Report(importer.NoMeaning, e.At, syntax.JoinPath(path, e.Key), "%s is unknown, and says nothing about how the app runs", e.Key)
		}
	}
}

// IsEmpty reports whether a value says nothing.
func IsEmpty(n *syntax.Node) bool {
	return n == nil || n.Kind == syntax.NullNode || n.Kind == syntax.BrokenNode || n.Kind == syntax.ScalarNode && n.Text == "" || n.Kind == syntax.ListNode && len(n.Items) == 0
}

// Line is the first line of a text, as a manifest accepts it; nothing if it does not.
func Line(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if line = strings.Trim(line, "\" \t\r#"); !manifests.Fits("line", line) {
		return ""
	}
	return line
}

// Link adds a link of the app, if it is one.
func (a *App) Link(name string, n *syntax.Node) {
	if !manifests.Fits("url", n.Text) {
		return
	}
	if a.App().Links == nil {
		a.App().Links = map[string]string{}
	}
	a.App().Links[name] = n.Text
}

// App is the app in the manifest.
func (a *App) App() *manifests.App { return &a.Draft.App }

// Number is the whole number of a scalar; 0 if it is none.
func Number(n *syntax.Node) int {
	if n == nil {
		return 0
	}
	number, err := strconv.Atoi(n.Text)
	if err != nil {
		return 0
	}
	return number
}

// Parts is the containers of the app by the names of their parts.
func (a *App) Parts() map[string]*manifests.Container {
	if c := a.App().Container; c != nil {
		return map[string]*manifests.Container{"main": c}
	}
	return a.App().Containers
}

// UserInterface gives the app its user interface, if no port was found for it: on the network of
// the host, the program listens there by itself. path is below the port.
func (a *App) UserInterface(container int, path string) {
	main := a.Parts()["main"]
	if a.App().UI == nil && main != nil && main.Network == "host" && container > 0 && container < 1<<16 {
		main.Ports = append(main.Ports, manifests.Port{Name: "web", Container: container})
		a.App().UI = &manifests.UI{Port: "web"}
	}
	if ui := a.App().UI; ui != nil && a.Scheme != "" {
		ui.Scheme = a.Scheme
	}
	if path = "/" + strings.TrimLeft(path, "/"); a.App().UI != nil && path != "/" && manifests.Fits("urlpath", path) {
		a.App().UI.Path = path
	}
}

// inTemplate is how a template names a capability.
var inTemplate = regexp.MustCompile(`\(capability "([a-z0-9-]+)"\)`)

// Require writes what the app requires of others: the capabilities that its values name, for the
// parts that do, and those in always.
func (a *App) Require(always ...string) {
	users := map[string][]string{}
	for _, name := range always {
		users[name] = nil
	}
	for part, c := range a.Parts() {
		for _, capability := range a.used(c) {
			users[capability] = append(users[capability], part)
		}
	}
	for _, own := range a.App().Provides {
		delete(users, own.Capability)
	}
	for _, capability := range slices.Sorted(maps.Keys(users)) {
		parts := slices.Compact(slices.Sorted(slices.Values(users[capability])))
		if len(parts) == 0 || len(parts) == 1 && parts[0] == "main" {
			parts = nil
		}
		a.App().Requires = append(a.App().Requires, manifests.Require{Capability: capability, Parts: parts})
	}
}

// References is the variables of the manifest that the values of a container name.
func References(c *manifests.Container) []string {
	texts := slices.Concat(c.Command, c.Entrypoint, c.Aliases, slices.Collect(maps.Keys(c.Hosts)), []string{c.Hostname})
	for _, v := range c.Env {
		texts = append(texts, v.Value)
	}
	return importer.References(strings.Join(texts, "\n"))
}

// ReplaceReference replaces a variable of the manifest by a text, in the values of a container.
func ReplaceReference(c *manifests.Container, name, text string) {
	replace := func(list []string) {
		for i := range list {
			list[i] = strings.ReplaceAll(list[i], importer.Reference(name), text)
		}
	}
	replace(c.Command)
	replace(c.Entrypoint)
	for i := range c.Env {
		c.Env[i].Value = strings.ReplaceAll(c.Env[i].Value, importer.Reference(name), text)
	}
}

// used is the capabilities that the values of a container name.
func (a *App) used(c *manifests.Container) (capabilities []string) {
	for _, name := range References(c) {
		if rest, ok := strings.CutPrefix(name, "capability."); ok {
			capability, _, _ := strings.Cut(rest, ".")
			capabilities = append(capabilities, capability)
		}
	}
	for _, f := range c.Files {
		for _, m := range inTemplate.FindAllSubmatch(a.Templates[f.Template], -1) {
			capabilities = append(capabilities, string(m[1]))
		}
	}
	return capabilities
}
