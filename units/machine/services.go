package machine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// Services is the services of one systemd manager.
type Services struct {
	Manager *systemd.Manager
	Scope   units.Scope
}

// patterns is those of all services of apps, and of what gets what apps lack. `app*`
// would match app.slice.
var patterns = []string{units.AppServices, units.PullOf("*")}

// Service is everything that is known of a service.
type Service struct {
	State   units.Unit
	Systemd systemd.Unit
	// Container is empty where none runs.
	Container podman.Running
}

// Observe tells of the named services, and with others of all services of apps.
// Where Podman checks a container itself, its health is what the last check said.
//
// Of services that are up it asks systemd only what decides something: reading
// one in full costs systemd and us ten times as much. Of those that systemd did not
// keep in mind there is nothing to be asked.
func (s Services) Observe(ctx context.Context, names []string, others bool) (map[string]units.Unit, error) {
	listed, forgotten, err := s.listed(ctx, names, others)
	if err != nil {
		return nil, err
	}
	var up []string
	var down []systemd.Listed
	inShort := make(map[string]systemd.Listed, len(listed))
	list := make(map[string]units.Unit, len(listed)+len(forgotten))
	for _, u := range forgotten {
		if u.ActiveState != string(units.Inactive) || u.JobID != 0 { // it was started since
			listed = append(listed, u)
			continue
		}
		list[u.Name] = units.Unit{Loaded: isLoaded(u.LoadState), Masked: u.LoadState == masked, Active: units.Inactive}
	}
	for _, u := range listed {
		inShort[u.Name] = u
		if u.LoadState == "loaded" && u.ActiveState == string(units.Active) {
			up = append(up, u.Name)
		} else {
			down = append(down, u)
		}
	}
	current, err := s.Manager.Current(ctx, up...)
	if err != nil {
		return nil, err
	}
	for _, u := range current {
		state := units.Unit{
			Loaded: true, NeedsReload: u.NeedDaemonReload, Active: units.Active, Job: inShort[u.Name].JobType, Invocation: u.InvocationID,
			Up:  age(u.ActiveEnterMonotonic),
			Run: units.Run{Since: moment(u.ActiveEnterTimestamp), Restarts: u.NRestarts, Exited: inShort[u.Name].SubState == exited},
		}
		if _, err := look(&state, u.MainPID, u.ControlGroup); err != nil {
			return nil, fmt.Errorf("looking at the container of %s: %w", u.Name, err)
		}
		list[u.Name] = state
	}
	full, err := s.full(ctx, down)
	for name, f := range full {
		list[name] = f.State
	}
	return list, err
}

// age is how long ago something was, in microseconds since the machine came up, 0 for
// what is to come.
func age(at uint64) time.Duration {
	var now unix.Timespec
	if at == 0 || unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return max(0, time.Duration(now.Nano())-time.Duration(at)*time.Microsecond)
}

// All is Observe with everything that is known.
func (s Services) All(ctx context.Context, names []string) (map[string]Service, error) {
	listed, forgotten, err := s.listed(ctx, names, true)
	if err != nil {
		return nil, err
	}
	return s.full(ctx, append(listed, forgotten...))
}

// listed is the named services, and with others all services of apps, in short.
// Forgotten are those that systemd did not have in its memory, known only with others:
// what neither runs nor has failed nor is needed it forgets. Nothing is to be known then
// of what gets what an app lacks, and to ask for it by name would have it loaded.
func (s Services) listed(ctx context.Context, names []string, others bool) (known, forgotten []systemd.Listed, err error) {
	isPull := func(name string) bool { return units.AppOfPull(name) != "" }
	services := slices.DeleteFunc(slices.Clone(names), isPull)
	if !others {
		known, err = s.Manager.List(ctx, services...)
		if err != nil || len(services) == len(names) {
			return known, nil, err
		}
		pulls, err := s.Manager.ListByPatterns(ctx, units.PullOf("*"))
		isOther := func(u systemd.Listed) bool { return !slices.Contains(names, u.Name) }
		return append(known, slices.DeleteFunc(pulls, isOther)...), nil, err
	}
	if known, err = s.Manager.ListByPatterns(ctx, patterns...); err != nil {
		return nil, nil, err
	}
	isKnown := make(map[string]bool, len(known))
	for _, u := range known {
		isKnown[u.Name] = true
	}
	missing := slices.DeleteFunc(services, func(n string) bool { return isKnown[n] })
	if len(missing) == 0 {
		return known, nil, nil
	}
	forgotten, err = s.Manager.List(ctx, missing...)
	return known, forgotten, err
}

