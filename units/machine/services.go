package machine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
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
	// Sources is the directories of Quadlet files; the first one that has a file wins. They only
	// save time.
	Sources []string
	// Known keeps the services of all apps. If it is nil, they are read each time.
	Known *Table
	// starts is the containers of known starts. It may be nil.
	starts *starts
}

// patterns matches the services of all apps and their pull units. `app*` would match
// app.slice.
var patterns = []string{units.AppServices, units.PullOf("*")}

// Service is everything that is known about a service.
type Service struct {
	State   units.Unit
	Systemd systemd.Unit
	// Container is empty if none runs.
	Container podman.Running
}

// Observe returns the state of the named services, and with others that of all services of
// apps. For a container that Podman checks, its health is the result of the last check. A container
// whose state can't be read is no error: its unit says so, and the other apps do not depend on it.
//
// For a service that is up, Observe reads only the properties that decide something:
// reading all of them costs systemd and archgen ten times as much. A unit that systemd has
// not loaded has no further properties.
func (s Services) Observe(ctx context.Context, names []string, others bool) (map[string]units.Unit, error) {
	if others && s.Known != nil {
		return s.Known.observe(ctx, s, names)
	}
	listed, forgotten, err := s.listed(ctx, names, others)
	if err != nil {
		return nil, err
	}
	found, err := s.read(ctx, listed, forgotten)
	if err != nil {
		return nil, err
	}
	list := make(map[string]units.Unit, len(found))
	var up []string
	for name, f := range found {
		list[name] = f.State
		if f.Systemd.Name == "" && f.State.Active != units.Inactive { // of any other one everything was read
			up = append(up, name)
		}
	}
	return list, s.addReloads(ctx, list, up, false, newUnchanged())
}

// HasUnits reports of which services systemd has a unit, in one round trip.
func (s Services) HasUnits(ctx context.Context, names []string) (map[string]bool, error) {
	listed, err := s.Manager.List(ctx, names...)
	loaded := make(map[string]bool, len(listed))
	for _, u := range listed {
		loaded[u.Name] = isLoaded(u.LoadState)
	}
	return loaded, err
}

// addReloads finds out of which services a file changed since systemd read it.
func (s Services) addReloads(ctx context.Context, list map[string]units.Unit, names []string, all bool, known *unchanged) error {
	need, err := s.needReload(ctx, names, all, known)
	for _, name := range names {
		u := list[name]
		u.NeedsReload = need[name]
		list[name] = u
	}
	return err
}

// read reads listed services as far as Observe needs them, but not which of those that are up need
// a reload.
func (s Services) read(ctx context.Context, listed, forgotten []systemd.Listed) (map[string]Service, error) {
	var up []string
	var down []systemd.Listed
	inShort := make(map[string]systemd.Listed, len(listed))
	list := make(map[string]Service, len(listed)+len(forgotten))
	for _, u := range forgotten {
		if u.ActiveState != string(units.Inactive) || u.JobID != 0 { // started since it was listed
			listed = append(listed, u)
			continue
		}
		list[u.Name] = Service{State: units.Unit{Loaded: isLoaded(u.LoadState), Masked: u.LoadState == masked, Active: units.Inactive}}
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
			Loaded: true, Active: units.Active, Job: inShort[u.Name].JobType, Invocation: u.InvocationID,
			Up: age(u.ActiveEnterMonotonic), Restarts: u.NRestarts,
			Run: units.Run{Since: moment(u.ActiveEnterTimestamp), Exited: inShort[u.Name].SubState == exited},
		}
		running, err := s.starts.look(u)
		running = fill(&state, running, err)
		list[u.Name] = Service{State: state, Container: running}
	}
	full, err := s.full(ctx, down)
	maps.Copy(list, full)
	return list, err
}

// age returns the time since a moment in microseconds since boot. It is 0 for a moment in
// the future.
func age(at uint64) time.Duration {
	var now unix.Timespec
	if at == 0 || unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return max(0, time.Duration(now.Nano())-time.Duration(at)*time.Microsecond)
}

// All is Observe with all properties.
func (s Services) All(ctx context.Context, names []string) (map[string]Service, error) {
	listed, forgotten, err := s.listed(ctx, names, true)
	if err != nil {
		return nil, err
	}
	return s.full(ctx, append(listed, forgotten...))
}

// isPull reports whether a unit is one that acquires what an app lacks.
func isPull(name string) bool { return units.AppOfPull(name) != "" }

// listed lists the named services, and with others all services of apps. forgotten is the
// named services that systemd had not loaded, known only with others: systemd unloads a
// unit that is neither active, failed nor needed. listed does not query pull units by name,
// because that would load them; without others it finds them by pattern.
func (s Services) listed(ctx context.Context, names []string, others bool) (known, forgotten []systemd.Listed, err error) {
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

// full reads all properties of services.
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
		list[u.Name] = service(u, jobs[u.Name])
	}
	return list, nil
}

