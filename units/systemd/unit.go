package systemd

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Listed is the short form of a unit.
type Listed struct {
	Name string
	// LoadState is "loaded", "not-found", "bad-setting", "error" or "masked".
	LoadState string
	// ActiveState is "active", "reloading", "inactive", "failed", "activating"
	// or "deactivating".
	ActiveState string
	// SubState is more specific, such as "auto-restart" or "start-post".
	SubState string
	// JobID is the job that is queued or running for the unit, 0 if there is none.
	JobID   uint32
	JobType string
}

// IsStarted reports whether the process of the unit has started. A service may still wait for its
// checks before it becomes active (ExecStartPost=).
func (l Listed) IsStarted() bool {
	return l.ActiveState == "active" || l.ActiveState == "reloading" || l.SubState == "start-post"
}

// IsStarting reports whether the unit is starting or its start is queued. One that waits for an
// automatic restart is not.
func (l Listed) IsStarting() bool {
	// With RestartMode=direct, the job of a failed start waits with the unit.
	isQueued := (l.JobType == "start" || l.JobType == "restart") && l.SubState != "auto-restart"
	return isQueued || l.ActiveState == "activating" && !strings.HasPrefix(l.SubState, "auto-restart")
}

// Unit is the full form of a unit, read at one moment. If it is not a service, the fields from
// Restart on are empty, except Result.
type Unit struct {
	Name                             string
	LoadState, ActiveState, SubState string
	// JobID is the job that is queued or running for the unit, 0 if there is none.
	JobID uint32
	// NeedDaemonReload: a file of the unit changed since the manager read it.
	NeedDaemonReload bool
	// FragmentPath is the unit file, SourcePath what it was generated from.
	FragmentPath, SourcePath string
	// DropInPaths is the drop-ins that the manager has read for it.
	DropInPaths []string
	// UnitFileState is "generated" for units of Quadlet.
	UnitFileState string
	// InvocationID is the id of the last start, empty before the first.
	InvocationID string
	ControlGroup string

	// The times are microseconds since 1970, 0 for never.
	InactiveExitTimestamp, ActiveEnterTimestamp, ActiveExitTimestamp, InactiveEnterTimestamp, StateChangeTimestamp uint64

	// InactiveExitMonotonic and the following times belong to the service's last start, in
	// microseconds since boot: setting the clock does not change their order.
	InactiveExitMonotonic, ActiveEnterMonotonic, ActiveExitMonotonic, InactiveEnterMonotonic uint64
	ExecMainStartMonotonic, ExecMainExitMonotonic                                            uint64
	// Commands is the commands beside the main process that have exited since that start.
	Commands []Command

	// Restart is when the service restarts automatically: "no", "always", "on-failure", ...
	Restart string
	// RestartUSec is the shortest delay before that.
	RestartUSec uint64
	// StartLimitIntervalUSec is the interval in which starts are counted, 0 for no limit.
	StartLimitIntervalUSec uint64
	// Result is "success", "exit-code", "signal", "timeout", ...
	Result string
	// NRestarts counts the automatic restarts since the last start by a job or reset-failed.
	NRestarts uint32
	MainPID   uint32
	// ExecMainCode is how the main process ended (1 exited, 2 killed, 3 dumped), and
	// ExecMainStatus its exit status or signal.
	ExecMainCode, ExecMainStatus int32
	// StatusText is the last status that the service reported, StatusErrno its last error.
	StatusText  string
	StatusErrno int32
}

// Command is a command of a service, and how it ended.
type Command struct {
	// Setting is its setting, such as "ExecStartPre".
	Setting       string
	ExitMonotonic uint64
	// Code and Status are like those of the main process.
	Code, Status int32
}

// IsStopped reports whether a service is down because it was stopped. systemd does not record
// that: a service that had to be killed counts as failed, and one that was waiting for its restart
// has the result of its last start. But any other end would have led to a restart, by the rules of
// systemd.service(5), unless the start limit was reached; systemd 257, TestLiveStopped.
func (u Unit) IsStopped() bool {
	switch {
	case u.InactiveExitTimestamp == 0: // it was never started
		return false
	case u.ActiveState == "inactive":
		return true
	case u.ActiveState != "failed", u.Restart != "always" && u.Restart != "on-failure":
		return false
	case u.Result == "start-limit-hit", u.Result == "resources":
		return false
	case u.StartLimitIntervalUSec == 0:
		return true
	}
	return u.wasEnded()
}

