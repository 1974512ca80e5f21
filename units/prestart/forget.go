package prestart

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// Forget removes the rendered files of removed apps. For purged apps it also removes the
// records of migrations and of data formats, because an app that is installed again starts with no
// data.
func (r Renderer) Forget(apps, purged []string) error {
	names, err := durable.Names(r.filesDir())
	errs := []error{err}
	for _, name := range names {
		if id, _, _ := strings.Cut(name, "."); slices.Contains(apps, id) {
			errs = append(errs, os.RemoveAll(r.Dir(name)))
		}
	}
	store := statedir.Store{State: r.State}
	return errors.Join(append(errs, store.ForgetMigrated(purged), store.ForgetDataFormats(purged))...)
}
