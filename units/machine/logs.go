package machine

import (
	"context"
	"os/exec"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// Logs selects the lines of the journal that are shown.
type Logs struct {
	Scope    units.Scope
	Services []string
	// Lines is the number of last lines, or "all". Since is a time in journalctl's syntax.
	Lines, Since string
	// Follow continues with new lines.
	Follow bool
}

// Arguments returns the arguments of journalctl.
func (l Logs) Arguments() []string {
	args := []string{"--no-hostname", "--lines=" + l.Lines}
	if l.Scope == units.User {
		args = append(args, "--user")
	}
	if l.Follow {
		args = append(args, "--follow")
	}
	if l.Since != "" {
		args = append(args, "--since="+l.Since)
	}
	for i, service := range l.Services {
		if i > 0 {
			args = append(args, "+")
		}
		args = append(args, LogMatches(l.Scope, service)...)
	}
	return args
}

// Logged returns the services of apps that have lines in the journal.
func Logged(ctx context.Context, scope units.Scope) []string {
	ctx, cancel := context.WithTimeout(ctx, journalTime)
	defer cancel()
	args := []string{"--quiet", "--field=_SYSTEMD_UNIT"}
	if scope == units.User {
		args = []string{"--quiet", "--user", "--field=_SYSTEMD_USER_UNIT"}
	}
	out, err := exec.CommandContext(ctx, "journalctl", args...).Output() //nolint:gosec // the arguments are those above
	if err != nil {
		return nil // journalctl reports the error when it is run for the log
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(s string) bool { return units.AppOf(s) == "" })
}

// LoggedServices returns the services of an app that may have a log: it is one of those installed,
// has a unit file, or has lines in the journal.
func (b Base) LoggedServices(ctx context.Context, app string, installed []string) (services []string) {
	for _, id := range installed {
		services = append(services, units.ServiceName(id))
	}
	files, _ := b.Files().Read() // a log needs no unit file, so a file that can't be read is skipped
	for _, f := range files {
		services = append(services, units.ServiceOf(f.Name))
	}
	services = append(services, Logged(ctx, b.Scope)...)
	services = slices.DeleteFunc(services, func(s string) bool { return units.AppOf(s) != app })
	slices.Sort(services)
	return slices.Compact(services)
}
