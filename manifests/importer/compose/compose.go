// Package compose owns the reading of Compose files: which files make up a project, anchors and
// merge keys, interpolation, extends, include and overrides, and what each key becomes in a
// manifest.
//
// It reads only below the directory that it is given, runs nothing, and asks no program. What a
// manifest can't say it reports by a code of manifests/importer.
package compose

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// FileNames is what Compose looks for in a directory, the preferred name first.
var FileNames = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// Options is what the caller knows and the source does not say.
type Options struct {
	// File is the name of the file to read; if empty, the first of FileNames that exists.
	File string
	// ID is the id of the app; the name of the project if empty.
	ID string
	// Name is the name of the directory, from which an id is made.
	Name string
	// Project is the path from the manifest's directory to that of the source, for builds.
	Project string
	// Capabilities is the default of the question for Linux capabilities; docker if empty.
	Capabilities string
	// Answers is by the keys of the questions.
	Answers map[string]string
	// Complete adds what another format than Compose says of the parts, which have the names of
	// their services. It is called once all of them are read.
	Complete func(d *importer.Draft, parts map[string]Part)
	// Platform is what there is around the file; nil without one.
	Platform *Platform
}

// Part is a part of the app while it is imported, with its path in the manifest.
type Part struct {
	*manifests.Container
	Name, Path string
}

// project is a Compose project while it is read.
type project struct {
	*importer.Draft
	Options
	fsys fs.FS
	// vars is the variables of `.env`.
	vars map[string]variable
	tree *syntax.Node
	// services is in the order of the file.
	services []*service
	// secrets is the secrets of the app by the value or variable that they come from.
	secrets map[string]string
	// unset is the variables that were reported already.
	unset map[string]bool
	// volumes is the names of the app's volumes by their name or directory in the source.
	volumes map[string]string
	// networks is the names of the app's networks by their name in the source.
	networks map[string]string
	// hostPorts is the ports that are published, for the choice of the user interface.
	hostPorts []published
}

// Import reads the Compose project of a directory.
func Import(fsys fs.FS, o Options) *importer.Result {
	p := newProject(fsys, o)
	file := p.find()
	if file == "" {
		return p.nothing()
	}
	p.readEnv()
	p.tree = p.load(file, map[string]bool{})
	if p.tree == nil {
		return p.Abandon()
	}
	return p.convert()
}

// ImportTree reads a project that another format was translated into. sources is the text that
// the positions of the tree refer to.
func ImportTree(fsys fs.FS, tree *syntax.Node, sources map[string][]byte, o Options) *importer.Result {
	p := newProject(fsys, o)
	maps.Copy(p.Sources, sources)
	p.tree = tree
	return p.convert()
}

func newProject(fsys fs.FS, o Options) *project {
	p := &project{
		Draft: o.Platform.draft(o.Answers), Options: o, fsys: fsys,
		secrets: map[string]string{}, unset: map[string]bool{}, volumes: map[string]string{}, networks: map[string]string{},
	}
	p.App.ID = importer.AppID(first(o.ID, o.Name, "app"))
	return p
}

// convert makes the app of the tree.
func (p *project) convert() *importer.Result {
	p.top()
	if len(p.services) == 0 {
		return p.nothing()
	}
	p.describe()
	p.findSecrets()
	for _, s := range p.services {
		s.read()
	}
	p.relate()
	p.complete()
	p.userInterface()
	p.place()
	p.Platform.finish(p.volumes)
	return p.Finish()
}

// complete has another format add what it says of the parts.
func (p *project) complete() {
	if p.Complete == nil {
		return
	}
	parts := map[string]Part{}
	for _, s := range p.services {
		parts[s.name] = Part{s.c, s.part, s.path}
	}
	p.Complete(p.Draft, parts)
}

func (p *project) nothing() *importer.Result {
	at := syntax.Position{File: p.File}
	if p.tree != nil {
		at = p.tree.At
	}
	p.Report(importer.NoService, at, "services", "there is no service to import")
	return p.Abandon()
}

// find is the file to read.
func (p *project) find() string {
	if p.File != "" {
		return p.File
	}
	for _, name := range FileNames {
		if info, err := fs.Stat(p.fsys, name); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// describe gives the app its name and version.
func (p *project) describe() {
	if name := p.tree.Get("name"); name != nil && p.ID == "" {
		if text := p.text(name, "name"); text != "" {
			p.App.ID = importer.AppID(text)
		}
	}
	p.App.Name = first(p.App.Name, strings.ToUpper(p.App.ID[:1])+strings.ReplaceAll(p.App.ID[1:], "-", " "))
	if p.App.Version != "" {
		return
	}
	p.App.Version = "1"
	for _, s := range p.services {
		if image := s.node.Get("image"); s.part == "main" && image != nil {
			if tag := tagOf(p.quiet(image)); tag != "" {
				p.App.Version = tag
			}
		}
	}
}

// tagAtEnd is compiled when it is needed: with its repetition that takes a tenth of the time in which
// archgen starts, and it starts with each app.
var tagAtEnd = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`:([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})(?:@.*)?$`)
})

// tagOf is the tag of an image, unless it says nothing.
func tagOf(image string) string {
	m := tagAtEnd().FindStringSubmatch(image)
	if m == nil || m[1] == "latest" {
		return ""
	}
	return m[1]
}

// place puts the parts into the app.
func (p *project) place() {
	if len(p.services) == 1 {
		p.App.Container = p.services[0].c
		return
	}
	p.App.Containers = map[string]*manifests.Container{}
	for _, s := range p.services {
		p.App.Containers[s.part] = s.c
	}
}

// first is the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// inside is a path below the directory that is imported, and whether it stays there.
func inside(name string) (clean string, ok bool) {
	clean = path.Clean(name)
	return clean, fs.ValidPath(clean)
}
