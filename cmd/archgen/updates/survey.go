// Package updates owns what is known about newer releases of the installed apps: which release of
// its catalog each app has, what a newer one would change, and whether the installed apps compile
// with it.
//
// It changes no manifest and starts nothing: the verb update does, by units/update. It uses no
// network, runs no program and prints nothing.
package updates

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/manifests/parallel"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/update"
)

// Survey is the installed apps and their catalogs at one time.
type Survey struct {
	Dir installed.Directory
	// Catalogs is the entries of all catalogs, also the hidden ones.
	Catalogs []catalog.Entry
	// Source compiles the installed apps, and Want is the result.
	Source compile.Source
	Want   units.Desired
	Store  statedir.Store
	// Inspect returns the installed apps with their manifests, and the state of their services. It is
	// called once, for the first app that has another release.
	Inspect func(units.Desired) (*compile.Compiled, map[string]units.Unit, error)
	// Compiled and Units are what Inspect has returned.
	Compiled *compile.Compiled
	Units    map[string]units.Unit
	Now      time.Time
	// Machine identifies this machine among those that take a release in turns.
	Machine string
	// RolledBack is the apps whose updates in this run were rolled back.
	RolledBack map[string]bool

	// files is the installed manifests, by id.
	files   map[string]string
	refused update.Refused
	journal *update.Journal
	// trials is the releases on trial, by app.
	trials map[string]*update.Trial
	seen   update.Seen
	tags   map[string]update.Tags
	// hasNew: seen has releases that are not stored. learned is the origins that are not.
	hasNew  bool
	learned map[string]update.Release
}

// App is an installed app, and the release that its catalog has.
type App struct {
	update.Installed
	Settings update.Settings
	Facts    update.Facts
	Findings []update.Finding
	// From is the installed release, and To that of the catalog, nil without one.
	From update.Release
	To   *update.Release
	// IsOwn: the manifest is from no catalog.
	IsOwn bool
	// Unsaved is why no snapshot is taken of data that the release may convert, empty if one is or it converts
	// none. Measure adds what only the machine knows.
	Unsaved string
	// Changelog is the address of the release's list of changes, empty without one.
	Changelog string
	// Staged is the installed apps with the release, nil if they were not compiled.
	Staged *Staged

	entry     *catalog.Entry
	candidate *update.Candidate
}

// Read reads what is stored about updates, and which manifests are installed.
func (s *Survey) Read() (err error) {
	s.files = s.Dir.Files()
	if s.refused, err = s.Store.Refused(); err != nil {
		return err
	}
	s.tags = s.Store.Tags()
	s.seen, s.learned = s.Store.Seen(), map[string]update.Release{}
	if s.journal, err = s.Store.UpdateJournal(); err != nil {
		return err
	}
	list, err := s.Store.Trials()
	s.trials = map[string]*update.Trial{}
	for _, j := range list {
		s.trials[j.App] = j.Trial
	}
	return err
}

// Keep stores which releases this machine has seen now for the first time, and the origins of apps that
// were installed before origins were recorded, where archgen's own catalog still has the same release.
func (s *Survey) Keep() error {
	for id, origin := range s.learned {
		if err := s.Store.SaveOrigin(id, origin); err != nil {
			return err
		}
	}
	clear(s.learned)
	if !s.hasNew {
		return nil
	}
	s.hasNew = false
	return s.Store.SaveSeen(s.seen)
}

// IDs is the installed apps, each after those that it needs.
func (s *Survey) IDs() []string {
	files := maps.Clone(s.files)
	var ids []string
	for _, app := range s.Want.InOrder() {
		if files[app.ID] != "" {
			ids = append(ids, app.ID)
			delete(files, app.ID)
		}
	}
	return append(ids, slices.Sorted(maps.Keys(files))...) // those with errors
}

