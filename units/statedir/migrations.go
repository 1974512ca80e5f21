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

// Migrated is the versions for which the migrations of a part have run.
func (s Store) Migrated(part string) (versions []string, err error) {
	text, err := durable.ReadFile(s.migrations(), part+migrationSuffix)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &versions)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was migrated from %s: %w; correct it by hand, it lists versions",
			filepath.Join(s.migrations(), part+migrationSuffix), err)
	}
	return versions, nil
}

// SaveMigrated keeps the versions for which the migrations of a part have run.
func (s Store) SaveMigrated(part string, versions []string) error {
	text, err := json.Marshal(versions)
	if err != nil {
		return fmt.Errorf("writing down what was migrated of %s: %w", part, err)
	}
	return durable.Replace(s.migrations(), part+migrationSuffix, append(text, '\n'))
}

// ForgetMigrated removes the record of the migrations of apps whose data is gone.
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
