package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/parallel"
)

// Entry is an app that can be installed.
type Entry struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	// Revision is the number of the release in the catalog, 0 for none.
	Revision    int    `json:"revision"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Icon        string `json:"icon"`
	// Links is addresses by what is there, such as "website".
	Links    map[string]string `json:"links"`
	Provides []string          `json:"provides"`
	Requires []string          `json:"requires"`
	// Notices is what the operator has to know before the app is installed.
	Notices []string `json:"notices"`
	// Networks is the Bitcoin networks that the app supports, empty for all.
	Networks []string `json:"networks"`
	// Catalog is the name of its catalog: Own, or that of a remote one.
	Catalog string `json:"catalog"`
	// From is the directory of the entry, Embedded, or the name of its remote catalog.
	From string `json:"from"`
	// Hides is where the entry of the same id is from that this one hides, empty for none.
	Hides string `json:"hides"`
	// Security is the revision below which each release has a known hole, 0 if none has.
	Security int `json:"security"`
	// Rollout is the time over which machines take a release, 0 if each takes it at once.
	Rollout time.Duration `json:"-"`
	// Withdrawn is why the author of its catalog says not to install it, empty if it may be.
	Withdrawn string `json:"withdrawn"`
	// IsStale: its catalog has expired.
	IsStale bool `json:"stale"`
	// Allow is the rights that the operator lets every app of its catalog have.
	Allow []string `json:"-"`

	// Needs is the capabilities among Requires that are not optional.
	Needs    []string            `json:"-"`
	Manifest *manifests.Manifest `json:"-"`
	// File is the name of the manifest's file, and Text its content.
	File string `json:"-"`
	Text []byte `json:"-"`
	// Templates is the content of the templates that the manifest names, by name.
	Templates map[string][]byte `json:"-"`
	// Seeds is the files of the seeds that the manifest names, by their paths in ID.files/.
	Seeds []manifests.SeedFile `json:"-"`
}

// Embedded is where the entries are from that are part of the program.
const Embedded = "archgen"

// indexFile is the index of a signed catalog, which is no manifest.
const indexFile = "catalog.toml"

// Own is the name of the catalog of the embedded apps and those of directories.
const Own = "archipelago"

// Origin says where the entry is from, which one it hides, and why it is not to be installed.
func (e Entry) Origin() string {
	switch {
	case e.Hides != "":
		return e.From + " (hides that of " + e.Hides + ")"
	case e.Withdrawn != "":
		return e.From + " (withdrawn)"
	case e.IsStale:
		return e.From + " (stale)"
	}
	return e.From
}

// Ref is what names the entry among those of all catalogs.
func (e Entry) Ref() string { return e.Catalog + "/" + e.ID }

// Remote is a catalog from a source, as it was verified.
type Remote struct {
	Name string
	// Dir is the directory of its files.
	Dir string
	// IsStale: it has expired.
	IsStale bool
	// Security is the revisions below which each release has a known hole, by id.
	Security map[string]int
	// Rollout is the time over which machines take a release, by id.
	Rollout map[string]time.Duration
	// Withdrawn is why apps must not be installed, by id.
	Withdrawn map[string]string
	// Allow is the rights that the operator lets its apps have.
	Allow []string
}

// All lists the embedded apps, those of directories and those of remote catalogs, sorted by id and
// catalog, also those that a later directory hides. A manifest with errors is no entry: the
// diagnostics say why.
func All(dirs []string, remotes ...Remote) ([]Entry, diag.List, error) {
	embedded, err := Files()
	if err != nil {
		return nil, nil, err
	}
	list, diags, err := collect(dirs, embedded)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range remotes {
		entries, found, err := r.entries()
		if err != nil {
			return nil, nil, err
		}
		list, diags = append(list, entries...), append(diags, found...)
	}
	slices.SortStableFunc(list, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return list, diags, nil
}

// Entries lists what All lists without what is hidden: of embedded apps and those of directories with
// one id the last wins. Those of a remote catalog hide none.
func Entries(dirs []string, remotes ...Remote) ([]Entry, diag.List, error) {
	all, diags, err := All(dirs, remotes...)
	last := map[string]int{}
	for i, e := range all {
		if e.Catalog == Own {
			last[e.ID] = i
		}
	}
	list := make([]Entry, 0, len(all))
	for i, e := range all {
		if e.Catalog != Own || last[e.ID] == i {
			list = append(list, e)
		}
	}
	return list, diags, err
}

// entries lists the apps of a remote catalog.
func (r Remote) entries() ([]Entry, diag.List, error) {
	list, diags, err := collect([]string{r.Dir}, nil)
	for i := range list {
		e := &list[i]
		e.Catalog, e.From, e.IsStale, e.Withdrawn, e.Allow = r.Name, r.Name, r.IsStale, r.Withdrawn[e.ID], r.Allow
		e.Security, e.Rollout = r.Security[e.ID], r.Rollout[e.ID]
	}
	return list, diags, err
}

// IsRef reports whether an argument is CATALOG/ID. The file of a manifest has a dot in its name.
func IsRef(arg string) bool {
	name, id, isRef := strings.Cut(arg, "/")
	return isRef && manifests.Fits("id", name) && manifests.Fits("id", id)
}

// Find is the entry that an id or CATALOG/ID names. The error is ErrNone if there is none.
func Find(entries []Entry, ref string) (Entry, error) {
	name, id, isRef := strings.Cut(ref, "/")
	if !isRef {
		name, id = "", ref
	}
	var found []Entry
	for _, e := range entries {
		if e.ID == id && (name == "" || e.Catalog == name) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return Entry{}, ErrNone
	case 1:
		return found[0], nil
	}
	refs := make([]string, 0, len(found))
	for _, e := range found {
		refs = append(refs, e.Ref())
	}
	return Entry{}, fmt.Errorf("several catalogs have an app %s: name one of %s", id, strings.Join(refs, ", "))
}

// ErrNone is the error of Find for an app that no catalog has.
var ErrNone = errors.New("no catalog has the app")

// collect lists embedded apps and those of directories.
func collect(dirs []string, embedded []File) (list []Entry, diags diag.List, err error) {
	var sources []source
	for _, f := range embedded {
		sources = append(sources, source{from: Embedded, file: f.Name, text: f.Data, read: embeddedFiles})
	}
	for _, dir := range dirs {
		for _, pattern := range []string{"*.yaml", "*.yml", "*.toml"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return nil, nil, err
			}
			for _, file := range files {
				if filepath.Base(file) != indexFile {
					sources = append(sources, source{from: dir, file: file, read: beside(file)})
				}
			}
		}
	}
	found := readAll(sources)
	from := map[string]string{}
	for i, r := range found {
		diags = append(diags, r.diags...)
		if r.isValid {
			r.Catalog, r.Hides = Own, from[r.ID]
			from[r.ID] = sources[i].from
			list = append(list, r.Entry)
		}
	}
	return list, diags, nil
}

// source is a manifest of a catalog. Its text is nil until the file is read.
type source struct {
	from, file string
	text       []byte
	read       reader
}

// read is what was made of a source.
type read struct {
	Entry
	diags   diag.List
	isValid bool
}

// readAll reads sources. Equal manifests are parsed once: packages install the embedded ones as files, too.
func readAll(sources []source) []read {
	found := make([]read, len(sources))
	parallel.Each(len(sources), func(i int) { found[i].diags = sources[i].load() })
	parse := map[string]func() parsed{}
	for _, s := range sources {
		if parse[s.key()] == nil {
			parse[s.key()] = sync.OnceValue(s.parse)
		}
	}
	parallel.Each(len(sources), func(i int) {
		if s := sources[i]; len(found[i].diags) == 0 {
			found[i] = s.entry(parse[s.key()])
		}
	})
	return found
}

// key is the same for sources with equal manifests.
func (s source) key() string { return filepath.Base(s.file) + "\n" + string(s.text) }

// load reads the text of a source that is a file.
func (s *source) load() (diags diag.List) {
	if s.text != nil {
		return nil
	}
	var err error
	if s.text, err = manifests.ReadFile(s.file); err != nil {
		return diag.List{manifests.Unreadable(s.file, err)}
	}
	return nil
}

// parsed is a manifest, nil if it can't be read.
type parsed struct {
	*manifests.Manifest
	diags diag.List
}

func (s source) parse() parsed {
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: s.file, Data: s.text}})
	return parsed{m, diags}
}

// entry makes the entry of a source. One whose templates or seeds can't be read is valid, and lacks them.
func (s source) entry(parse func() parsed) (r read) {
	p := parse()
	if len(p.diags) > 0 { // they name the file that was parsed, which may be another one
		p = s.parse()
	}
	if r.isValid = p.Manifest != nil && !p.diags.HasErrors(); !r.isValid {
		r.diags = p.diags
		return r
	}
	r.Entry, r.diags = entryOf(p.Manifest, s.from, s.file, s.text, s.read)
	r.diags = append(p.diags, r.diags...)
	return r
}

// ReadEntry reads a manifest that is in no catalog, with the templates beside it. The
// diagnostics are empty unless it can't be an entry; they are about the source. A manifest that a known
// entry has, too, is not parsed again.
func ReadEntry(file string, known ...Entry) (e Entry, text []byte, diags diag.List, err error) {
	text, err = manifests.ReadFile(file)
	if err != nil {
		return e, nil, nil, fmt.Errorf("%s can't be read: %w", file, manifests.CauseOf(err))
	}
	isSame := func(e Entry) bool { return e.File == filepath.Base(file) && bytes.Equal(e.Text, text) }
	if i := slices.IndexFunc(known, isSame); i >= 0 {
		e, diags = entryOf(known[i].Manifest, file, file, text, beside(file))
	} else {
		s := source{file, file, text, beside(file)}
		r := s.entry(s.parse)
		e, diags = r.Entry, r.diags
	}
	if !diags.HasErrors() {
		return e, text, nil, nil
	}
	return e, text, diags, nil
}

// reader reads a template and a seed of an app.
type reader struct {
	template func(id, name string) ([]byte, error)
	seed     func(id, name string) ([]manifests.SeedFile, error)
}

// embeddedFiles reads the templates of the embedded apps, which have no seeds.
var embeddedFiles = reader{
	template: Template,
	seed:     func(_, _ string) ([]manifests.SeedFile, error) { return nil, fs.ErrNotExist },
}

// beside reads what is beside a manifest.
func beside(manifest string) reader {
	dir := func(id string) string { return filepath.Join(filepath.Dir(manifest), manifests.FilesDir(id)) }
	var seeds manifests.SeedReader
	return reader{
		template: func(id, name string) ([]byte, error) { return manifests.ReadTemplate(dir(id), name) },
		seed:     func(id, name string) ([]manifests.SeedFile, error) { return seeds.Read(dir(id), name) },
	}
}

// entryOf is the entry of a manifest that was parsed.
func entryOf(m *manifests.Manifest, from, file string, text []byte, read reader) (e Entry, diags diag.List) {
	e = describe(m)
	e.From, e.File, e.Text, e.Templates = from, filepath.Base(file), text, map[string][]byte{}
	lacks := func(what, name string, err error) {
		diags = append(diags, diag.Diagnostic{
			Code: diag.Unreadable, File: file,
			Message: fmt.Sprintf("its %s %s can't be read: %v", what, filepath.Join(manifests.FilesDir(e.ID), name), manifests.CauseOf(err)),
		})
	}
	for _, name := range m.Document.App.TemplateNames() {
		template, err := read.template(e.ID, name)
		if err != nil {
			lacks("template", name, err)
			continue
		}
		e.Templates[name] = template
	}
	for _, name := range m.Document.App.SeedNames() {
		files, err := read.seed(e.ID, name)
		if err != nil {
			lacks("seed", name, err)
			continue
		}
		e.Seeds = append(e.Seeds, files...)
	}
	return e, diags
}

// describe is what a manifest says of its app. Lists are never nil, so that JSON has them.
func describe(m *manifests.Manifest) Entry {
	a := &m.Document.App
	e := Entry{
		ID: a.ID, Version: a.Version, Revision: a.Revision, Name: a.Name, Description: a.Description, Icon: a.Icon, Manifest: m, Links: a.Links,
		Provides: []string{}, Requires: []string{}, Notices: append([]string{}, a.Notices...), Networks: append([]string{}, a.Networks...),
	}
	if e.Links == nil {
		e.Links = map[string]string{}
	}
	for _, p := range a.Provides {
		e.Provides = append(e.Provides, p.Capability)
	}
	for _, r := range a.Requires {
		e.Requires = append(e.Requires, r.Capability)
		if !r.Optional {
			e.Needs = append(e.Needs, r.Capability)
		}
	}
	return e
}