// full reads services in full.
func (s Services) full(ctx context.Context, listed []systemd.Listed) (map[string]Service, error) {
	names := make([]string, 0, len(listed))
	jobs := make(map[string]string, len(listed))
	for _, u := range listed {
		names = append(names, u.Name)
		jobs[u.Name] = u.JobType
	}
	found, err := s.Manager.Units(ctx, names...)
	if err != nil {
		return nil, err
	}
	list := make(map[string]Service, len(found))
	for _, u := range found {
		if list[u.Name], err = service(u, jobs[u.Name]); err != nil {
			return nil, fmt.Errorf("looking at the container of %s: %w", u.Name, err)
		}
	}
	return list, nil
}

// service translates what systemd says, and looks at the container. A service with
// a job to start it is being started, also while that job waits: at boot for the
// app's network, or for what the app needs.
func service(u systemd.Unit, job string) (Service, error) {
	s := Service{Systemd: u, State: units.Unit{
		Loaded: isLoaded(u.LoadState), Masked: u.LoadState == masked, NeedsReload: u.NeedDaemonReload, Active: activeState(u.ActiveState),
		Restarting: strings.HasPrefix(u.SubState, "auto-restart"),
		Job:        job, Invocation: u.InvocationID, Up: age(u.ActiveEnterMonotonic), Run: runOf(u),
	}}
	if u.IsStranded() {
		s.State.Active, s.State.Restarting = units.Failed, false
	}
	if s.State.HasStartJob() && (s.State.Active == units.Inactive || s.State.Active == units.Failed) {
		s.State.Active = units.Activating
	}
	s.State.Stopped = s.State.Active != units.Activating && u.IsStopped()
	var err error
	s.Container, err = look(&s.State, u.MainPID, u.ControlGroup)
	return s, err
}

// runOf is what only a status shows of a service.
func runOf(u systemd.Unit) units.Run {
	r := units.Run{
		Since: moment(u.StateChangeTimestamp), Restarts: u.NRestarts, Exited: u.SubState == exited, StatusText: u.StatusText,
	}
	if u.Result != "success" {
		r.Result = u.Result
	}
	if activeState(u.ActiveState) == units.Active {
		r.Since = moment(u.ActiveEnterTimestamp)
	}
	r.ExitCode, r.HasExitCode = exitOf(u.ExecMainCode, u.ExecMainStatus)
	return r
}

// moment is a time of systemd's, in microseconds since 1970.
func moment(microseconds uint64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(microseconds)).UTC().Truncate(time.Second)
}

// exitOf is the exit code of a shell for how a process ended: 1 means that it exited, 2
// and 3 that a signal ended it. It reports false where none has ended.
func exitOf(how, status int32) (code int, hasEnded bool) {
	switch how {
	case 1:
		return int(status), true
	case 2, 3:
		return 128 + int(status), true
	}
	return 0, false
}

const (
	// masked is the state of a unit that may not be started, exited the one of a service
	// whose process has ended as it should.
	masked = "masked"
	exited = "exited"
)

func isLoaded(state string) bool { return state == "loaded" || state == masked }

// look fills in what is known of the container of a service.
func look(state *units.Unit, monitor uint32, controlGroup string) (podman.Running, error) {
	if monitor == 0 {
		return podman.Running{}, nil
	}
	running, err := podman.Look("/", int(monitor), controlGroup)
	if err != nil && !errors.Is(err, podman.ErrNone) {
		return running, err
	}
	state.Digest, state.Payload, state.Paused, state.Health = running.Digest, running.Payload, running.Paused, checked[running.Check]
	state.Run.Created, state.Run.CheckOutput = running.Created, running.Output
	if running.Ended && state.Active == units.Active {
		state.Active = units.Deactivating // systemd hears of it once the monitor has tidied up
	}
	return running, nil
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
var checked = map[string]units.Health{"healthy": units.Serving, "starting": units.Loading, "unhealthy": units.Unhealthy}

// Started is systemd's InvocationID of the last start of a container's service.
func (s Services) Started(container string) (invocation string, err error) {
	return s.Manager.Invocation(context.Background(), units.ServiceName(container))
}

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
	return s.job(ctx, "starting", name, systemd.Replace, s.Manager.Start)
}

// Restart restarts a service and waits until its job is done.
func (s Services) Restart(ctx context.Context, name string) error {
	return s.job(ctx, "restarting", name, systemd.Replace, s.Manager.Restart)
}

// RestartAlone restarts a service that runs, and nothing that is PartOf= it. What the
// service needs is up, and its caller sees to the order.
func (s Services) RestartAlone(ctx context.Context, name string) error {
	return s.job(ctx, "restarting", name, systemd.IgnoreDependencies, s.Manager.Restart)
}

// Stop stops a service and waits until its job is done.
func (s Services) Stop(ctx context.Context, name string) error {
	return s.job(ctx, "stopping", name, systemd.Replace, s.Manager.Stop)
}

// ReloadService has a service read its configuration files again, and waits until its job
// is done. Of one that is not up it does nothing.
func (s Services) ReloadService(ctx context.Context, name string) error {
	return s.job(ctx, "reloading", name, systemd.Replace, func(ctx context.Context, name, mode string) (systemd.JobResult, error) {
		result, err := s.Manager.ReloadUnit(ctx, name, mode)
		if result == systemd.JobInvalid {
			result = systemd.JobDone
		}
		return result, err
	})
}

