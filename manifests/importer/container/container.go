// Package container owns the reading of what podman inspect prints of containers: which of it was
// asked for, and which key of a Compose service says the same.
//
// podman inspect prints names and paths as Podman resolved them, also for containers of the API.
// Subtracted are the values of the image, and those that Podman sets itself. The command that made
// the container is read for what podman inspect does not print: see commandRows.
//
// It decides nothing that Compose can say: manifests/importer/compose does. It runs nothing; its
// caller asks Podman.
package container

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Set is containers that become the parts of one app.
type Set struct {
	// containers is in the order in which they were named.
	containers []*container
	// others is containers whose namespaces these share.
	others []*container
	// known is the networks by name, and all the containers of the machine.
	known map[string]network
	all   []listed
}

// container is one container while it becomes a part.
type container struct {
	*app
	inspected
	record
	image image
	// flags is the command that made it; none if Podman does not know it.
	flags []podmanrun.Flag
	// name is what the part is called in the tree of Compose.
	name    string
	service *syntax.Node
	part    compose.Part
}

// app is the containers while they are read.
type app struct {
	*Set
	compose.Options
	tree, services *syntax.Node
	// later is what is said once the parts are made.
	later []func(*importer.Draft)
}

// Import makes the manifest of the containers.
func (s *Set) Import(o compose.Options) *importer.Result {
	a := &app{Set: s, Options: o, services: &syntax.Node{Kind: syntax.MapNode, At: s.containers[0].start()}}
	for _, c := range s.containers {
		c.app, c.name, c.service = a, "", &syntax.Node{Kind: syntax.MapNode, At: c.start()}
	}
	a.Name = a.nameOf()
	a.Capabilities = "podman"
	for _, c := range s.containers {
		c.name = a.partName(c)
	}
	tree := &syntax.Node{Kind: syntax.MapNode, At: s.containers[0].start()}
	podmanrun.Put(tree, "services", a.services)
	a.declare(tree)
	sources := map[string][]byte{}
	for _, c := range s.containers {
		c.read()
		a.services.Entries = append(a.services.Entries, syntax.Entry{Key: c.name, At: c.start(), Value: c.service})
		sources[c.source] = c.text
	}
	for _, c := range s.others {
		sources[c.source] = c.text
	}
	a.Complete = a.complete
	return compose.ImportTree(noFiles{}, tree, sources, a.Options)
}

// noFiles is the directory beside the source: a container has none.
type noFiles struct{}

// Open finds nothing.
func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// nameOf is what the app is called after: the only container, the project of Compose or the pod
// that all have in common, or what their names have in common in front.
func (a *app) nameOf() string {
	names := make([]string, 0, len(a.containers))
	projects := map[string]bool{}
	for _, c := range a.containers {
		names = append(names, c.Name)
		projects[c.project()] = true
	}
	if len(names) == 1 {
		return names[0]
	}
	project := a.containers[0].project()
	if len(projects) == 1 && project != "" {
		return project
	}
	return cmp.Or(importer.CommonName(names), names[0])
}

// composeLabels is how Docker Compose and podman-compose name what a container belongs to.
var composeLabels = map[string][]string{
	"project": {"com.docker.compose.project", "io.podman.compose.project"},
	"service": {"com.docker.compose.service", "io.podman.compose.service"},
	"files":   {"com.docker.compose.project.config_files"},
}

func (c *container) composeLabel(what string) string {
	for _, name := range composeLabels[what] {
		if value := c.Config.Labels[name]; value != "" {
			return value
		}
	}
	return ""
}

// project is the project of Compose or the pod of a container, or nothing.
func (c *container) project() string {
	if name := c.composeLabel("project"); name != "" {
		return name
	}
	for _, l := range c.all {
		if c.Pod != "" && l.Pod == c.Pod {
			return l.PodName
		}
	}
	return ""
}

// partName is what a container is called within the app.
func (a *app) partName(c *container) string {
	id := importer.IDOf(cmp.Or(a.ID, a.Name))
	short := strings.Trim(strings.TrimPrefix(c.Name, id), "-_.")
	for _, name := range []string{c.composeLabel("service"), short} {
		isTaken := slices.ContainsFunc(a.containers, func(other *container) bool { return other != c && (other.name == name || other.Name == name) })
		if name != "" && !isTaken {
			return name
		}
	}
	return c.Name
}

