package statedir

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units/durable"
)

// catalogsDir holds NAME.json of each catalog from a source, and its content in NAME/CONTENT/.
const catalogsDir = "catalogs"

// Catalog is what is known of a catalog from a source: what was verified last, and what the next
// index is compared with.
type Catalog struct {
	// Source is where it was read, Read when.
	Source string    `json:"source"`
	Read   time.Time `json:"read"`
	// Content is the directory of its files in the directory of the catalog: the checksum of the
	// index.
	Content string `json:"content"`
	// Image is the id of the image of its content, empty if it was none.
	Image string `json:"image,omitempty"`

	// Sequence, Issued and Expires are those of its index. They are zero for a catalog without
	// signatures.
	Sequence int       `json:"sequence,omitempty"`
	Issued   time.Time `json:"issued,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	// Newest is the newest time at which an accepted index was issued.
	Newest time.Time `json:"newest,omitzero"`
	// Keys and Threshold is how many of which keys have to sign the next index.
	Keys      []string `json:"keys,omitempty"`
	Threshold int      `json:"threshold,omitempty"`

	// Apps is the apps of the catalog by id.
	Apps map[string]CatalogApp `json:"apps"`
}

// CatalogApp is what is known of an app of a catalog.
type CatalogApp struct {
	// Security is the revision below which every one has a known hole, Withdrawn why the app must
	// not be installed, and Rollout the time over which machines take a release.
	Security  int           `json:"security,omitempty"`
	Withdrawn string        `json:"withdrawn,omitempty"`
	Rollout   time.Duration `json:"rollout,omitempty"`
}

// Catalog reads what is known of a catalog. It is nil if nothing is. A damaged file is an error:
// without it, an old index could be taken for a new one.
func (s Store) Catalog(name string) (*Catalog, error) {
	data, err := durable.ReadFile(s.catalogs(), name+".json")
	if err != nil || data == nil {
		return nil, err
	}
	c := &Catalog{}
	if err := json.Unmarshal(data, c); err != nil || c.Content == "" || filepath.Base(c.Content) != c.Content {
		return nil, fmt.Errorf("%s is damaged: remove the catalog and add it again (archgen catalog remove %s)", filepath.Join(s.catalogs(), name+".json"), name)
	}
	return c, nil
}

// SaveCatalog replaces a catalog and its content in one step: the content is in a directory of its
// own, which NAME.json names.
func (s Store) SaveCatalog(name string, c Catalog, files map[string][]byte) error {
	was, err := s.Catalog(name)
	if err != nil {
		return err
	}
	names, err := durable.Names(s.catalog(name))
	if err != nil {
		return err
	}
	if was == nil || was.Content != c.Content || !slices.Contains(names, c.Content) {
		if err := durable.CreateTree(s.catalog(name), c.Content, files); err != nil {
			return err
		}
	}
	if err := save(s.catalogs(), name+".json", c); err != nil {
		return err
	}
	for _, n := range names {
		if n == c.Content {
			continue
		}
		if err := durable.RemoveTree(s.catalog(name), n); err != nil {
			return err
		}
	}
	return nil
}

// RemoveCatalog removes what is known of a catalog, and its content.
func (s Store) RemoveCatalog(name string) error {
	if err := durable.Remove(s.catalogs(), name+".json"); err != nil {
		return err
	}
	return durable.RemoveTree(s.catalogs(), name)
}

// CatalogDir is the directory of the content of a catalog.
func (s Store) CatalogDir(name string, c Catalog) string {
	return filepath.Join(s.catalog(name), c.Content)
}

// LockCatalogs locks out other changes of catalogs until unlock is called.
func (s Store) LockCatalogs(ctx context.Context) (unlock func(), err error) {
	return durable.LockFile(ctx, s.catalogs(), ".lock", lockTimeout)
}

func (s Store) catalogs() string { return filepath.Join(s.State, catalogsDir) }

func (s Store) catalog(name string) string { return filepath.Join(s.catalogs(), name) }
