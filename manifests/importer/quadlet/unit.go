package quadlet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// unit is a .container file while it becomes a part.
type unit struct {
	*app
	*file
	// name is what the part is called in the tree of Compose.
	name    string
	service *syntax.Node
	part    compose.Part
	// variables is what systemd replaces in the commands of the service.
	variables map[string]string
	// isEnabled: the section Install starts it at boot.
	isEnabled bool
	// follows is how often the part follows a provider, by its file.
	follows map[*file]int
	limit   manifests.RestartLimit
	limitAt entry
}

// read translates every entry of the file and of the objects that it names.
func (u *unit) read() {
	u.readVariables()
	podmanrun.Put(u.service, "restart", &syntax.Node{Kind: syntax.ScalarNode, Text: "no", At: u.start()})
	for _, at := range u.faults {
		u.say(func(d *importer.Draft) {
			d.Report(importer.BadSource, at, "", "the line is no assignment in a section")
		})
	}
	if strings.HasSuffix(u.stem, "@") && !u.isRendered() {
		u.report(importer.UnitKind, entry{at: u.start()}, "%s is a template of a unit", u.file.name)
	}
	u.each(u.file, containerRows)
}

// start is the beginning of the file.
func (u *unit) start() syntax.Position {
	return syntax.Position{File: u.file.name, Line: 1, Column: 1}
}

// each has the rows of a table read the entries of a file.
func (u *unit) each(f *file, rows []row) {
	for _, e := range f.entries {
		i := slices.IndexFunc(rows, func(r row) bool { return r.section == e.section && r.key == e.key })
		switch {
		case isOwn(f, e):
		case i >= 0:
			u.row(f, rows[i], e)
		case strings.HasPrefix(e.section, "X-"):
		case e.section == "Unit" || e.section == "Service" || e.section == "Install" || e.section == "Quadlet":
			u.directive(f, e)
		default:
			u.report(lossOfUnknown(e), e, "%s= is not known in [%s]", e.key, e.section)
		}
	}
}

// lossOfUnknown is the loss of a key of no row.
func lossOfUnknown(e entry) importer.Code {
	if e.section == "Build" || e.section == "Image" {
		return importer.BuildOption
	}
	return importer.UnknownKey
}

// row reads one entry.
func (u *unit) row(f *file, r row, e entry) {
	list := []entry{e}
	switch r.form {
	case isOnce:
		if f.last(e.section, e.key).from != e.from {
			return // a later line counts
		}
	case isWords:
		var ok bool
		if list, ok = e.words(); !ok {
			u.report(importer.BadSourceValue, e, "a quote is not closed")
			return
		}
	case isLine:
	}
	for _, e := range list {
		switch {
		case r.loss != "":
			u.report(r.loss, e, lossText[r.loss], e.key)
		case r.read != nil:
			r.read(u, e)
		case r.form == isOnce:
			e.value = r.option + e.value
			if r.option != "" {
				podmanrun.Add(u.service, r.compose, u.scalar(e))
				continue
			}
			podmanrun.Put(u.service, r.compose, u.scalar(e))
		default:
			podmanrun.Add(u.service, r.compose, u.scalar(e))
		}
	}
}

// scalar is a value as Compose reads it, with what systemd replaces in it.
func (u *unit) scalar(e entry) *syntax.Node { return scalar(u.plain(e), e.at) }

func scalar(text string, at syntax.Position) *syntax.Node {
	return &syntax.Node{Kind: syntax.ScalarNode, Text: strings.ReplaceAll(text, "$", "$$"), At: at}
}

// put sets a key of the Compose service.
func (u *unit) put(key, text string, e entry) { podmanrun.Put(u.service, key, scalar(text, e.at)) }

// add appends to a list of the Compose service.
func (u *unit) add(key, text string, e entry) { podmanrun.Add(u.service, key, scalar(text, e.at)) }

// say is called once the parts are made.
func (a *app) say(what func(*importer.Draft)) { a.later = append(a.later, what) }

func (a *app) report(code importer.Code, e entry, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	a.say(func(d *importer.Draft) { d.Report(code, e.at, e.id(), "%s", message) })
}

// set changes the part, and says where a key is kept.
func (u *unit) set(to string, e entry, change func(*manifests.Container)) {
	u.say(func(d *importer.Draft) {
		change(u.part.Container)
		at := syntax.JoinPath(u.part.Path, to)
		d.Origin(at, e.at, e.id())
		d.Keep(e.at, e.id(), at)
	})
}

// directive passes a directive of systemd on, if a manifest can set it.
func (u *unit) directive(f *file, e entry) {
	switch {
	case f.kind != ".container" && (e.key == "Description" || e.section == "Install"):
		u.report(importer.NoMeaning, e, lossText[importer.NoMeaning], e.key)
	case f.kind != ".container":
		u.report(importer.Directive, e, lossText[importer.Directive], e.key)
	case manifests.AllowsDirective(e.section, e.key):
		value := u.specified(e)
		u.set("unit."+e.section+"."+e.key, e, func(c *manifests.Container) {
			if c.Unit == nil {
				c.Unit = map[string]map[string][]string{}
			}
			if c.Unit[e.section] == nil {
				c.Unit[e.section] = map[string][]string{}
			}
			c.Unit[e.section][e.key] = append(c.Unit[e.section][e.key], value)
		})
	default:
		u.report(importer.Directive, e, lossText[importer.Directive], e.key)
	}
}

// readElsewhere is for a key that is read together with another one.
func (u *unit) readElsewhere(entry) {}

// raw says a key by an argument of podman run.
func raw(flag string) func(*unit, entry) {
	return func(u *unit, e entry) { u.argument(flag+"="+u.plain(e), e) }
}

// argument is a key that says the same as an argument of podman run.
func argument(flag string) func(*unit, entry) {
	return func(u *unit, e entry) { podmanrun.Argument(u.service, flag+"="+u.plain(e), e.at) }
}

// podmanArg reads an argument of podman run as the key that says the same, if there is one.
func (u *unit) podmanArg(e entry) {
	text := u.plain(e)
	if m, isMount := strings.CutPrefix(text, "--mount="); isMount {
		u.addMount(m, e)
		return
	}
	if !podmanrun.Argument(u.service, text, e.at) {
		u.argument(text, e)
	}
}

func (u *unit) argument(text string, e entry) {
	u.say(func(d *importer.Draft) {
		u.part.PodmanArgs = append(u.part.PodmanArgs, text)
		at := fmt.Sprintf("%s.podman_args[%d]", u.part.Path, len(u.part.PodmanArgs)-1)
		d.Note(at, e.at)
		d.Origin(at, e.at, e.id())
		d.Report(importer.RawArgument, e.at, e.id(), "the argument of podman run stays one")
	})
}
