// Package quadlet owns the reading of Quadlet files: which of them are parts of one app, and which
// key of a Compose service or of a manifest says the same as one of theirs.
//
// It decides nothing that Compose can say: manifests/importer/compose does. It runs nothing, and
// reads only below the directory that it is given.
package quadlet

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Options is what the caller knows and the files do not say.
type Options struct {
	// File is the file to import; if empty, all of the directory.
	File string
	// ID makes one app of all files, with this id.
	ID string
	// Project is the path from the manifest's directory to that of the files.
	Project string
	// Specifiers is the values of systemd's specifiers for the user that runs the units, such as
	// the home directory for h.
	Specifiers map[string]string
}

// App is the files of one app.
type App struct {
	directory *directory
	options   Options
	files     []*file
}

// kinds is the files that Quadlet reads.
var kinds = []string{".container", ".volume", ".network", ".build", ".image", ".pod", ".kube"}

// file is one Quadlet file with its drop-ins.
type file struct {
	name, stem, kind string
	entries          []entry
	faults           []syntax.Position
}

// value is the last value of a key, or nothing.
func (f *file) value(section, key string) string { return f.last(section, key).value }

func (f *file) last(section, key string) (last entry) {
	for _, e := range f.entries {
		if e.section == section && e.key == key {
			last = e
		}
	}
	return last
}

// service is the name of the service that Quadlet makes of the file.
func (f *file) service() string {
	section := strings.ToUpper(f.kind[1:2]) + f.kind[2:]
	if name := f.value(section, "ServiceName"); name != "" {
		return name
	}
	if f.kind == ".container" {
		return f.stem
	}
	return f.stem + "-" + f.kind[1:]
}

// directory is the Quadlet files of a directory.
type directory struct {
	fsys    fs.FS
	files   []*file
	sources map[string][]byte
}

// Find reads the files of a directory. Containers that have a volume or network in common, or
// order each other, are parts of one app. Without a container there is one app, which says so.
func Find(fsys fs.FS, o Options) (apps []*App) {
	d := &directory{fsys: fsys, sources: map[string][]byte{}}
	d.read()
	for _, files := range d.groups(o) {
		apps = append(apps, &App{d, o, files})
	}
	if len(apps) == 0 {
		apps = append(apps, &App{directory: d, options: o})
	}
	return apps
}

// Import makes the manifest of an app. answers is by the keys of the questions.
func (a *App) Import(answers map[string]string) *importer.Result {
	if len(a.files) > 0 {
		return a.directory.app(a.files, a.options, answers).convert()
	}
	draft := importer.NewDraft(answers)
	draft.Sources = a.directory.sources
	draft.Report(importer.NoService, syntax.Position{File: a.options.File}, "", "there is no .container file to import")
	a.directory.foreign(draft, a.options)
	return draft.Abandon()
}

// foreign reports files of kinds that are not imported.
func (d *directory) foreign(draft *importer.Draft, o Options) {
	for _, f := range d.files {
		isNamed := o.File == "" || o.File == f.name
		if isNamed && (f.kind == ".pod" || f.kind == ".kube") {
			draft.Report(importer.UnitKind, syntax.Position{File: f.name, Line: 1, Column: 1}, "", "%s is not imported", f.name)
		}
	}
}

// read reads every Quadlet file of the directory, with its drop-ins.
func (d *directory) read() {
	list, err := fs.ReadDir(d.fsys, ".")
	if err != nil {
		return // then there is no .container file
	}
	for _, e := range list {
		kind := path.Ext(e.Name())
		if e.IsDir() || !slices.Contains(kinds, kind) {
			continue
		}
		f := &file{name: e.Name(), stem: strings.TrimSuffix(e.Name(), kind), kind: kind}
		d.add(f, f.name)
		dropIns, _ := fs.Glob(d.fsys, f.name+".d/*.conf") // the pattern is one, up to odd names, which no file of systemd has
		for _, name := range dropIns {
			d.add(f, name)
		}
		d.files = append(d.files, f)
	}
}

func (d *directory) add(f *file, name string) {
	data, err := fs.ReadFile(d.fsys, name)
	if err != nil || len(data) > syntax.MaxFileSize {
		f.faults = append(f.faults, syntax.Position{File: name})
		return
	}
	d.sources[name] = data
	entries, faults := parse(name, data)
	f.entries, f.faults = append(f.entries, entries...), append(f.faults, faults...)
}

