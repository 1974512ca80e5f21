package machine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/container"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// Services is the services of one systemd manager.
type Services struct {
	Manager *systemd.Manager
	Scope   units.Scope
}

// pattern is that of all services of apps. `app*` would match app.slice.
const pattern = "app@*.service"

// Service is everything that is known of a service.
type Service struct {
	State   units.Unit
	Systemd systemd.Unit
	// Container is empty where none runs.
	Container container.Running
}

// Observe tells of the named services and of all services of apps. Where
// Podman checks a container itself, its health is what the last check said.
func (s Services) Observe(ctx context.Context, names []string) (map[string]units.Unit, error) {
	found, err := s.All(ctx, names)
	if err != nil {
		return nil, err
	}
	list := make(map[string]units.Unit, len(found))
	for name, f := range found {
		list[name] = f.State
	}
	return list, nil
}

// All is Observe with everything that is known.
func (s Services) All(ctx context.Context, names []string) (map[string]Service, error) {
	loaded, err := s.Manager.ListByPatterns(ctx, pattern)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	for _, u := range loaded {
		wanted[u.Name] = true
	}
	found, err := s.Manager.Units(ctx, slices.Sorted(maps.Keys(wanted))...)
	if err != nil {
		return nil, err
	}
	list := make(map[string]Service, len(found))
	for _, u := range found {
		if list[u.Name], err = service(u); err != nil {
			return nil, fmt.Errorf("looking at the container of %s: %w", u.Name, err)
		}
	}
	return list, nil
}

// service translates what systemd says, and looks at the container.
func service(u systemd.Unit) (Service, error) {
	s := Service{Systemd: u, State: units.Unit{
		Loaded: u.LoadState == "loaded", NeedsReload: u.NeedDaemonReload, Active: activeState(u.ActiveState),
		Restarting: strings.HasPrefix(u.SubState, "auto-restart"),
		Clean:      u.Result == "success", WasActive: u.ActiveEnterTimestamp != 0, Invocation: u.InvocationID,
	}}
	if u.MainPID == 0 {
		return s, nil
	}
	running, err := container.Look("/", int(u.MainPID), u.ControlGroup)
	if err != nil && !errors.Is(err, container.ErrNone) {
		return s, err
	}
	s.Container = running
	s.State.Digest, s.State.Paused, s.State.Health = running.Digest, running.Paused, checked[running.Check]
	return s, nil
}

// activeState takes the states together that make no difference here.
func activeState(state string) units.ActiveState {
	switch state {
	case "reloading", "refreshing":
		return units.Active
	case "maintenance":
		return units.Inactive
	}
	return units.ActiveState(state)
}

// checked is what the last check that Podman ran means.
var checked = map[string]units.Health{"healthy": units.Serving, "starting": units.Loading, "unhealthy": units.Sick}

// Reload lets systemd read all units again.
func (s Services) Reload(ctx context.Context) error { return s.Manager.Reload(ctx) }

// ResetFailed makes systemd forget that a service failed.
func (s Services) ResetFailed(ctx context.Context, name string) error {
	err := s.Manager.ResetFailed(ctx, name)
	if errors.Is(err, systemd.ErrNoSuchUnit) {
		return nil
	}
	return err
}

// Start starts a service and waits until its job is done.
func (s Services) Start(ctx context.Context, name string) error {
	return s.job(ctx, "starting", name, s.Manager.Start)
}

// Restart restarts a service and waits until its job is done.
func (s Services) Restart(ctx context.Context, name string) error {
	return s.job(ctx, "restarting", name, s.Manager.Restart)
}

// Stop stops a service and waits until its job is done.
func (s Services) Stop(ctx context.Context, name string) error {
	return s.job(ctx, "stopping", name, s.Manager.Stop)
}

func (s Services) job(ctx context.Context, doing, name string, do func(ctx context.Context, name, mode string) (systemd.JobResult, error)) error {
	result, err := do(ctx, name, systemd.Replace)
	if err != nil || result == systemd.JobDone {
		return err
	}
	why := ""
	if found, err := s.Manager.Units(ctx, name); err == nil && len(found) == 1 && found[0].Result != "success" {
		why = ", result " + found[0].Result
	}
	return fmt.Errorf("%s %s: the job ended with %q%s", doing, name, result, why)
}

// journalTime bounds a look into the journal.
const journalTime = 10 * time.Second

// Log is the last lines that a service wrote.
func (s Services) Log(ctx context.Context, name string, lines int) []string {
	return s.journal(ctx, "--unit="+name, "--lines="+strconv.Itoa(lines))
}

// GeneratorLog is what Podman's generator said about a file since then.
func (s Services) GeneratorLog(ctx context.Context, file string, since time.Time) []string {
	all := s.journal(ctx, "--identifier=quadlet-generator", "--since=@"+strconv.FormatInt(since.Unix(), 10))
	return slices.DeleteFunc(all, func(line string) bool { return !strings.Contains(line, file) })
}

// journal asks the journal; what can't be had is no reason to fail.
func (s Services) journal(ctx context.Context, args ...string) []string {
	ctx, cancel := context.WithTimeout(ctx, journalTime)
	defer cancel()
	args = append([]string{"--quiet", "--no-pager", "--output=cat"}, args...)
	if s.Scope == units.User {
		args = append(args, "--user")
	}
	out, err := exec.CommandContext(ctx, "journalctl", args...).Output()
	if err != nil || len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}
