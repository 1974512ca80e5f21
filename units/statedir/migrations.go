package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units/durable"
)

const (
	migrationsDir   = "migrated"
	migrationSuffix = ".json"
)

func (s Store) migrations() string { return filepath.Join(s.State, migrationsDir) }

// Migrated returns the names of the migrations of a part that have run, and of its commands that run
// once.
func (s Store) Migrated(part string) (versions []string, err error) {
	text, err := durable.ReadFile(s.migrations(), part+migrationSuffix)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &versions)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of migrations %s: %w; correct it by hand: it is a list of versions",
			filepath.Join(s.migrations(), part+migrationSuffix), err)
	}
	return versions, nil
}

// SaveMigrated stores the names of what has run once.
func (s Store) SaveMigrated(part string, versions []string) error {
	text, err := json.Marshal(versions)
	if err != nil {
		return fmt.Errorf("recording the migrations of %s: %w", part, err)
	}
	return durable.Replace(s.migrations(), part+migrationSuffix, append(text, '\n'))
}

// ForgetMigrated removes the record of migrations of apps whose data is deleted.
func (s Store) ForgetMigrated(apps []string) error {
	names, err := durable.Names(s.migrations())
	errs := []error{err}
	for _, name := range names {
		if id, _, _ := strings.Cut(name, "."); slices.Contains(apps, id) {
			errs = append(errs, durable.Remove(s.migrations(), name))
		}
	}
	return errors.Join(errs...)
}
