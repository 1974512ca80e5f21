package prestart

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units/durable"
)

// Forget removes what was rendered for apps that are gone. Of those that were purged it
// removes the record of what was migrated as well: installed again, the app has no data that
// was.
func (r Renderer) Forget(apps, purged []string) error {
	return errors.Join(removeOf(apps, r.filesDir()), removeOf(purged, migratedDir(r.State)))
}

// removeOf removes what a directory has of apps.
func removeOf(apps []string, dir string) error {
	names, err := durable.Names(dir)
	errs := []error{err}
	for _, name := range names {
		if id, _, _ := strings.Cut(name, "."); slices.Contains(apps, id) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}
