package doctor

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units/paths"
)

// Both scopes run the apps of these directories.
var sharedApps = strings.Join(paths.SharedApps, " and ")

func checkUsers(_ context.Context, e *Env) Result {
	enabled := enabledForUsers(e.Root)
	if len(enabled) == 0 {
		return fine("no user's systemd runs the apps of the system")
	}
	return warn(disableForUsers(enabled), "every user's systemd runs the apps of the system as well (%s), and an app that runs twice loses its port", sharedApps)
}

// enabledForUsers is our units that are enabled for every user, as a package does it.
func enabledForUsers(root string) []string {
	links, _ := filepath.Glob(filepath.Join(root, "etc/systemd/user/*.wants/archipelago-*")) // the pattern is valid
	names := make([]string, 0, len(links))
	for _, l := range links {
		names = append(names, filepath.Base(l))
	}
	slices.Sort(names)
	return names
}

// disableForUsers is the commands for a machine whose system runs the apps.
func disableForUsers(enabled []string) string {
	list := strings.Join(enabled, " ")
	return "sudo systemctl --global disable " + list + "\nsystemctl --user stop " + list + "   # as each user who is logged in or lingers"
}

// SystemConflict is an error if every user's systemd would also run an app that is installed
// for the system.
func SystemConflict(root string) error {
	enabled := enabledForUsers(root)
	if len(enabled) == 0 {
		return nil
	}
	return errors.New("each user's systemd runs the apps of " + sharedApps + " as well, and an app that runs twice loses its port:\n" + disableForUsers(enabled))
}
