package catalogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// Catalogs is the catalogs of a machine that come from sources.
type Catalogs struct {
	// Dirs is the directories of NAME.toml. The first one is written to.
	Dirs  []string
	Store statedir.Store
	// Podman pulls and reads images.
	Podman podmancli.Runner
	Now    func() time.Time
}

// State says whether apps of a catalog can be installed. Scripts may rely on the words.
type State string

// The states.
const (
	// Good: it is signed and has not expired.
	Good State = "good"
	// Stale: it has expired.
	Stale State = "stale"
	// Own: it is a directory without keys, which the operator answers for.
	Own State = "not-signed"
	// Unread: it was never read.
	Unread State = "not-read"
)

// Status is a catalog as the last refresh left it. The names of the fields are a contract.
type Status struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	State  State  `json:"state"`
	Apps   int    `json:"apps"`
	// Sequence, Issued and Expires are those of its index, zero if it is not signed.
	Sequence int       `json:"sequence,omitempty"`
	Read     time.Time `json:"read,omitzero"`
	Issued   time.Time `json:"issued,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	Keys     []string  `json:"keys"`
	// Threshold is how many of the keys have to sign the next index.
	Threshold int `json:"threshold,omitempty"`
	// IsChanged: a refresh has just found another release. It is no part of the JSON.
	IsChanged bool `json:"-"`
}

// List lists the catalogs by name.
func (s Catalogs) List() ([]Status, diag.List) {
	list := []Status{}
	diags := s.each(func(c Config, known *statedir.Catalog) { list = append(list, s.status(c, known)) })
	return list, diags
}

// each calls a function with each catalog that is configured, and what is known of it, nil if nothing is.
// It returns the errors of the others.
func (s Catalogs) each(do func(Config, *statedir.Catalog)) diag.List {
	configs, diags := s.Configs()
	for _, c := range configs {
		known, err := s.known(c.Name)
		if err != nil {
			diags = append(diags, diag.Diagnostic{Code: diag.Unreadable, File: c.File, Message: err.Error()})
			continue
		}
		do(c, known)
	}
	return diags
}

// errNoState is said where the environment is empty.
var errNoState = errors.New("HOME is not set, so what is known of catalogs can't be found: set HOME")

// known is what is known of a catalog, nil if nothing is.
func (s Catalogs) known(name string) (*statedir.Catalog, error) {
	if s.Store.State == "" {
		return nil, errNoState
	}
	return s.Store.Catalog(name)
}

// lock locks out other changes of catalogs.
func (s Catalogs) lock(ctx context.Context) (unlock func(), err error) {
	if s.Store.State == "" {
		return nil, errNoState
	}
	return s.Store.LockCatalogs(ctx)
}

func (s Catalogs) status(c Config, known *statedir.Catalog) Status {
	st := Status{Name: c.Name, Source: c.Source, State: Unread, Keys: []string{}}
	if known == nil {
		return st
	}
	st.State, st.Apps, st.Read = Own, len(known.Apps), known.Read
	if len(known.Keys) > 0 {
		st.State, st.Sequence, st.Issued, st.Expires, st.Keys, st.Threshold = Good, known.Sequence, known.Issued, known.Expires, known.Keys, known.Threshold
		if !trusted(c, known).Now(s.Now()).Before(known.Expires) {
			st.State = Stale
		}
	}
	return st
}

// Remotes is the catalogs that were read, for the list of apps.
func (s Catalogs) Remotes() (list []catalog.Remote, diags diag.List) {
	diags = s.each(func(c Config, known *statedir.Catalog) {
		if known == nil {
			return
		}
		r := catalog.Remote{
			Name: c.Name, Dir: s.Store.CatalogDir(c.Name, *known), Allow: c.Allow,
			IsStale: s.status(c, known).State == Stale, Withdrawn: map[string]string{}, Security: map[string]int{}, Rollout: map[string]time.Duration{},
		}
		for id, app := range known.Apps {
			r.Withdrawn[id], r.Security[id], r.Rollout[id] = app.Withdrawn, app.Security, app.Rollout
		}
		list = append(list, r)
	})
	return list, diags
}

// Add reads a catalog, and configures it if it is accepted.
func (s Catalogs) Add(ctx context.Context, c Config) (Status, error) {
	if err := c.check(); err != nil {
		return Status{}, err
	}
	configs, _ := s.Configs()
	if i := slices.IndexFunc(configs, func(o Config) bool { return o.Name == c.Name }); i >= 0 {
		return Status{}, fmt.Errorf("there is a catalog %s already, in %s: remove it, or choose another name", c.Name, configs[i].File)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Status{}, err
	}
	defer unlock()
	if err := s.Store.RemoveCatalog(c.Name); err != nil { // of a catalog whose file was removed by hand
		return Status{}, err
	}
	st, err := s.refresh(ctx, c)
	if err != nil {
		return st, err
	}
	if err := durable.Replace(s.Dirs[0], c.Name+".toml", c.text()); err != nil {
		return st, errors.Join(err, s.Store.RemoveCatalog(c.Name))
	}
	return st, nil
}

// Remove removes a catalog and what is known of it. Its installed apps stay.
func (s Catalogs) Remove(ctx context.Context, name string) error {
	c, err := s.Find(name)
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.unconfigure(c); err != nil {
		return err
	}
	return s.Store.RemoveCatalog(name)
}

// Refresh reads a catalog again. If it is refused, the content before it stays.
func (s Catalogs) Refresh(ctx context.Context, name string) (Status, error) {
	c, err := s.Find(name)
	if err != nil {
		return Status{}, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Status{}, err
	}
	defer unlock()
	return s.refresh(ctx, c)
}

// RefreshAll reads some catalogs again, or all without names, and reports each that is accepted. Its
// error has the reasons of the others.
func (s Catalogs) RefreshAll(ctx context.Context, names []string, tell func(Status)) (accepted int, err error) {
	var errs []error
	if len(names) == 0 {
		configs, diags := s.Configs()
		for _, c := range configs {
			names = append(names, c.Name)
		}
		for _, d := range diags {
			errs = append(errs, errors.New(d.String()))
		}
	}
	for _, name := range names {
		st, err := s.Refresh(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		accepted++
		tell(st)
	}
	return accepted, errors.Join(errs...)
}

func (s Catalogs) refresh(ctx context.Context, c Config) (Status, error) {
	known, err := s.known(c.Name)
	if err != nil {
		return Status{}, err
	}
	next, files, err := s.fetch(ctx, c, known)
	if err != nil {
		return Status{}, fmt.Errorf("the catalog %s is refused: %w", c.Name, err)
	}
	if err := s.Store.SaveCatalog(c.Name, next, files); err != nil {
		return Status{}, err
	}
	if known != nil && known.Image != "" && known.Image != next.Image {
		_ = s.Podman.Run(ctx, "image", "rm", "--", known.Image) // it stays if something uses it
	}
	st := s.status(c, &next)
	st.IsChanged = known == nil || known.Content != next.Content
	return st, nil
}

// fetch reads and verifies a catalog.
func (s Catalogs) fetch(ctx context.Context, c Config, known *statedir.Catalog) (next statedir.Catalog, files map[string][]byte, err error) {
	next = statedir.Catalog{Source: c.Source}
	t := trusted(c, known)
	if len(t.Keys) == 0 {
		_, dir, _ := strings.Cut(c.Source, ":")
		if files, err = Files(dir); err != nil {
			return next, nil, err
		}
		next.Content = string(sumOf(files))
		s.note(&next, &index.Index{}, files)
		return next, files, nil
	}
	read, image, err := s.open(ctx, c.Source)
	if err != nil {
		return next, nil, err
	}
	x, t, err := verify(read, t, s.Now())
	if err != nil {
		return next, nil, err
	}
	if files, err = x.Read(read); err != nil {
		return next, nil, err
	}
	next.Content, next.Image = string(t.Sum), image
	next.Sequence, next.Issued, next.Expires, next.Newest = x.Sequence, x.Issued, x.Expires, t.Newest
	next.Threshold = t.Threshold
	for _, k := range t.Keys {
		next.Keys = append(next.Keys, string(k))
	}
	s.note(&next, x, files)
	return next, files, nil
}

// verify reads and verifies an index.
func verify(read reader, t index.Trusted, now time.Time) (*index.Index, index.Trusted, error) {
	text, err := read(index.File)
	if err != nil {
		return nil, t, &index.RefusedError{Reason: index.Unsigned, Message: fmt.Sprintf("its index %s can't be read: %v", index.File, manifests.CauseOf(err))}
	}
	signatures, _ := read(index.SignatureFile) // without it the index is not signed
	return index.Verify(text, signatures, t, now)
}

// trusted is what the next index is compared with. The keys of the file count until the first index
// is accepted.
func trusted(c Config, known *statedir.Catalog) index.Trusted {
	t := index.Trusted{Name: c.Name, Keys: c.Keys, Threshold: c.Threshold}
	if known == nil || len(known.Keys) == 0 {
		return t
	}
	t.Keys, t.Threshold, t.Newest = nil, known.Threshold, known.Newest
	t.Sequence, t.Sum = known.Sequence, index.Sum(known.Content)
	for _, k := range known.Keys {
		t.Keys = append(t.Keys, index.Key(k))
	}
	return t
}

// note records the apps, and what the index says of them.
func (s Catalogs) note(next *statedir.Catalog, x *index.Index, files map[string][]byte) {
	next.Read, next.Apps = s.Now().UTC().Truncate(time.Second), map[string]statedir.CatalogApp{}
	for file := range files {
		if path.Dir(file) != "." {
			continue
		}
		id := strings.TrimSuffix(file, path.Ext(file))
		said := x.Apps[id]
		next.Apps[id] = statedir.CatalogApp{Security: said.Security, Withdrawn: said.Withdrawn, Rollout: time.Duration(said.Rollout)}
	}
}

// sumOf is the checksum of files with their names.
func sumOf(files map[string][]byte) index.Sum {
	var b bytes.Buffer
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%s %s\n", index.SumOf(files[file]), file)
	}
	return index.SumOf(b.Bytes())
}