// wasEnded reports whether systemd stopped the last start of a failed service, and did not find it
// exited. At the start limit the result is that of the last start, and other units may have caused
// any number of starts, so only the order of events tells. The main process of an active service
// exits before the service leaves that state by itself, and after it if the service is stopped.
func (u Unit) wasEnded() bool {
	if hasServed := u.ExecMainStartMonotonic != 0 && u.ActiveEnterMonotonic >= u.ExecMainStartMonotonic; hasServed {
		return u.ExecMainExitMonotonic > u.ActiveExitMonotonic
	}
	return u.Result != "timeout" && !u.hasWaited() && u.isTerminated()
}

// hasWaited reports whether a failed service has waited for its restart after all processes of the
// last start had exited. With RestartMode=normal it left the inactive state for that; with
// RestartMode=direct only the time tells.
func (u Unit) hasWaited() bool {
	last := u.ExecMainExitMonotonic
	for _, c := range u.Commands {
		last = max(last, c.ExitMonotonic)
	}
	return u.InactiveExitMonotonic > last || u.InactiveEnterMonotonic > last+u.RestartUSec
}

// isTerminated reports whether systemd's stop signal ended a start: the command that ran, or else
// the main process. A main process that exits by itself does not end such a command, and a failed
// command ends the main process.
func (u Unit) isTerminated() bool {
	const killed, sigterm = 2, 15
	for _, c := range u.Commands {
		if c.Setting != "ExecStopPost" && c.Status != 0 {
			return c.Code == killed && c.Status == sigterm
		}
	}
	return u.ExecMainCode == killed && u.ExecMainStatus == sigterm
}

// IsStranded reports whether the unit waits for an automatic start that never comes: its job has
// failed, for example because a required unit could not start. systemd makes no other job then;
// systemd 257, TestLiveStranded.
func (u Unit) IsStranded() bool { return u.SubState == "auto-restart-queued" && u.JobID == 0 }

// Current is the properties that tell whether a unit is still the same one.
type Current struct {
	Name string
	// InvocationID is the id of the last start, empty before the first.
	InvocationID string
	// MainPID, ControlGroup, NRestarts and the time when it came up, in microseconds since boot
	// and since 1970, are those of a service, and empty for another unit.
	MainPID              uint32
	ControlGroup         string
	NRestarts            uint32
	ActiveEnterMonotonic uint64
	ActiveEnterTimestamp uint64
}

// parallel is the number of units that are read at a time.
const parallel = 16

// List returns the short form of units by name, in one round trip. A unit that does not exist is
// listed as "not-found"; an alias has the name of its unit.
func (m *Manager) List(ctx context.Context, names ...string) ([]Listed, error) {
	return call(ctx, m, "listing "+strings.Join(names, ", "), callTimeout, func(ctx context.Context, l *conn) ([]Listed, error) {
		found, err := l.calls.ListUnitsByNamesContext(ctx, names)
		return listed(found), err
	})
}

// ListByPatterns returns the loaded units that match a glob, such as "app@*", in one round trip.
func (m *Manager) ListByPatterns(ctx context.Context, patterns ...string) ([]Listed, error) {
	return call(ctx, m, "listing "+strings.Join(patterns, ", "), callTimeout, func(ctx context.Context, l *conn) ([]Listed, error) {
		found, err := l.calls.ListUnitsByPatternsContext(ctx, nil, patterns)
		return listed(found), err
	})
}

func listed(found []sdbus.UnitStatus) []Listed {
	list := make([]Listed, 0, len(found))
	for _, u := range found {
		list = append(list, Listed{u.Name, u.LoadState, u.ActiveState, u.SubState, u.JobId, u.JobType})
	}
	return list
}

// Units returns the full form of units, in the order of the names, at the cost of one round trip
// with some 450 properties for each. A unit that does not exist has the LoadState "not-found".
func (m *Manager) Units(ctx context.Context, names ...string) ([]Unit, error) {
	return each(ctx, m, "reading ", names, func(ctx context.Context, l *conn, name string) (Unit, error) {
		properties, err := l.calls.GetAllPropertiesContext(ctx, name)
		return unitOf(name, properties), err
	})
}