// isOne reports whether the app is one container.
func (a *app) isOne() bool { return len(a.containers) == 1 }

// find is a container of the app by its id, or nil.
func (a *app) find(id string) *container {
	i := slices.IndexFunc(a.containers, func(c *container) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return a.containers[i]
}

// start is the place of the whole container in the report.
func (c *container) start() syntax.Position { return c.at("Name") }

// read translates everything that was asked for.
func (c *container) read() {
	for _, r := range rows {
		if text := r.text(c); text != "" {
			c.put(r.key, text, c.at(r.path))
		}
	}
	for _, r := range lists {
		for i, text := range r.items(c) {
			if text != "" {
				c.add(r.key, text, c.at(fmt.Sprintf("%s[%d]", r.path, i)))
			}
		}
	}
	c.program()
	c.health()
	c.environment()
	c.labels()
	c.mounts()
	c.namespaces()
	c.ports()
	c.command()
	c.origin()
}

// put sets a key of the Compose service, and add appends to a list of it.
func (c *container) put(key, text string, at syntax.Position) {
	podmanrun.Put(c.service, key, scalar(text, at))
}

func (c *container) add(key, text string, at syntax.Position) {
	podmanrun.Add(c.service, key, scalar(text, at))
}

func (c *container) putWords(key string, words []string, path string) {
	n := &syntax.Node{Kind: syntax.ListNode, At: c.at(path)}
	for i, text := range words {
		n.Items = append(n.Items, scalar(text, c.at(fmt.Sprintf("%s[%d]", path, i))))
	}
	podmanrun.Put(c.service, key, n)
}

// scalar is a text without variables.
func scalar(text string, at syntax.Position) *syntax.Node {
	return &syntax.Node{Kind: syntax.ScalarNode, Text: strings.ReplaceAll(text, "$", "$$"), At: at}
}

// say is called once the parts are made.
func (a *app) say(what func(*importer.Draft)) { a.later = append(a.later, what) }

func (c *container) report(code importer.Code, path, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	c.say(func(d *importer.Draft) { d.Report(code, c.at(path), path, "%s", message) })
}

// set changes the part, and says where a value is kept.
func (c *container) set(to, path string, change func(*manifests.Container)) {
	c.say(func(d *importer.Draft) {
		change(c.part.Container)
		at := syntax.JoinPath(c.part.Path, to)
		d.Origin(at, c.at(path), path)
		d.Keep(c.at(path), path, at)
	})
}

// complete adds what Compose can't say.
func (a *app) complete(d *importer.Draft, parts map[string]compose.Part) {
	for _, c := range a.containers {
		c.part = parts[c.name]
	}
	for _, say := range a.later {
		say(d)
	}
	for _, c := range a.containers {
		if want := manifests.ContainerName(d.App.ID, c.part.Name); want != c.Name {
			d.Report(importer.OtherName, c.start(), "Name", "archgen adopts the container under the name %s only: podman rename %s %s", want, c.Name, want)
		}
	}
}

// origin says what is known of the program that made the container.
func (c *container) origin() {
	if unit := c.Config.Labels[unitLabel]; unit != "" {
		c.report(importer.SystemdUnit, "Config.Labels."+unitLabel, "the unit %s runs the container; before archgen can adopt it: systemctl --user disable --now %s", unit, unit)
	}
	if c.isOfPod(c.HostConfig.NetworkMode) {
		c.report(importer.PodMember, "Pod", "the container is in the pod %s", cmp.Or(c.project(), c.Pod))
	}
	if len(c.Config.CreateCommand) > 0 {
		return
	}
	if files := c.composeLabel("files"); files != "" {
		c.report(importer.NoCommand, "Config", "the container was made by Compose of %s, and archgen import compose reads more there", files)
		return
	}
	c.report(importer.NoCommand, "Config", "the container was made by the API of Podman")
}
