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
// record of migrations, because an app that is installed again starts with no data.
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