// Current returns the properties that tell whether units are still the same ones, in the order of
// the names. With List it costs a fraction of Units. The properties of a start are read once.
func (m *Manager) Current(ctx context.Context, names ...string) ([]Current, error) {
	return each(ctx, m, "reading ", names, func(ctx context.Context, l *conn, name string) (Current, error) {
		p, err := together(ctx, name, []string{"InvocationID"}, l.calls.GetUnitPropertyContext)
		if err != nil {
			return Current{}, err
		}
		c := Current{Name: name, InvocationID: invocationOf(p)}
		if !strings.HasSuffix(name, ".service") {
			return c, nil
		}
		if m.seen.fill(&c) {
			return c, m.recount(ctx, l, &c)
		}
		since, err := together(ctx, name, []string{"ActiveEnterTimestamp", "ActiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic"}, l.calls.GetUnitPropertyContext)
		if err != nil {
			return c, err
		}
		p, err = together(ctx, name, []string{"MainPID", "ControlGroup", "NRestarts"}, l.calls.GetServicePropertyContext)
		c.MainPID, c.ControlGroup, c.NRestarts = value[uint32](p, "MainPID"), text(p, "ControlGroup"), value[uint32](p, "NRestarts")
		c.ActiveEnterMonotonic, c.ActiveEnterTimestamp = value[uint64](since, "ActiveEnterTimestampMonotonic"), value[uint64](since, "ActiveEnterTimestamp")
		// Until the service has come up, this is the time of an earlier start.
		if c.ActiveEnterMonotonic >= value[uint64](since, "InactiveExitTimestampMonotonic") {
			m.seen.note(c)
		}
		return c, err
	})
}

// recount reads again how often a service was restarted, which reset-failed changes while the
// service runs. Nothing else does, so 0 stays.
func (m *Manager) recount(ctx context.Context, l *conn, c *Current) error {
	if c.NRestarts == 0 {
		return nil
	}
	p, err := together(ctx, c.Name, []string{"NRestarts"}, l.calls.GetServicePropertyContext)
	if n := value[uint32](p, "NRestarts"); err == nil && n != c.NRestarts {
		c.NRestarts = n
		m.seen.note(*c)
	}
	return err
}

// Invocation returns the id of the last start of a unit, empty before the first. The links in
// systemd/units are no substitute: with RestartMode=direct, systemd leaves them unchanged at an
// automatic restart; systemd 257, TestLiveInvocation.
func (m *Manager) Invocation(ctx context.Context, name string) (string, error) {
	return call(ctx, m, "reading "+name, callTimeout, func(ctx context.Context, l *conn) (string, error) {
		p, err := together(ctx, name, []string{"InvocationID"}, l.calls.GetUnitPropertyContext)
		return invocationOf(p), err
	})
}

// startCache is the last known start of each service.
type startCache struct {
	sync.Mutex
	list map[string]Current
	// isNew: one was read.
	isNew bool
}

// Remember tells starts that were read over another connection, by the name of the unit.
func (m *Manager) Remember(starts []Current) {
	for _, c := range starts {
		m.seen.note(c)
	}
	m.seen.Lock()
	defer m.seen.Unlock()
	m.seen.isNew = false
}

// Starts returns the last known starts of services, and whether one is new.
func (m *Manager) Starts() (list []Current, isNew bool) {
	m.seen.Lock()
	defer m.seen.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.seen.list)) {
		list = append(list, m.seen.list[name])
	}
	return list, m.seen.isNew
}

// maxStarts is the size at which the cache is emptied, because it also holds old names.
const maxStarts = 4096

// fill adds the cached properties of a start, and reports whether there are any.
func (s *startCache) fill(c *Current) bool {
	s.Lock()
	defer s.Unlock()
	known, ok := s.list[c.Name]
	if !ok || c.InvocationID == "" || known.InvocationID != c.InvocationID {
		return false
	}
	*c = known
	return true
}

// note caches a start, unless it has no process yet.
func (s *startCache) note(c Current) {
	s.Lock()
	defer s.Unlock()
	if s.list == nil || len(s.list) >= maxStarts {
		s.list = map[string]Current{}
	}
	if c.MainPID != 0 && c.ControlGroup != "" {
		s.list[c.Name], s.isNew = c, true
	}
}

// together reads several properties of a unit concurrently.
func together(ctx context.Context, name string, keys []string, ask func(ctx context.Context, unit, key string) (*sdbus.Property, error)) (properties, error) {
	found, errs := make([]*sdbus.Property, len(keys)), make([]error, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		all.Go(func() { found[i], errs[i] = ask(ctx, name, key) })
	}
	all.Wait()
	p := properties{}
	for i, key := range keys {
		if errs[i] != nil {
			return nil, errs[i]
		}
		p[key] = found[i].Value.Value()
	}
	return p, nil
}

// each reads every name, several concurrently, and stops at the first error.
func each[T any](ctx context.Context, m *Manager, what string, names []string, ask func(context.Context, *conn, string) (T, error)) ([]T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		results = make([]T, len(names))
		slots   = make(chan struct{}, parallel)
		group   sync.WaitGroup
		once    sync.Once
		failure error
	)
	for i, name := range names {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			var err error
			results[i], err = call(ctx, m, what+name, callTimeout, func(ctx context.Context, l *conn) (T, error) { return ask(ctx, l, name) })
			if err != nil {
				once.Do(func() { failure = err })
				cancel()
			}
		})
	}
	group.Wait()
	if failure != nil {
		return nil, failure
	}
	return results, nil
}