// find is a file by its name, or nil.
func (d *directory) find(name string) *file {
	i := slices.IndexFunc(d.files, func(f *file) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return d.files[i]
}

// groups is the .container files of each app, in the order of their names.
func (d *directory) groups(o Options) (groups [][]*file) {
	owner := map[string]int{}
	for _, f := range d.files {
		if f.kind != ".container" || o.File != "" && o.File != f.name {
			continue
		}
		joined := []*file{f}
		uses := d.uses(f)
		if o.ID != "" {
			uses = []string{"all"}
		}
		into := map[int]bool{}
		for _, use := range uses {
			if i, ok := owner[use]; ok {
				into[i] = true
			}
		}
		for i, g := range groups {
			if into[i] {
				joined = append(slices.Clone(g), joined...)
				groups[i] = nil
			}
		}
		groups = append(groups, joined)
		for use, i := range owner {
			if into[i] {
				owner[use] = len(groups) - 1
			}
		}
		for _, use := range uses {
			owner[use] = len(groups) - 1
		}
	}
	return slices.DeleteFunc(groups, func(g []*file) bool { return len(g) == 0 })
}

// uses is what ties a .container file to others: its service and those that it names, its volumes
// and its networks. What archgen rendered is tied by its app.
func (d *directory) uses(f *file) (uses []string) {
	if app := f.value(ownership, "App"); app != "" {
		return []string{"app " + app}
	}
	uses = append(uses, "unit "+f.service(), "container "+containerOf(f))
	for _, e := range f.entries {
		source, _, _ := strings.Cut(e.value, ":")
		switch e.section + "." + e.key {
		case "Container.Volume":
			if source != "" && !strings.ContainsAny(source[:1], "/.%~") && strings.Contains(e.value, ":") {
				uses = append(uses, "volume "+strings.TrimSuffix(source, ".volume"))
			}
		case "Container.Network":
			uses = append(uses, d.usedNetwork(e.value, source)...)
		case "Unit.After", "Unit.Requires", "Unit.Wants", "Unit.BindsTo", "Unit.PartOf", "Unit.Upholds", "Unit.Requisite":
			for name := range strings.FieldsSeq(e.value) {
				uses = append(uses, "unit "+unitName(name))
			}
		}
	}
	return slices.DeleteFunc(uses, func(use string) bool {
		name, isUnit := strings.CutPrefix(use, "unit ")
		return isUnit && d.ofService(name) == nil
	})
}

// ofService is the .container file of a service, or nil.
func (d *directory) ofService(name string) *file {
	i := slices.IndexFunc(d.files, func(f *file) bool { return f.kind == ".container" && (f.service() == name || f.stem == name) })
	if i < 0 {
		return nil
	}
	return d.files[i]
}

// usedNetwork is the network or container that a value names, unless it is a mode.
func (d *directory) usedNetwork(value, source string) []string {
	switch {
	case strings.HasSuffix(source, ".container"):
		return []string{"unit " + strings.TrimSuffix(source, ".container")}
	case source == "container":
		_, other, _ := strings.Cut(value, ":")
		return []string{"container " + other}
	case slices.Contains([]string{"host", "none", "bridge", "private", "pasta", "slirp4netns", "ns", "default"}, source):
		return nil
	}
	return []string{"network " + strings.TrimSuffix(source, ".network")}
}

// unitName is the name of a unit without the suffix of a service or container.
func unitName(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".service"), ".container")
}

// containerOf is Podman's name of the container of a file.
func containerOf(f *file) string {
	if name := f.value("Container", "ContainerName"); name != "" {
		return name
	}
	return "systemd-" + f.stem
}

// app is the files of one app while they are read.
type app struct {
	*directory
	Options
	// Answers is by the keys of the questions.
	Answers  map[string]string
	units    []*unit
	tree     *syntax.Node
	services *syntax.Node
	// later is what is said once the parts are made.
	later []func(*importer.Draft)
	// objects is the volumes and networks that were declared.
	objects map[string]bool
}

func (d *directory) app(files []*file, o Options, answers map[string]string) *app {
	a := &app{directory: d, Options: o, Answers: answers, services: &syntax.Node{Kind: syntax.MapNode}, objects: map[string]bool{}}
	a.tree = &syntax.Node{Kind: syntax.MapNode}
	a.services.At = syntax.Position{File: files[0].name, Line: 1, Column: 1}
	podmanrun.Put(a.tree, "services", a.services)
	for _, f := range files {
		a.units = append(a.units, &unit{app: a, file: f, service: &syntax.Node{Kind: syntax.MapNode}, follows: map[*file]int{}})
	}
	if a.ID == "" {
		a.ID = nameOf(files)
	}
	for _, u := range a.units {
		u.name = a.partName(u.file)
	}
	return a
}

// nameOf is the id of an app: that of its only container, or what the names of all have in
// common in front.
func nameOf(files []*file) string {
	if app := files[0].value(ownership, "App"); app != "" {
		return importer.IDOf(app)
	}
	stems := make([]string, 0, len(files))
	for _, f := range files {
		stems = append(stems, f.stem)
	}
	return importer.IDOf(cmp.Or(importer.CommonName(stems), stems[0]))
}

// partName is what a container is called within the app.
func (a *app) partName(f *file) string {
	if f.value(ownership, "App") != "" {
		return cmp.Or(f.value(ownership, "Part"), "main")
	}
	short := strings.Trim(strings.TrimPrefix(f.stem, a.ID), "-_.")
	if short == "" || a.partTaken(short) {
		return f.stem
	}
	return short
}

func (a *app) partTaken(name string) bool {
	return slices.ContainsFunc(a.units, func(u *unit) bool { return u.name == name || u.stem == name })
}

// convert makes the app of its files.
func (a *app) convert() *importer.Result {
	for _, u := range a.units {
		u.read()
		podmanrun.Put(a.services, u.key(), u.service)
	}
	for i := range a.services.Entries {
		a.services.Entries[i].At = syntax.Position{File: a.units[i].file.name, Line: 1, Column: 1}
	}
	return compose.ImportTree(a.fsys, a.tree, a.sources, compose.Options{
		ID: a.ID, Name: a.ID, Project: a.Project, Capabilities: "podman", Answers: a.Answers, Complete: a.complete,
	})
}

// complete adds what Compose can't say.
func (a *app) complete(d *importer.Draft, parts map[string]compose.Part) {
	a.foreign(d, a.Options)
	for _, u := range a.units {
		u.part = parts[u.key()]
	}
	for _, say := range a.later {
		say(d)
	}
	a.know(d)
	for _, u := range a.units {
		u.finish(d)
	}
}
