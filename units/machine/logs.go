package machine

import (
	"context"
	"os/exec"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// Logs is which lines of the journal are shown.
type Logs struct {
	Scope    units.Scope
	Services []string
	// Lines is how many of the last ones, or "all"; Since is a time as journalctl takes it.
	Lines, Since string
	// Follow goes on with new ones.
	Follow bool
}

// Arguments is those of journalctl.
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

// Logged is the services of apps that the journal has lines of.
func Logged(ctx context.Context, scope units.Scope) []string {
	ctx, cancel := context.WithTimeout(ctx, journalTime)
	defer cancel()
	args := []string{"--quiet", "--field=_SYSTEMD_UNIT"}
	if scope == units.User {
		args = []string{"--quiet", "--user", "--field=_SYSTEMD_USER_UNIT"}
	}
	out, err := exec.CommandContext(ctx, "journalctl", args...).Output() //nolint:gosec // they are those above
	if err != nil {
		return nil // journalctl itself will say why
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(s string) bool { return units.AppOf(s) == "" })
}
