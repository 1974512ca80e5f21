package statusview

import (
	"fmt"
	"slices"
	"strings"
)

// Select returns the app that an argument names, all apps without an argument. Its error lists the
// apps that exist.
func Select(apps []App, args []string) ([]App, error) {
	if len(args) == 0 {
		return apps, nil
	}
	i := slices.IndexFunc(apps, func(a App) bool { return a.ID == args[0] })
	if i >= 0 {
		return apps[i : i+1], nil
	}
	ids := make([]string, 0, len(apps))
	for _, a := range apps {
		ids = append(ids, a.ID)
	}
	return nil, NoSuchApp(args[0], ids)
}

// NoSuchApp is the error for an id that is not one of ids.
func NoSuchApp(id string, ids []string) error {
	if len(ids) == 0 {
		return fmt.Errorf("there is no app %q: no app is installed; archgen catalog lists the apps that can be", id)
	}
	return fmt.Errorf("there is no app %q; there are: %s", id, strings.Join(ids, ", "))
}
