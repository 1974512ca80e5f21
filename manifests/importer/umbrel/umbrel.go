// Package umbrel owns the reading of apps of Umbrel: umbrel-app.yml, the variables of the
// platform and of exports.sh, the app_proxy service, and the capabilities that stand for the
// variables of other apps.
//
// It runs no script: exports.sh is read for its constants, and hooks are named.
package umbrel

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// FileName is the file that an app of Umbrel has.
const FileName = "umbrel-app.yml"

// composeFile is its Compose file.
const composeFile = "docker-compose.yml"

// app is an app of Umbrel while it is imported.
type app struct {
	*platform.App
	meta, tree *syntax.Node
	// paths is the variables that are directories: of the app, of Umbrel or of another app.
	paths map[string]string
	// addresses is the services by their fixed addresses.
	addresses map[string]string
	// lists is the lists of arguments that the script makes, by name.
	lists map[string][]string
	// container is the container port of the user interface; 0 if none is known.
	container int
	// needs is capabilities that the app requires without naming them in a value.
	needs []string
	// ignored is what no backup has, by directories below that of the app.
	ignored []string
}

// Import reads the app in a directory.
func Import(fsys fs.FS, o compose.Options) *importer.Result {
	a := &app{App: platform.Begin(fsys, o), paths: map[string]string{}, addresses: map[string]string{}, lists: map[string][]string{}}
	if a.meta = a.Read(FileName); a.meta != nil {
		a.tree = a.Read(composeFile)
	}
	if a.tree == nil {
		return a.Abandon()
	}
	a.variables()
	if a.Has(exportsFile) {
		a.exports()
	}
	a.others()
	a.subnets()
	a.fixedAddresses()
	platform.Each(a.Draft, a, metaKeys, a.meta, "")
	a.proxy()
	a.names()
	a.templates()
	a.hooks()
	platform.Sources(a.tree, a.source)
	a.Nested(a.tree)
	a.Complete = a.complete
	return a.Convert(a.tree, a.id(), o)
}

func (a *app) id() string { return a.field("id") }

// field is a text of umbrel-app.yml.
func (a *app) field(key string) string {
	if n := a.meta.Get(key); n != nil && n.Kind == syntax.ScalarNode {
		return n.Text
	}
	return ""
}

// source is the source of a mount, with the directories of the platform replaced.
func (a *app) source(text string) string {
	for _, dir := range otherData {
		text = strings.Replace(text, dir.path, "<"+dir.app+">", 1)
	}
	text = strings.Replace(text, "${UMBREL_ROOT}/app-data/"+a.id()+"/", "${APP_DATA_DIR}/", 1)
	return platform.Own(text, ownData, func(name string) (string, bool) {
		dir, ok := a.paths[name]
		return dir, ok
	})
}

// complete says the rest of the app.
func (a *app) complete() {
	to := a.App.App()
	to.Name = cmp.Or(platform.Line(a.field("name")), to.Name)
	to.Version = cmp.Or(platform.Line(a.field("version")), to.Version)
	to.Description = platform.Line(a.field("tagline"))
	a.UserInterface(a.container, a.field("path"))
	a.hiddenService()
	a.unserved()
	a.login()
	a.backup()
	a.passwords()
	a.provide()
	a.Require(a.needs...)
}

// unserved reports that no port was found for the user interface that Umbrel has one for.
func (a *app) unserved() {
	port := a.meta.Get("port")
	if answer, _ := a.Answer("ui"); a.App.App().UI == nil && a.Port > 0 && answer != "none" {
		a.Report(importer.NoEquivalent, port.At, "port", "no part is known to listen on the port of the user interface")
	}
}

// login tells the first login, which is the same on every machine.
func (a *app) login() {
	user, password := a.field("defaultUsername"), a.field("defaultPassword")
	notice := ""
	switch {
	case user != "" && password != "":
		notice = fmt.Sprintf("The first login is %s with the password %s.", user, password)
	case user != "":
		notice = fmt.Sprintf("The first login is %s.", user)
	case password != "":
		notice = fmt.Sprintf("The first password is %s.", password)
	}
	if manifests.Fits("line", notice) {
		a.Draft.App.Notices = append(a.Draft.App.Notices, notice)
	}
}

// backup excludes from a backup what Umbrel leaves out of one.
func (a *app) backup() {
	for _, below := range a.ignored {
		volume, rest := a.volumeOf(below)
		glob := path.Join(volume, rest)
		if volume != "" && manifests.Fits("glob", glob) && !slices.Contains(a.Draft.App.Data.Backup.Exclude, glob) {
			a.Draft.App.Data.Backup.Exclude = append(a.Draft.App.Data.Backup.Exclude, glob)
		}
	}
}

// volumeOf is the volume that a directory below that of the app is in, and its path there.
func (a *app) volumeOf(below string) (volume, rest string) {
	for dir := below; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if name, ok := a.Directories[dir]; ok {
			return name, cmp.Or(strings.Trim(strings.TrimPrefix(below, dir), "/"), "*")
		}
	}
	return "", ""
}

// passwords says how the secrets of the platform are made: as those of Umbrel, in hexadecimal.
func (a *app) passwords() {
	for i, s := range a.Draft.App.Secrets {
		if s.Generate == nil {
			continue
		}
		if length, ok := a.lengths()[s.Name]; ok {
			a.Draft.App.Secrets[i].Generate = &manifests.Generate{Length: length, Alphabet: "hex"}
		}
		if s.Name == "app-password" {
			a.Draft.App.Secrets[i].Show = a.field("deterministicPassword") == "true"
		}
	}
}

// hooks names the scripts that Umbrel would run around the start.
func (a *app) hooks() {
	entries, err := fs.ReadDir(a.FS, "hooks")
	if err != nil {
		return // there are none
	}
	for _, e := range entries {
		name := "hooks/" + e.Name()
		if _, ok := a.ReadText(name); ok {
			a.Report(importer.Script, syntax.Position{File: name, Line: 1, Column: 1}, name, "the script %s is not run", name)
		}
	}
}