func unitOf(name string, p properties) Unit {
	job, _ := p["Job"].([]any)
	return Unit{
		Name: name, LoadState: text(p, "LoadState"), ActiveState: text(p, "ActiveState"), SubState: text(p, "SubState"),
		JobID: jobID(job), NeedDaemonReload: value[bool](p, "NeedDaemonReload"),
		FragmentPath: text(p, "FragmentPath"), SourcePath: text(p, "SourcePath"), DropInPaths: dropIns(p), UnitFileState: text(p, "UnitFileState"),
		InvocationID: invocationOf(p), ControlGroup: text(p, "ControlGroup"),
		InactiveExitTimestamp:  value[uint64](p, "InactiveExitTimestamp"),
		ActiveEnterTimestamp:   value[uint64](p, "ActiveEnterTimestamp"),
		ActiveExitTimestamp:    value[uint64](p, "ActiveExitTimestamp"),
		InactiveEnterTimestamp: value[uint64](p, "InactiveEnterTimestamp"),
		StateChangeTimestamp:   value[uint64](p, "StateChangeTimestamp"),
		InactiveExitMonotonic:  value[uint64](p, "InactiveExitTimestampMonotonic"),
		ActiveEnterMonotonic:   value[uint64](p, "ActiveEnterTimestampMonotonic"),
		ActiveExitMonotonic:    value[uint64](p, "ActiveExitTimestampMonotonic"),
		InactiveEnterMonotonic: value[uint64](p, "InactiveEnterTimestampMonotonic"),
		ExecMainStartMonotonic: value[uint64](p, "ExecMainStartTimestampMonotonic"),
		ExecMainExitMonotonic:  value[uint64](p, "ExecMainExitTimestampMonotonic"),
		Commands:               commands(p),
		StartLimitIntervalUSec: value[uint64](p, "StartLimitIntervalUSec"),
		RestartUSec:            value[uint64](p, "RestartUSec"),
		Restart:                text(p, "Restart"), Result: text(p, "Result"), NRestarts: value[uint32](p, "NRestarts"), MainPID: value[uint32](p, "MainPID"),
		ExecMainCode: value[int32](p, "ExecMainCode"), ExecMainStatus: value[int32](p, "ExecMainStatus"), StatusText: text(p, "StatusText"),
		StatusErrno: value[int32](p, "StatusErrno"),
	}
}

// commands returns the exited commands in a service's properties. Each is its path, its arguments,
// whether its failure is ignored, when it started and ended by two clocks, its process, and how it
// ended.
func commands(p properties) (list []Command) {
	for _, setting := range []string{"ExecStartPre", "ExecStartPost", "ExecStopPost"} {
		for _, c := range value[[][]any](p, setting) {
			if len(c) < 10 {
				continue
			}
			ended, _ := c[6].(uint64)
			code, _ := c[8].(int32)
			status, _ := c[9].(int32)
			if ended != 0 {
				list = append(list, Command{setting, ended, code, status})
			}
		}
	}
	return list
}

type properties = map[string]any

// value returns a property, or the zero value: other kinds of unit and other versions of systemd
// lack some.
func value[T any](p properties, key string) T {
	v, _ := p[key].(T)
	return v
}

func invocationOf(p properties) string { return hex.EncodeToString(value[[]byte](p, "InvocationID")) }

func dropIns(p properties) []string {
	if list := value[[]string](p, "DropInPaths"); len(list) > 0 {
		return list
	}
	return nil
}

func text(p properties, key string) string { return value[string](p, key) }

// jobID returns the id in a property that holds the id and the path of a job.
func jobID(job []any) uint32 {
	if len(job) == 0 {
		return 0
	}
	id, _ := job[0].(uint32)
	return id
}

// unitName returns the unit of an object path.
func unitName(path dbus.ObjectPath) (string, bool) {
	escaped, ok := strings.CutPrefix(string(path), string(unitsPath)+"/")
	if !ok {
		return "", false
	}
	var name strings.Builder
	for len(escaped) > 0 {
		if escaped[0] == '_' && len(escaped) > 2 {
			b, err := hex.DecodeString(escaped[1:3])
			if err != nil {
				return "", false
			}
			name.Write(b)
			escaped = escaped[3:]
			continue
		}
		name.WriteByte(escaped[0])
		escaped = escaped[1:]
	}
	return name.String(), true
}