// InOrder sorts apps so that each is after those that it needs. Without ids it is all.
func (s *Survey) InOrder(ids []string) []string {
	all := s.IDs()
	if len(ids) == 0 {
		return all
	}
	list := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return !slices.Contains(ids, id) })
	for _, id := range ids {
		if !slices.Contains(all, id) { // it is reported when it is its turn
			list = append(list, id)
		}
	}
	return list
}

// App returns an installed app and what is known about the release of its catalog.
func (s *Survey) App(id string) (*App, error) {
	list, err := s.Apps([]string{id})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// Apps returns installed apps and what is known about the releases of their catalogs.
func (s *Survey) Apps(ids []string) ([]*App, error) {
	list := make([]*App, 0, len(ids))
	var available []*App
	for i, stored := range s.stored(ids) {
		a, err := s.app(ids[i], stored)
		if err != nil {
			return nil, err
		}
		if list = append(list, a); update.IsAvailable(a.Findings) {
			available = append(available, a)
		}
	}
	if len(available) == 0 {
		return list, nil
	}
	if err := s.inspect(); err != nil {
		return nil, err
	}
	if err := s.stage(available); err != nil {
		return nil, err
	}
	for _, a := range available {
		if m := s.manifest(a.ID); m != nil {
			a.Settings = settingsOf(m.Document.App.Update)
		}
		s.compare(a)
		data := s.Conversion(a)
		a.Facts.OneWay, a.Unsaved = data.OneWay, data.Unsaved
		s.observe(a)
		s.Judge(a)
	}
	return list, nil
}

// inspect has what an update depends on besides the releases.
func (s *Survey) inspect() (err error) {
	if s.Compiled == nil {
		s.Compiled, s.Units, err = s.Inspect(s.Want)
	}
	return err
}

// app returns an installed app and the release of its catalog, without what depends on other apps or on
// the settings of its manifest. These decide only about another release.
func (s *Survey) app(id string, stored storedApp) (*App, error) {
	a, err := s.installed(id, stored)
	if err != nil {
		return nil, err
	}
	a.entry = s.entry(a)
	switch isFromFile := a.Origin != nil && a.Origin.Catalog == ""; {
	case a.entry != nil:
		a.From.Pin = nil // one that is left is an overlay of the operator
		a.candidate = s.newest(a)
		a.Changelog = a.entry.Links["changelog"]
	case !a.IsOfImage && (a.Origin == nil || isFromFile):
		if err := s.own(a); err != nil {
			return nil, err
		}
	}
	s.Judge(a)
	return a, nil
}

// Judge decides once more whether the release of an app may be installed, by what is known now.
func (s *Survey) Judge(a *App) {
	a.Findings = update.Judge(a.Installed, a.candidate, a.Settings, a.Facts, s.Now)
}

// stage compiles the installed apps with the releases of some of them: with all at once, which mostly
// fits and takes the time of one, or else with each alone.
func (s *Survey) stage(apps []*App) error {
	releases := map[string]update.Release{}
	for _, a := range apps {
		releases[a.ID] = *a.To
	}
	together, err := s.Stage(releases)
	if err != nil {
		return err
	}
	for _, a := range apps {
		a.Staged = together
	}
	if len(apps) == 1 || !slices.ContainsFunc(apps, func(a *App) bool { return s.Misfit(a) != "" }) {
		return nil
	}
	for _, a := range apps {
		if a.Staged, err = s.Stage(map[string]update.Release{a.ID: *a.To}); err != nil {
			return err
		}
	}
	return nil
}

// storedApp is what is stored of an installed app: its manifest, its release and what it was installed from.
type storedApp struct {
	file   string
	from   update.Release
	origin *update.Release
	err    error
}

// stored reads what is stored of apps.
func (s *Survey) stored(ids []string) []storedApp {
	list := make([]storedApp, len(ids))
	parallel.Each(len(ids), func(i int) {
		id, r := ids[i], &list[i]
		if r.file, r.err = s.file(id); r.err != nil {
			return
		}
		if r.from, r.err = ReleaseIn(s.Dir, id, r.file, s.Catalogs...); r.err != nil {
			return
		}
		r.origin, r.err = s.Store.Origin(id)
	})
	return list
}

// file is the manifest of an installed app.
func (s *Survey) file(id string) (string, error) {
	if file := s.files[id]; file != "" {
		return file, nil
	}
	file, err := s.Dir.Find(id) // it is not installed, or its directory could not be read
	if err == nil && file == "" {
		err = fmt.Errorf("no app %q is installed; see archgen status", id)
	}
	return file, err
}

// installed returns an installed app and its release.
func (s *Survey) installed(id string, stored storedApp) (*App, error) {
	if stored.err != nil {
		return nil, stored.err
	}
	from := stored.from
	s.files[id] = stored.file
	a := &App{Installed: update.Installed{ID: id, Version: from.Version, IsOfImage: filepath.Dir(stored.file) != filepath.Clean(s.Dir.Path())}}
	origin := s.originOf(id, stored, a.IsOfImage)
	a.From = from
	switch {
	case origin != nil && origin.Catalog == "": // what is installed is all that counts
		a.Origin = &origin.Origin
	case origin != nil && origin.Manifest != nil:
		a.Origin, a.From = &origin.Origin, from.Of(*origin)
	case origin != nil:
		a.Origin, a.From.Catalog = &origin.Origin, origin.Catalog
		a.Facts.Uncarried = textUnknown(id)
	}
	if trial := s.trials[id]; trial != nil {
		a.Facts.Trial = trial.Until
	}
	a.Digest = a.From.Sum()
	a.Facts.IsUnderWay = s.journal != nil && s.journal.App == id
	return a, nil
}

// manifest is the manifest of an installed app with its overlays, nil if it can't be read.
func (s *Survey) manifest(id string) *manifests.Manifest {
	list := s.Compiled.Loaded.Manifests
	i := slices.IndexFunc(list, func(m *manifests.Manifest) bool { return manifests.AppOf(m.File) == id })
	if i < 0 {
		return nil
	}
	return list[i]
}

func settingsOf(u manifests.Update) update.Settings {
	settings := update.Settings{Policy: u.Policy, Wait: time.Duration(u.Wait)}
	if u.Hold != nil {
		settings.Hold = &update.Hold{Until: u.Hold.Until, Why: u.Hold.Why}
	}
	return settings
}

// entry is the release of the catalog that an app is from, nil without one. If that is unknown, it is
// the one that archgen install would take.
func (s *Survey) entry(a *App) *catalog.Entry {
	for i, e := range slices.Backward(s.Catalogs) {
		isOrigin := a.Origin == nil && e.Catalog == catalog.Own || a.Origin != nil && e.From == a.Origin.Catalog
		if e.ID == a.ID && isOrigin {
			return &s.Catalogs[i]
		}
	}
	return nil
}

// newest is the release of the app's entry, with the time at which this machine first saw it.
func (s *Survey) newest(a *App) *update.Candidate {
	to := ReleaseOf(*a.entry)
	if a.Facts.Uncarried == "" {
		to, a.Facts.Uncarried = s.carry(a, to)
	}
	c := s.candidate(a, to)
	c.Withdrawn, c.IsStale = a.entry.Withdrawn, a.entry.IsStale
	c.Rollout = update.Turn(a.entry.Rollout, s.Machine, a.ID, to.Origin)
	if a.Origin != nil {
		c.ClosesHole = a.Origin.Revision < a.entry.Security && a.entry.Security <= to.Revision
	}
	return c
}

// candidate makes a release the one to install, and adds what is known about it.
func (s *Survey) candidate(a *App, to update.Release) *update.Candidate {
	a.To = &to
	if first, isKnown := s.seen[to.Digest]; !isKnown || first.After(s.Now) { // the clock was ahead
		s.seen[to.Digest], s.hasNew = s.Now.UTC().Truncate(time.Second), true
	}
	if r, isRefused := s.refused[to.Digest]; isRefused && r.App == a.ID {
		a.Facts.Refusal = &r
	}
	return &update.Candidate{Origin: to.Origin, FirstSeen: s.seen[to.Digest]}
}

// observe adds what runs.
func (s *Survey) observe(a *App) {
	u := s.Units[units.ServiceName(a.ID)]
	a.Facts.Masked = u.Masked
	a.Facts.Stopped = !u.Masked && (u.Active == units.Inactive || u.Active == "")
	a.Facts.NotServing = !a.Facts.Masked && !a.Facts.Stopped && (u.Active != units.Active || u.Paused)
	a.Facts.RolledBack = s.rolledBack(a.ID, map[string]bool{})
}

// rolledBack is an app that was rolled back in this run and that another one needs, by other apps or itself.
func (s *Survey) rolledBack(id string, visited map[string]bool) string {
	app, _ := s.Want.Find(id)
	for _, need := range app.Needs {
		if s.RolledBack[need] {
			return need
		}
		if !visited[need] {
			visited[need] = true
			if found := s.rolledBack(need, visited); found != "" {
				return found
			}
		}
	}
	return ""
}

// ReleaseOf is the release of an entry of a catalog.
func ReleaseOf(e catalog.Entry) update.Release {
	r := update.Release{
		Origin: update.Origin{Catalog: e.From, Revision: e.Revision, Version: e.Version},
		File:   e.File, Manifest: e.Text, Templates: e.Templates,
	}
	for _, f := range e.Seeds {
		r.Seeds = append(r.Seeds, update.Seed{Path: f.Path, IsExecutable: f.IsExecutable, Data: f.Data})
	}
	r.Digest = r.Sum()
	return r
}

// ReleaseIn reads the installed release of an app, whose manifest is in a file, with the overlays of its
// edits and images. Its digest is without them. It is from no catalog as far as its file says. Of a manifest with errors it has the text only.
// Known entries are not parsed again.
func ReleaseIn(dir installed.Directory, id, file string, known ...catalog.Entry) (update.Release, error) {
	e, text, _, err := catalog.ReadEntry(file, known...)
	if err != nil {
		return update.Release{}, err
	}
	e.File, e.Text, e.Version = filepath.Base(file), text, cmp.Or(e.Version, "-")
	r := ReleaseOf(e)
	r.Catalog = ""
	var errPin error
	r.Edits, err = dir.Edits(id)
	r.Pin, errPin = dir.Pin(id)
	return r, errors.Join(err, errPin)
}

// AppOf is what manifests/installed installs of a release.
func AppOf(id string, r update.Release, grants []string) installed.App {
	app := installed.App{ID: id, File: r.File, Manifest: r.Manifest, Templates: r.Templates, Grants: grants}
	for _, f := range r.Seeds {
		app.Seeds = append(app.Seeds, manifests.SeedFile{Path: f.Path, IsExecutable: f.IsExecutable, Data: f.Data})
	}
	return app
}

// Staged is the installed apps as they would be with a release.
type Staged struct {
	*compile.Compiled
	Want units.Desired
	// dir is the directory in which the release was staged. It is removed.
	dir string
}

// Stage compiles the installed apps with releases of some of them. It does not check grants.
func (s *Survey) Stage(releases map[string]update.Release) (*Staged, error) {
	dir, err := os.MkdirTemp("", "archgen-update-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for id, r := range releases {
		if err := s.write(dir, id, r); err != nil {
			return nil, err
		}
	}
	from := s.Source
	from.Ungranted = true
	k, want, err := from.InstalledWith(dir)
	if err == nil && k.Set == nil {
		i := slices.IndexFunc(k.Diags, func(d diag.Diagnostic) bool { return d.Severity == diag.Error })
		err = fmt.Errorf("compiling the installed apps with another release: %v", k.Diags[max(i, 0)])
	}
	if err != nil {
		return nil, err
	}
	return &Staged{k, want, dir}, nil
}

// write writes a release into a directory that outlives no command, with what else is beside the installed
// one and with the overlay of its edits. manifests/installed would wait for the disk.
func (s *Survey) write(dir, id string, r update.Release) error {
	s.copyOthers(filepath.Join(dir, manifests.FilesDir(id)), id, r)
	files := map[string][]byte{r.File: r.Manifest}
	for _, o := range []struct {
		name string
		text []byte
		of   func(string) ([]byte, error)
	}{{installed.EditedOverlay, r.Edits, s.Dir.Edits}, {installed.PinOverlay, r.Pin, s.Dir.Pin}} {
		if now, err := o.of(id); err != nil || !bytes.Equal(now, o.text) {
			files[filepath.Join(manifests.OverlaysDir(id), o.name)] = slices.Concat(o.text, []byte("\n")) // takes precedence over the installed one
		}
	}
	for name, text := range r.Templates {
		files[filepath.Join(manifests.FilesDir(id), name)] = text
	}
	for _, f := range r.Seeds {
		files[filepath.Join(manifests.FilesDir(id), f.Path)] = f.Data
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// copyOthers copies what an operator has put beside a manifest: templates and seeds that a release does not
// have. An update leaves them. What can't be read is missing when the apps are compiled.
func (s *Survey) copyOthers(to, id string, r update.Release) {
	from := filepath.Join(filepath.Dir(s.files[id]), manifests.FilesDir(id))
	entries, _ := os.ReadDir(from) // it mostly is absent
	isOfRelease := func(name string) bool {
		_, isTemplate := r.Templates[name]
		return isTemplate || slices.ContainsFunc(r.Seeds, func(f update.Seed) bool { return strings.HasPrefix(f.Path, name+"/") })
	}
	for _, e := range entries {
		if isOfRelease(e.Name()) {
			continue
		}
		path := filepath.Join(from, e.Name())
		if e.IsDir() {
			_ = os.CopyFS(filepath.Join(to, e.Name()), os.DirFS(path))
		} else if text, err := manifests.ReadFile(path); err == nil {
			_ = errors.Join(os.MkdirAll(to, 0o700), os.WriteFile(filepath.Join(to, e.Name()), text, 0o600))
		}
	}
}

// Images is the images of an app's release, each once.
func (a *App) Images() []string { return images(a.Staged.Want, a.ID) }

// Tags is what the registry of an image said last of the tags that follow.
func (s *Survey) Tags(image string) (t update.Tags, isKnown bool) {
	name, tag := update.SplitImage(image)
	t, isKnown = s.tags[name+":"+tag]
	return t, isKnown
}

// Images is the images of an installed app, each once.
func (s *Survey) Images(id string) []string { return images(s.Want, id) }

func images(want units.Desired, id string) (names []string) {
	app, _ := want.Find(id)
	for _, f := range app.Files {
		if image := f.Image(); image != "" && !slices.Contains(names, image) {
			names = append(names, image)
		}
	}
	return names
}

// defaultTrial is update.trial of a manifest that has none.
const defaultTrial = 10 * time.Minute

// TrialTime is how long the release to install is on trial.
func (a *App) TrialTime() time.Duration {
	app := a.Staged.Set.App(a.ID)
	if app == nil {
		return 0
	}
	return cmp.Or(time.Duration(app.Document.App.Update.Trial), defaultTrial)
}

// Others is the other apps whose files a release changes, such as Tor, which has the onion services of
// other apps in its configuration.
func (s *Survey) Others(id string, staged *Staged) (ids []string) {
	for _, app := range staged.Want.Apps {
		was, isOld := s.Want.Find(app.ID)
		if isOld && app.ID != id && !app.Files.Equal(was.Files) {
			ids = append(ids, app.ID)
		}
	}
	return ids
}

// Sharers returns the other apps that mount a volume of an app.
func (s *Survey) Sharers(id string) (list []string) {
	for _, app := range s.Compiled.Set.Apps {
		isSharer := slices.ContainsFunc(app.Parts, func(p manifests.Part) bool {
			return slices.ContainsFunc(p.Volumes, func(v manifests.Volume) bool { return v.App == id && app.ID() != id })
		})
		if isSharer {
			list = append(list, app.ID())
		}
	}
	return list
}
