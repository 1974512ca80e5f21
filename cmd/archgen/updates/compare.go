package updates

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units/update"
)

// compare adds what the release of the catalog changes.
func (s *Survey) compare(a *App) {
	if a.Facts.Misfit = s.Misfit(a); a.Facts.Misfit != "" {
		return
	}
	was, is := s.resolved(a.ID), a.Staged.Set.App(a.ID)
	a.Facts.Rights = s.moreRights(a, was, is)
	a.Facts.Publishers = newPublishers(was, is)
	a.Facts.Lost = lost(was, is)
	var unchanged []place
	if a.IsOwn {
		unchanged = hiddenPins(a, is)
	} else {
		unchanged = hidden(a.released(), a.entry.Manifest, is)
	}
	for _, p := range unchanged {
		a.Facts.Hidden = append(a.Facts.Hidden, s.place(a, was, p))
	}
	for _, p := range kept(a) {
		if !slices.ContainsFunc(unchanged, func(i place) bool { return i.path == p.path }) {
			a.Facts.Kept = append(a.Facts.Kept, fmt.Sprintf("%s (%s)", p.path, s.place(a, was, p)))
		}
	}
	a.Facts.Kept = append(a.Facts.Kept, s.laidOver(a)...)
}

// resolved is an installed app, without anything if it has errors.
func (s *Survey) resolved(id string) *manifests.Resolved {
	if s.Compiled.Set != nil {
		if app := s.Compiled.Set.App(id); app != nil {
			return app
		}
	}
	return &manifests.Resolved{Manifest: &manifests.Manifest{}}
}

// released is the manifest of the installed release without edits and overlays, nil if it has errors.
func (a *App) released() *manifests.Manifest {
	m, _ := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: a.From.File, Data: a.From.AsReleased().Manifest}})
	return m
}

// Misfit is the first error that the installed apps have with the release and not without it.
func (s *Survey) Misfit(a *App) string {
	if a.To.File != a.From.File {
		return fmt.Sprintf("the file of its manifest is called %s, and the installed one %s", a.To.File, a.From.File)
	}
	before, after := s.Want.Refused(), a.Staged.Want.Refused()
	errs := a.Staged.FirstErrors()
	for _, id := range append([]string{a.ID}, slices.Sorted(maps.Keys(after))...) {
		_, isValid := a.Staged.Want.Find(id)
		if isValid || id != a.ID && before[id] != "" {
			continue
		}
		if text := errs[id]; text != "" {
			return strings.ReplaceAll(text, a.Staged.dir+string(filepath.Separator), "")
		}
		return "the manifest of " + id + " has errors with it"
	}
	return ""
}

// moreRights is the rights beyond the safe set that a release adds and that are not granted.
func (s *Survey) moreRights(a *App, was, is *manifests.Resolved) (list []update.Right) {
	further := rights.Without(rights.Of(is), s.Compiled.Rights[a.ID])
	for _, r := range s.Compiled.GrantsOf(a.ID).Missing(further) {
		list = append(list, update.Right{ID: r.Grant(), Allows: r.Allows})
	}
	for _, p := range is.Parts {
		if before := was.Part(p.Name); before != nil && !isRoot(before.User) && isRoot(p.User) {
			list = append(list, update.Right{ID: update.AllowRoot + ":" + p.Name, Allows: "run the container " + p.Name + " as root, or as the user of the image"})
		}
	}
	return list
}

// isRoot reports whether a container may run as root: as the user of an image, too.
func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "0" || name == "root"
}

// newPublishers is the registries and namespaces of images that a release takes images from, and the
// installed one does not.
func newPublishers(was, is *manifests.Resolved) []string {
	return without(publishers(is), publishers(was))
}

func publishers(app *manifests.Resolved) (list []string) {
	for _, p := range app.Parts {
		if p.Image != "" {
			list = append(list, publisher(p.Image))
		}
	}
	return list
}

// publisher is the registry and the namespace of an image.
func publisher(image string) string {
	name, _, _ := strings.Cut(image, "@")
	i := strings.LastIndex(name, "/")
	return name[:max(i, 0)]
}

// lost is what other apps, users or data rely on, and that a release lacks.
func lost(was, is *manifests.Resolved) []string { return without(contract(was), contract(is)) }