// Recreate restarts a service by way of removing its container by force, for
// which systemd runs Podman. Where the unit for that is not installed, a restart
// is all that can be done.
func (s Services) Recreate(ctx context.Context, name string) error {
	if err := s.Stop(ctx, name); err != nil {
		return err
	}
	err := s.Start(ctx, units.RecreateOf(name))
	if err != nil && !errors.Is(err, systemd.ErrNoSuchUnit) {
		return err
	}
	return s.Start(ctx, name)
}

// Complete lets systemd run archgen to go on with a rotation of secrets. Where the
// unit for that is not installed, the next archgen apply does. What comes of it is
// in the log of the unit.
func (s Services) Complete(ctx context.Context) {
	_ = s.Start(ctx, units.ReconcileService)
}

// ReloadNetwork lets systemd run Podman to set up the network of all containers
// anew.
func (s Services) ReloadNetwork(ctx context.Context) error {
	return s.Start(ctx, units.NetworkReloadService)
}

func (s Services) job(ctx context.Context, doing, name, mode string, do func(ctx context.Context, name, mode string) (systemd.JobResult, error)) error {
	result, err := do(ctx, name, mode)
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

// Log is the last lines that a service wrote, and what systemd did with it.
func (s Services) Log(ctx context.Context, name string, lines int) []string {
	all := telling(s.journal(ctx, append([]string{"--lines=" + strconv.Itoa(5*lines)}, LogMatches(s.Scope, name)...)...), name)
	return all[max(0, len(all)-lines):]
}

// telling leaves out what tells a person nothing. Of a service that had to be killed
// systemd names every process, after what the service itself said.
func telling(lines []string, name string) []string {
	return slices.DeleteFunc(lines, func(line string) bool {
		return strings.TrimSpace(line) == "" || isContainerID(line) || strings.HasPrefix(line, name+": Killing process ")
	})
}

// LastLines is the last lines that a service's container wrote, or what Podman or a check
// said of its start where that came later; of a unit that gets what an app lacks it is all
// that the unit wrote. It is empty where nothing was written.
func (s Services) LastLines(ctx context.Context, unit string) []string {
	matches := written(s.Scope, unit)
	if units.AppOfPull(unit) != "" {
		matches = []string{writtenIn(s.Scope, unit)}
	}
	lines := s.journal(ctx, append([]string{"--lines=20"}, matches...)...)
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "" || isContainerID(line) })
	return lines[max(0, len(lines)-lastLines):]
}

// lastLines is how many lines tell enough of what went wrong.
const lastLines = 10

// LogMatches selects in the journal what a service wrote and what systemd did
// with it. Podman's events and conmon's remarks are not in it.
func LogMatches(scope units.Scope, name string) []string {
	manager := "UNIT=" + name
	if scope == units.User {
		manager = "USER_UNIT=" + name
	}
	return append(written(scope, name), "+", manager)
}

// written selects what the container wrote, and the processes that start it.
func written(scope units.Scope, name string) []string {
	unit := writtenIn(scope, name)
	starter := strings.TrimSuffix(name, ".service")
	container := units.ContainerOf(name)
	return []string{unit, "CONTAINER_NAME=" + container, "+", unit, "SYSLOG_IDENTIFIER=" + starter}
}

// writtenIn selects what all processes of a unit wrote.
func writtenIn(scope units.Scope, name string) string {
	if scope == units.User {
		return "_SYSTEMD_USER_UNIT=" + name
	}
	return "_SYSTEMD_UNIT=" + name
}

// isContainerID: podman run prints the id of the container that it started.
func isContainerID(line string) bool {
	return len(line) == 64 && strings.Trim(line, "0123456789abcdef") == ""
}

// GeneratorLog is what Podman's generator complained about a file of since then,
// or about others: one file that it can't read makes it pass over all files of
// its directory. A user's generator speaks through the manager, root's by itself.
func (s Services) GeneratorLog(ctx context.Context, file string, since time.Time) []string {
	all := s.journal(ctx, "--identifier=systemd", "--identifier=quadlet-generator", "--since=@"+strconv.FormatInt(since.Unix(), 10))
	own := slices.DeleteFunc(slices.Clone(all), func(line string) bool { return !strings.Contains(line, file) })
	if len(own) == 0 {
		own = slices.DeleteFunc(all, func(line string) bool { return !strings.Contains(line, "error loading ") })
	}
	for i, line := range own {
		if _, text, ok := strings.Cut(line, "]: "); ok && strings.HasPrefix(line, "quadlet-generator[") {
			own[i] = text
		}
	}
	slices.Sort(own) // it was run more than once
	return slices.Compact(own)
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
