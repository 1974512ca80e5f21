// Package lifecycle owns what verbs do that change which apps are installed, and how: it has
// cmd/archgen/install change the manifests, asks the operator what has to be decided first, and
// makes the pass that follows.
//
// It decides neither what belongs together nor what may be deleted (cmd/archgen/install does), and
// starts and stops nothing itself: the pass does.
package lifecycle

import (
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
)

// Apps changes the installed apps of a machine.
type Apps struct{ *passes.Passes }

// SetEnabled has apps start at boot, or not.
func (a Apps) SetEnabled(ids []string, isEnabled bool) error {
	dir, err := a.Directory()
	if err != nil {
		return err
	}
	_, want, err := a.Installed()
	if err != nil {
		return err
	}
	if _, err := want.Only(ids); err != nil {
		return err
	}
	for _, app := range want.Apps {
		if !slices.Contains(ids, app.ID) || app.Enabled == isEnabled {
			continue
		}
		if err := dir.SetEnabled(app.ID, isEnabled); err != nil {
			return err
		}
		fmt.Fprintf(a.Stderr, "%s: %s\n", app.ID, map[bool]string{true: "starts at boot", false: "does not start at boot"}[isEnabled])
	}
	return a.Apply(ids, passes.Always(""))
}