// contract is what other apps, users or data rely on.
func contract(app *manifests.Resolved) (list []string) {
	for _, p := range app.Parts {
		for _, port := range p.Ports {
			for i := range port.Count {
				if port.Host != 0 {
					list = append(list, fmt.Sprintf("port %d/%s on %s", port.Host+i, port.Protocol, port.Bind))
				}
			}
		}
		for _, v := range p.Volumes {
			if v.Name != "" {
				list = append(list, fmt.Sprintf("volume %s at %s in %s", v.Name, v.Target, p.Name))
			}
		}
	}
	for _, c := range app.Document.App.Provides {
		list = append(list, "capability "+c.Capability)
		for _, name := range slices.Sorted(maps.Keys(c.Exports)) {
			list = append(list, "export "+name+" of "+c.Capability)
		}
		if c.Onions != "" {
			list = append(list, "onions of "+c.Capability)
		}
	}
	for _, o := range app.Document.App.Onion {
		list = append(list, "hidden service of port "+o.Port)
	}
	return list
}

// place is a value of a manifest, and where it is decided.
type place struct {
	path, file string
	line       int
}

// place says where a value is decided that the staged apps have by an overlay. What is yet to be written
// to an overlay is in the installed manifest.
func (s *Survey) place(a *App, was *manifests.Resolved, p place) string {
	if strings.HasPrefix(p.file, a.Staged.dir+string(filepath.Separator)) {
		p.file, p.line, _ = was.Position(p.path)
	}
	return fmt.Sprintf("%s:%d", strings.TrimPrefix(p.file, s.Dir.Path()+string(filepath.Separator)), p.line)
}

// kept is the values that the release changes, and that edits and overlays keep.
func kept(a *App) (list []place) {
	before := manifests.Source{Name: a.From.File, Data: a.From.AsReleased().Manifest}
	after := manifests.Source{Name: a.To.File, Data: a.To.Manifest}
	for _, path := range slices.Sorted(maps.Keys(a.Staged.Loaded.Sources)) {
		dir, name := filepath.Split(path)
		if filepath.Base(dir) != manifests.OverlaysDir(a.ID) || name == manifests.GrantsFile {
			continue
		}
		keys, _ := manifests.Hidden(manifests.Source{Name: path, Data: a.Staged.Loaded.Sources[path]}, before, after) // the files were compiled
		for _, k := range keys {
			list = append(list, place{k.Path, k.At.File, k.At.Line})
		}
	}
	return list
}

// laidOver is the templates and seeds that the release changes, and in whose place an operator has put
// others.
func (s *Survey) laidOver(a *App) (paths []string) {
	for _, name := range update.Changed(a.From.AsReleased(), *a.To) {
		path := filepath.Join(manifests.OverlayFilesDir(a.ID), name)
		if _, err := os.Lstat(filepath.Join(s.Dir.Path(), path)); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// hidden is the images which the release changes, and which overlays keep as they are.
func hidden(was, release *manifests.Manifest, is *manifests.Resolved) (places []place) {
	if was == nil {
		return nil
	}
	before, after := imagesIn(&was.Document.App), imagesIn(&release.Document.App)
	for _, p := range is.Parts {
		path := p.Path + ".image"
		file, line, _ := is.Position(path)
		if file != is.File && before[p.Name] != after[p.Name] {
			places = append(places, place{path, file, line})
		}
	}
	return places
}

// imagesIn is the images that a manifest names, by part.
func imagesIn(app *manifests.App) map[string]string {
	list := map[string]string{}
	for _, p := range app.Parts() {
		list[p.Name] = p.Image
	}
	return list
}

// without is what is in a list and not in another one, each once.
func without(list, other []string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(text string) bool { return slices.Contains(other, text) })
	slices.Sort(list)
	return slices.Compact(list)
}

// Grants is what is granted to an app with its release, besides what it is granted now: the rights that
// the release adds.
func (a *App) Grants() (list []string) {
	for _, r := range a.Facts.Rights {
		if kind, _, _ := strings.Cut(r.ID, ":"); kind != update.AllowRoot {
			list = append(list, r.ID)
		}
	}
	return list
}
