package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

func checkHealthd(ctx context.Context, e *Env) Result {
	manager, err := e.Manager()
	if err != nil {
		return warn("", "can't be checked without the manager: %v", err)
	}
	found, err := manager.Units(ctx, units.HealthdService)
	if err != nil || len(found) != 1 {
		return warn("", "reading the state of %s: %v", units.HealthdService, err)
	}
	return judgeHealthd(found[0], e.Scope)
}

// judgeHealthd judges the state of healthd. Apps run without it, so it is never a
// problem.
func judgeHealthd(u systemd.Unit, scope units.Scope) Result {
	journalctl := "journalctl --user "
	if scope == units.System {
		journalctl = "journalctl "
	}
	enable := scope.Systemctl("enable --now " + units.HealthdService)
	const late = "apps are repaired late, or only when you run archgen apply"
	switch {
	case u.LoadState == "not-found":
		return warn("", "it is not installed: %s", late)
	case u.LoadState == "masked":
		return warn(scope.Systemctl("unmask "+units.HealthdService)+" && "+enable, "it is masked: %s", late)
	case u.ActiveState == "active" && u.UnitFileState == "enabled":
		return fine("it watches the apps")
	case u.ActiveState == "active":
		return warn(enable, "it runs, but does not start at the next boot")
	case u.ActiveState == "activating", u.ActiveState == "failed":
		return warn(journalctl+"-x -n 20 -u "+units.HealthdService, "it does not start: %s", late)
	}
	return warn(enable, "it does not run: %s", late)
}

func checkWatches(_ context.Context, e *Env) Result {
	list, err := e.Watches()
	if err != nil {
		return warn("", "can't be checked without the manager: %v", err)
	}
	if len(list) == 0 {
		return fine("no watch of files has failed")
	}
	failed, fixes := make([]string, 0, len(list)), make([]string, 0, len(list))
	for _, w := range list {
		failed = append(failed, w.String())
		fixes = append(fixes, w.Mend)
	}
	return warn(strings.Join(slices.Compact(fixes), "\n"), "%s", strings.Join(failed, "; "))
}