// service translates the properties of a unit and reads the state of its container. A
// service with a start job counts as starting, also while the job is queued: at boot it
// waits for the app's network or for other apps.
func service(u systemd.Unit, job string) Service {
	s := Service{Systemd: u, State: units.Unit{
		Loaded: isLoaded(u.LoadState), Masked: u.LoadState == masked, NeedsReload: u.NeedDaemonReload, Active: activeState(u.ActiveState),
		Restarting: strings.HasPrefix(u.SubState, "auto-restart"),
		Job:        job, Invocation: u.InvocationID, Up: age(u.ActiveEnterMonotonic), Restarts: u.NRestarts, Run: runOf(u),
	}}
	if u.IsStranded() {
		s.State.Active, s.State.Restarting = units.Failed, false
	}
	if s.State.HasStartJob() && (s.State.Active == units.Inactive || s.State.Active == units.Failed) {
		s.State.Active = units.Activating
	}
	s.State.Stopped = s.State.Active != units.Activating && u.IsStopped()
	s.Container = look(&s.State, u.MainPID, u.ControlGroup)
	return s
}

// runOf returns the part of the state that only archgen status shows.
func runOf(u systemd.Unit) units.Run {
	r := units.Run{
		Since: moment(u.StateChangeTimestamp), Exited: u.SubState == exited, StatusText: u.StatusText,
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

// moment converts a timestamp of systemd, in microseconds since 1970.
func moment(microseconds uint64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(microseconds)).UTC().Truncate(time.Second)
}

// exitOf returns the exit code, as a shell has it, of a process: how is 1 if it exited, and
// 2 or 3 if a signal killed it. It returns false if no process has ended.
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
	// masked is the load state of a unit that may not be started. exited is the substate of
	// a service whose process has ended successfully.
	masked = "masked"
	exited = "exited"
)

func isLoaded(state string) bool { return state == "loaded" || state == masked }

// look adds the state of a service's container.
func look(state *units.Unit, monitor uint32, controlGroup string) podman.Running {
	if monitor == 0 {
		return podman.Running{}
	}
	running, err := podman.Look("/", int(monitor), controlGroup)
	return fill(state, running, err)
}

// fill adds the state of a container, or the error of reading it, and returns the container. It is
// empty after an error, so that a table reads it again.
func fill(state *units.Unit, running podman.Running, err error) podman.Running {
	if err != nil && !errors.Is(err, podman.ErrNone) {
		state.Unreadable = err.Error()
		return podman.Running{}
	}
	state.Digest, state.Payload, state.Paused, state.Health = running.Digest, running.Payload, running.Paused, checked[running.Check]
	state.Run.Created, state.Run.CheckOutput = running.Created, running.Output
	if running.Ended && state.Active == units.Active {
		state.Active = units.Deactivating // systemd notices it only after the monitor has cleaned up
	}
	return running
}

// activeState merges the states of systemd that make no difference to archgen.
func activeState(state string) units.ActiveState {
	switch state {
	case "reloading", "refreshing":
		return units.Active
	case "maintenance":
		return units.Inactive
	}
	return units.ActiveState(state)
}

// checked maps the result of Podman's last check to health.
var checked = map[string]units.Health{"healthy": units.Serving, "starting": units.Loading, "unhealthy": units.Unhealthy}

// Started returns systemd's InvocationID of the last start of a container's service.
func (s Services) Started(container string) (invocation string, err error) {
	return s.Manager.Invocation(context.Background(), units.ServiceName(container))
}

// Reload makes systemd read all units again.
func (s Services) Reload(ctx context.Context) error {
	defer s.Known.clear()
	return s.Manager.Reload(ctx)
}

