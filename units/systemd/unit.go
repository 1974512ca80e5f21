package systemd

import (
	"context"
	"encoding/hex"
	"strings"
	"sync"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Listed is a unit in short.
type Listed struct {
	Name string
	// LoadState is "loaded", "not-found", "bad-setting", "error" or "masked".
	LoadState string
	// ActiveState is "active", "reloading", "inactive", "failed", "activating"
	// or "deactivating".
	ActiveState string
	// SubState is finer, as "auto-restart" or "start-post".
	SubState string
	// JobID is the job that is queued or runs for the unit, 0 if there is none.
	JobID   uint32
	JobType string
}

// IsStarted reports whether what the unit runs has started. A service may still be
// waiting for what it checks before it calls itself active (ExecStartPost=).
func (l Listed) IsStarted() bool {
	return l.ActiveState == "active" || l.ActiveState == "reloading" || l.SubState == "start-post"
}

// IsStarting reports whether the unit is on its way to that, or waits in the queue for
// its turn. One that waits for an automatic restart is not.
func (l Listed) IsStarting() bool {
	// In the restart mode direct, the job of a start that has failed waits with the unit.
	isQueued := (l.JobType == "start" || l.JobType == "restart") && l.SubState != "auto-restart"
	return isQueued || l.ActiveState == "activating" && !strings.HasPrefix(l.SubState, "auto-restart")
}

// Unit is a unit in full, all of one moment. Of a unit that is no service the
// fields from Restart to StatusText are empty.
type Unit struct {
	Name                             string
	LoadState, ActiveState, SubState string
	// JobID is the job that is queued or runs for the unit, 0 if there is none.
	JobID uint32
	// NeedDaemonReload: a file of the unit changed since the manager read it.
	NeedDaemonReload bool
	// FragmentPath is the unit file, SourcePath what it was generated from.
	FragmentPath, SourcePath string
	// UnitFileState is "generated" for what Quadlet makes.
	UnitFileState string
	// InvocationID is the id of the last start, empty before the first.
	InvocationID string
	ControlGroup string

	// The times are microseconds since 1970, 0 for never.
	InactiveExitTimestamp, ActiveEnterTimestamp, ActiveExitTimestamp, InactiveEnterTimestamp, StateChangeTimestamp uint64

	// InactiveExitMonotonic, and what follows, is the same and more of the service's last
	// start, in microseconds since the machine came up: a clock that is set does not change
	// their order.
	InactiveExitMonotonic, ActiveEnterMonotonic, ActiveExitMonotonic, InactiveEnterMonotonic uint64
	ExecMainStartMonotonic, ExecMainExitMonotonic                                            uint64
	// Commands is the commands beside the main process that have ended since that start.
	Commands []Command

	// Restart is when the service is started again by itself: "no", "always",
	// "on-failure", ...
	Restart string
	// RestartUSec is the least time until then.
	RestartUSec uint64
	// StartLimitIntervalUSec is the time in which starts are counted, 0 for no limit.
	StartLimitIntervalUSec uint64
	// Result is "success", "exit-code", "signal", "timeout", ...
	Result string
	// NRestarts counts the automatic restarts since the last start by a job.
	NRestarts uint32
	MainPID   uint32
	// ExecMainCode is how the main process ended (1 exited, 2 killed, 3 dumped),
	// and ExecMainStatus its exit status or signal.
	ExecMainCode, ExecMainStatus int32
	// StatusText is what the service last said of itself.
	StatusText string
}

// Command is how a command of a service ended.
type Command struct {
	// Setting is where it stands, as "ExecStartPre".
	Setting       string
	ExitMonotonic uint64
	// Code and Status are as those of the main process.
	Code, Status int32
}

// IsStopped reports whether a service is down because somebody ended it. systemd does
// not say so: one that had to be killed counts as failed, and one that was waiting for
// its next start has the result of the last. But any other end would have led to a new
// start, by the rules of systemd.service(5), unless the start limit was reached; systemd
// 257, TestLiveStopped.
func (u Unit) IsStopped() bool {
	switch {
	case u.InactiveExitTimestamp == 0: // it never was started
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

// wasEnded reports whether systemd was told to end the last start of a failed service,
// and did not find it ended. At the start limit the result is that of the last start, and
// other units may have caused any number of starts: only the order of events tells. The
// main process of a service that was active ends before it leaves that state by itself,
// and after it where somebody stops it.
func (u Unit) wasEnded() bool {
	if hasServed := u.ExecMainStartMonotonic != 0 && u.ActiveEnterMonotonic >= u.ExecMainStartMonotonic; hasServed {
		return u.ExecMainExitMonotonic > u.ActiveExitMonotonic
	}
	return u.Result != "timeout" && !u.hasWaited() && u.isTerminated()
}

// hasWaited reports whether a failed service has waited for its next start after all
// that the last one ran had ended. In the restart mode normal it left the inactive state
// for that, in the mode direct only the time tells.
func (u Unit) hasWaited() bool {
	last := u.ExecMainExitMonotonic
	for _, c := range u.Commands {
		last = max(last, c.ExitMonotonic)
	}
	return u.InactiveExitMonotonic > last || u.InactiveEnterMonotonic > last+u.RestartUSec
}

// isTerminated reports whether a start was ended by the signal that systemd ends services
// with: the command that it was at, or else the main process. A main process that ends by
// itself leaves such a command alone, and one whose command fails is ended for that.
func (u Unit) isTerminated() bool {
	const killed, sigterm = 2, 15
	for _, c := range u.Commands {
		if c.Setting != "ExecStopPost" && c.Status != 0 {
			return c.Code == killed && c.Status == sigterm
		}
	}
	return u.ExecMainCode == killed && u.ExecMainStatus == sigterm
}

// IsStranded reports whether the unit waits for an automatic start that never comes: its
// job has failed, as where something that the unit requires could not be started.
// systemd makes no other one then; systemd 257, TestLiveStranded.
func (u Unit) IsStranded() bool { return u.SubState == "auto-restart-queued" && u.JobID == 0 }

// Current is what tells whether a unit is still the one that was seen.
type Current struct {
	Name string
	// InvocationID is the id of the last start, empty before the first.
	InvocationID string
	// NeedDaemonReload: a file of the unit changed since the manager read it.
	NeedDaemonReload bool
	// MainPID, ControlGroup, NRestarts and when it came up, in microseconds since the machine
	// did and since 1970, are a service's, empty for another unit.
	MainPID              uint32
	ControlGroup         string
	NRestarts            uint32
	ActiveEnterMonotonic uint64
	ActiveEnterTimestamp uint64
}

// parallel is how many units are asked for at a time.
const parallel = 16

// List returns the units of the names in short, in one round trip. A unit that
// does not exist is listed as "not-found"; an alias has the name of its unit.
func (m *Manager) List(ctx context.Context, names ...string) ([]Listed, error) {
	return call(ctx, m, "listing "+strings.Join(names, ", "), callTimeout, func(ctx context.Context, l *conn) ([]Listed, error) {
		found, err := l.calls.ListUnitsByNamesContext(ctx, names)
		return listed(found), err
	})
}

// ListByPatterns returns the loaded units that match a glob, as "app@*", in one
// round trip.
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

// Units returns the units of the names in full, in their order, at the price of
// one round trip with some 450 properties for each. A unit that does not exist
// has the LoadState "not-found".
func (m *Manager) Units(ctx context.Context, names ...string) ([]Unit, error) {
	return each(ctx, m, "reading ", names, func(ctx context.Context, l *conn, name string) (Unit, error) {
		properties, err := l.calls.GetAllPropertiesContext(ctx, name)
		return unitOf(name, properties), err
	})
}

// Current returns what tells whether units are still those that were seen, in
// the order of the names. With List it is a fraction of the price of Units. What
// a start is known by is asked for once: asking again would double the price.
func (m *Manager) Current(ctx context.Context, names ...string) ([]Current, error) {
	return each(ctx, m, "looking at ", names, func(ctx context.Context, l *conn, name string) (Current, error) {
		p, err := together(ctx, name, []string{"InvocationID", "NeedDaemonReload"}, l.calls.GetUnitPropertyContext)
		if err != nil {
			return Current{}, err
		}
		c := Current{Name: name, InvocationID: invocationOf(p), NeedDaemonReload: value[bool](p, "NeedDaemonReload")}
		if !strings.HasSuffix(name, ".service") || m.seen.fill(&c) {
			return c, nil
		}
		since, err := together(ctx, name, []string{"ActiveEnterTimestamp", "ActiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic"}, l.calls.GetUnitPropertyContext)
		if err != nil {
			return c, err
		}
		p, err = together(ctx, name, []string{"MainPID", "ControlGroup", "NRestarts"}, l.calls.GetServicePropertyContext)
		c.MainPID, c.ControlGroup, c.NRestarts = value[uint32](p, "MainPID"), text(p, "ControlGroup"), value[uint32](p, "NRestarts")
		c.ActiveEnterMonotonic, c.ActiveEnterTimestamp = value[uint64](since, "ActiveEnterTimestampMonotonic"), value[uint64](since, "ActiveEnterTimestamp")
		// Until the service has come up, that is the time of an earlier start.
		if c.ActiveEnterMonotonic >= value[uint64](since, "InactiveExitTimestampMonotonic") {
			m.seen.note(c)
		}
		return c, err
	})
}

// Invocation returns the id of the last start of a unit, empty before the first. The
// links in systemd/units are no substitute: in the restart mode direct, systemd leaves
// them as they were before an automatic restart; systemd 257, TestLiveInvocation.
func (m *Manager) Invocation(ctx context.Context, name string) (string, error) {
	return call(ctx, m, "looking at "+name, callTimeout, func(ctx context.Context, l *conn) (string, error) {
		p, err := together(ctx, name, []string{"InvocationID"}, l.calls.GetUnitPropertyContext)
		return invocationOf(p), err
	})
}

// startCache is the last start that was seen of each service.
type startCache struct {
	sync.Mutex
	list map[string]Current
}

// maxStarts is when all are forgotten: names come and go.
const maxStarts = 4096

// fill fills in what is known of a start, and reports whether it is.
func (s *startCache) fill(c *Current) bool {
	s.Lock()
	defer s.Unlock()
	known, ok := s.list[c.Name]
	if !ok || c.InvocationID == "" || known.InvocationID != c.InvocationID {
		return false
	}
	known.NeedDaemonReload = c.NeedDaemonReload
	*c = known
	return true
}

// note keeps a start. One that has no process yet may have one later.
func (s *startCache) note(c Current) {
	s.Lock()
	defer s.Unlock()
	if s.list == nil || len(s.list) >= maxStarts {
		s.list = map[string]Current{}
	}
	if c.MainPID != 0 && c.ControlGroup != "" {
		s.list[c.Name] = c
	}
}

// together asks for several properties of a unit at a time.
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

// each asks for every name, several at a time, and ends at the first error.
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
		FragmentPath: text(p, "FragmentPath"), SourcePath: text(p, "SourcePath"), UnitFileState: text(p, "UnitFileState"),
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
	}
}

// commands is those of a service's properties that have ended. Each is its path, its
// arguments, whether its end is ignored, when it started and ended by two clocks, its
// process, and how it ended.
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

// value is a property, or nothing: other kinds of unit and other versions of
// systemd lack some.
func value[T any](p properties, key string) T {
	v, _ := p[key].(T)
	return v
}

func invocationOf(p properties) string { return hex.EncodeToString(value[[]byte](p, "InvocationID")) }

func text(p properties, key string) string { return value[string](p, key) }

// jobID takes a property apart that holds the id and the path of a job.
func jobID(job []any) uint32 {
	if len(job) == 0 {
		return 0
	}
	id, _ := job[0].(uint32)
	return id
}

// unitName is the unit that an object path stands for.
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
