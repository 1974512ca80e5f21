package prestart

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// Forget removes what was rendered for apps that are gone. Of those that were purged it
// removes the record of what was migrated as well: installed again, the app has no data that
// was.
func (r Renderer) Forget(apps, purged []string) error {
	names, err := durable.Names(r.filesDir())
	errs := []error{err}
	for _, name := range names {
		if id, _, _ := strings.Cut(name, "."); slices.Contains(apps, id) {
			errs = append(errs, os.RemoveAll(r.Dir(name)))
		}
	}
	return errors.Join(append(errs, statedir.Store{State: r.State}.ForgetMigrated(purged))...)
}