// ResetFailed clears the failed state of a service, and systemd's count of its restarts, of
// which systemd sends no signal.
func (s Services) ResetFailed(ctx context.Context, name string) error {
	defer s.Known.Touch(units.AppOf(name))
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

// RestartAlone restarts a running service without the units that are PartOf= it. The caller
// makes sure that its requirements are up and that the order is right.
func (s Services) RestartAlone(ctx context.Context, name string) error {
	return s.job(ctx, "restarting", name, systemd.IgnoreDependencies, s.Manager.Restart)
}

// Stop stops a service and waits until its job is done.
func (s Services) Stop(ctx context.Context, name string) error {
	return s.job(ctx, "stopping", name, systemd.Replace, s.Manager.Stop)
}

// ReloadService makes a service read its configuration files again, and waits until its job
// is done. It does nothing for a service that is not up.
func (s Services) ReloadService(ctx context.Context, name string) error {
	return s.job(ctx, "reloading", name, systemd.Replace, func(ctx context.Context, name, mode string) (systemd.JobResult, error) {
		result, err := s.Manager.ReloadUnit(ctx, name, mode)
		if result == systemd.JobInvalid {
			result = systemd.JobDone
		}
		return result, err
	})
}

// Recreate removes the container of a service by force and starts the service. systemd runs
// Podman for the removal. If its unit is not installed, Recreate only restarts the service.
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

// Complete has systemd run archgen to continue a rotation of secrets. If its unit is not
// installed, the next archgen apply continues it. The unit's log has the result.
func (s Services) Complete(ctx context.Context) {
	_ = s.Start(ctx, units.ReconcileService)
}

// ReloadNetwork has systemd run Podman to set up the network of all containers again.
func (s Services) ReloadNetwork(ctx context.Context) error {
	return s.Start(ctx, units.NetworkReloadService)
}

func (s Services) job(ctx context.Context, doing, name, mode string, do func(ctx context.Context, name, mode string) (systemd.JobResult, error)) error {
	defer s.Known.Touch(units.AppOf(name))
	result, err := do(ctx, name, mode)
	if err != nil || result == systemd.JobDone {
		return err
	}
	why := ""
	if found, err := s.Manager.Units(ctx, name); err == nil && len(found) == 1 && found[0].Result != "success" {
		why = ", result " + found[0].Result
	}
	if result == systemd.JobAssert {
		why = ": an assertion of its unit file failed, for example because an update copies or restores its data; see archgen doctor"
	}
	return fmt.Errorf("%s %s: the job ended with %q%s", doing, name, result, why)
}

// journalTime is the timeout of a query of the journal.
const journalTime = 10 * time.Second

// Log returns the last lines that a service wrote and systemd's messages about it.
func (s Services) Log(ctx context.Context, name string, lines int) []string {
	all := telling(s.journal(ctx, append([]string{"--lines=" + strconv.Itoa(5*lines)}, LogMatches(s.Scope, name)...)...), name)
	return all[max(0, len(all)-lines):]
}

// telling removes lines without information. When systemd kills a service it names every
// process, after the lines of the service itself.
func telling(lines []string, name string) []string {
	return slices.DeleteFunc(lines, func(line string) bool {
		return strings.TrimSpace(line) == "" || isContainerID(line) || strings.HasPrefix(line, name+": Killing process ")
	})
}

// LastLines returns the last lines of a service's container, or what Podman or a check
// logged about its start if that is newer. For a pull unit it returns all that the unit
// wrote.
func (s Services) LastLines(ctx context.Context, unit string) []string {
	matches := written(s.Scope, unit)
	if isPull(unit) {
		matches = []string{writtenIn(s.Scope, unit)}
	}
	lines := s.journal(ctx, append([]string{"--lines=20"}, matches...)...)
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "" || isContainerID(line) })
	return lines[max(0, len(lines)-lastLines):]
}

// lastLines is the number of lines that usually explain a failure.
const lastLines = 10

// LogMatches selects what a service wrote and systemd's messages about it, without Podman's
// events and the messages of conmon.
func LogMatches(scope units.Scope, name string) []string {
	manager := "UNIT=" + name
	if scope == units.User {
		manager = "USER_UNIT=" + name
	}
	return append(written(scope, name), "+", manager)
}

// owner is the user who starts the containers of a scope.
func owner(scope units.Scope) string {
	if scope == units.System {
		return "0"
	}
	return strconv.Itoa(os.Getuid())
}

// written selects the output of the container and of the processes that start it. The journal may learn
// of a line only once its process has ended, and then not of which unit it was: the user is known always.
func written(scope units.Scope, name string) []string {
	unit := writtenIn(scope, name)
	starter := strings.TrimSuffix(name, ".service")
	container := units.ContainerOf(name)
	return []string{unit, "CONTAINER_NAME=" + container, "+", "_UID=" + owner(scope), "SYSLOG_IDENTIFIER=" + starter}
}

// writtenIn selects the output of all processes of a unit.
func writtenIn(scope units.Scope, name string) string {
	if scope == units.User {
		return "_SYSTEMD_USER_UNIT=" + name
	}
	return "_SYSTEMD_UNIT=" + name
}

// isContainerID reports whether a line is a container ID, which podman run prints.
func isContainerID(line string) bool {
	return len(line) == 64 && strings.Trim(line, "0123456789abcdef") == ""
}

// GeneratorLog returns what Podman's generator logged about a file since a time, or else
// about other files: one file that it can't read makes it skip all files of the directory.
// The messages of a user's generator have the identifier of the manager, those of root's
// generator its own.
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
	slices.Sort(own) // the generator ran more than once
	return slices.Compact(own)
}

// journal queries the journal. Lines that are unavailable are no error.
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
