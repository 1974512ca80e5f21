// Package systemdtest is a fake systemd manager for tests. It listens on a socket of its own and
// speaks D-Bus as systemd does on its private socket, or as a bus with systemd on it, so that the
// real client code runs.
//
// It owns units that are only values, and never starts a process. A test creates units, determines
// how jobs end, makes calls fail or hang, closes connections, and reads which calls were made.
package systemdtest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units/systemd"
)

// Job is a requested job.
type Job struct {
	// Kind is "start", "stop", "restart", "try-restart" or "reload".
	Kind, Unit, Mode string
}

// Outcome is what a job does.
type Outcome struct {
	// Result is the job's result, "done" if empty.
	Result string
	// Delay is how long the job takes. Hold is a channel that it also waits for.
	Delay time.Duration
	Hold  <-chan struct{}
	// Then changes the unit when the job ends, instead of the change by the kind of job: active
	// (running), or inactive (dead).
	Then func(*systemd.Unit)
	// Error refuses the job: nothing is queued.
	Error error
}

// Call is a call that was made.
type Call struct {
	Method string
	Args   []any
}

// Manager is a fake systemd manager. Its methods may be called at any time.
type Manager struct {
	tb  testing.TB
	dir string

	mutex     sync.Mutex
	listeners []net.Listener
	peers     map[*peer]struct{}
	units     map[string]*systemd.Unit
	jobs      map[uint32]*running
	lastJob   uint32
	lastPID   uint32
	calls     []Call
	failures  map[string]error
	hanging   map[string]bool
	outcome   func(Job) Outcome
	onReload  func()
	state     func() string
	loading   systemd.Loading
	overreads bool
	down      bool
}

// running is a job that has not finished.
type running struct {
	Job
	id       uint32
	canceled chan struct{}
}

// New returns a fake manager that listens until the test ends.
func New(tb testing.TB) *Manager {
	tb.Helper()
	// The path of a socket must be short, and that of tb.TempDir may not be.
	dir, err := os.MkdirTemp("", "systemd") //nolint:usetesting // the path would be too long
	if err != nil {
		tb.Fatal(err)
	}
	m := &Manager{
		tb: tb, dir: dir,
		peers: map[*peer]struct{}{}, units: map[string]*systemd.Unit{}, jobs: map[uint32]*running{},
		failures: map[string]error{}, hanging: map[string]bool{},
		outcome: func(Job) Outcome { return Outcome{} }, onReload: func() {}, state: func() string { return "running" },
	}
	tb.Cleanup(func() {
		m.Stop()
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	m.Start()
	return m
}

// Private returns the options to connect to the manager's own socket.
func (m *Manager) Private() systemd.Options {
	return systemd.Options{Private: filepath.Join(m.dir, "private")}
}

// Bus returns the options to connect over a bus.
func (m *Manager) Bus() systemd.Options {
	return systemd.Options{Bus: "unix:path=" + filepath.Join(m.dir, "bus") + ",guid=00"}
}

// Connect returns a client of the manager's own socket.
func (m *Manager) Connect() *systemd.Manager { return m.connect(m.Private()) }

// ConnectBus returns a client of the bus.
func (m *Manager) ConnectBus() *systemd.Manager { return m.connect(m.Bus()) }

func (m *Manager) connect(options systemd.Options) *systemd.Manager {
	m.tb.Helper()
	client, err := systemd.Connect(m.tb.Context(), options)
	if err != nil {
		m.tb.Fatal(err)
	}
	m.tb.Cleanup(client.Close)
	return client
}

// Start makes a stopped manager listen again, with the same units.
func (m *Manager) Start() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.down = false
	for _, name := range []string{"private", "bus"} {
		l, err := new(net.ListenConfig).Listen(context.Background(), "unix", filepath.Join(m.dir, name))
		if err != nil {
			m.tb.Error(err)
			return
		}
		m.listeners = append(m.listeners, l)
		go m.accept(l, name == "bus")
	}
}

// Stop closes all connections and accepts none, like a manager that has exited.
func (m *Manager) Stop() {
	m.mutex.Lock()
	m.down = true
	for _, l := range m.listeners {
		_ = l.Close() // nothing is written to a listener
	}
	m.listeners = nil
	m.mutex.Unlock()
	m.Drop()
}

// Drop closes all connections, like a manager that re-executes. Its jobs continue.
func (m *Manager) Drop() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for p := range m.peers {
		p.hangUp()
	}
	clear(m.peers)
}

// ForgetJobs ends all jobs without a signal, like a manager that was killed.
func (m *Manager) ForgetJobs() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for id, j := range m.jobs {
		delete(m.jobs, id)
		close(j.canceled)
	}
}

// Set creates units, loaded and inactive unless they say otherwise, and sends the signals.
func (m *Manager) Set(list ...systemd.Unit) {
	for _, u := range list {
		if u.LoadState == "" {
			u.LoadState = "loaded"
		}
		if u.ActiveState == "" {
			u.ActiveState, u.SubState = "inactive", "dead"
		}
		if u.Result == "" {
			u.Result = "success"
		}
		m.mutex.Lock()
		m.units[u.Name] = &u
		m.mutex.Unlock()
		m.changed(u.Name)
	}
}

// Remove removes a unit.
func (m *Manager) Remove(name string) {
	m.mutex.Lock()
	delete(m.units, name)
	m.mutex.Unlock()
	m.signal(managerPath, managerInterface, "UnitRemoved", name, objectPath(name))
}

// Touch changes a file of a unit, of which the manager sends no signal.
func (m *Manager) Touch(name string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if u := m.units[name]; u != nil {
		u.NeedDaemonReload = !u.NeedDaemonReload
	}
}

// Unit returns the current state of a unit.
func (m *Manager) Unit(name string) systemd.Unit {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.unit(name)
}

// OnJob determines how jobs end. By default they are done at once.
func (m *Manager) OnJob(outcome func(Job) Outcome) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.outcome = outcome
}

// OnReload sets a function that each reload calls, like a generator. It may call Set.
func (m *Manager) OnReload(run func()) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.onReload = run
}

// Load sets when and from where the manager has loaded its units. By default it does not tell.
func (m *Manager) Load(l systemd.Loading) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.loading = l
}

// State sets what tells the state of the manager itself, such as "starting".
func (m *Manager) State(state func() string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.state = state
}

// Fail makes a method, such as "Reload" or "GetAll", fail; nil makes it work again. An error of
// type dbus.Error is sent unchanged.
func (m *Manager) Fail(method string, err error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.failures[method] = err
}

// Hang makes a method never answer, or answer again from now on.
func (m *Manager) Hang(method string, hangs bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.hanging[method] = hangs
}

// Overread makes the manager read the first message together with the end of the authentication
// and ignore it until more arrives, as systemd does when the two arrive close together.
func (m *Manager) Overread() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.overreads = true
}

// Calls returns the calls of the methods so far, in order. Without a name it returns all calls but
// pings and greetings.
func (m *Manager) Calls(methods ...string) []Call {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var list []Call
	for _, c := range m.calls {
		if len(methods) == 0 || slices.Contains(methods, c.Method) {
			list = append(list, c)
		}
	}
	return list
}

// Jobs returns the number of jobs that have not finished.
func (m *Manager) Jobs() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.jobs)
}

// Connections returns the number of connections.
func (m *Manager) Connections() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.peers)
}

// ChangeOwner tells clients on the bus that another manager is on it now, which has no
// subscription.
func (m *Manager) ChangeOwner() {
	m.mutex.Lock()
	for p := range m.peers {
		p.unsubscribe()
	}
	m.mutex.Unlock()
	m.signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "org.freedesktop.systemd1", ":1.2", ":1.3")
}

// Signals sends the signals of a unit n times, faster than any reader reads.
func (m *Manager) Signals(name string, n int) {
	for range n {
		m.changed(name)
	}
}

func (m *Manager) unit(name string) systemd.Unit {
	u, ok := m.units[name]
	if !ok {
		return systemd.Unit{Name: name, LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}
	}
	found := *u
	for _, j := range m.jobs {
		if j.Unit == name {
			found.JobID = j.id
		}
	}
	return found
}

// matching returns the units that match a pattern, sorted.
func (m *Manager) matching(patterns []string) []systemd.Unit {
	var list []systemd.Unit
	for _, name := range slices.Sorted(maps.Keys(m.units)) {
		if slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, err := path.Match(pattern, name)
			return ok && err == nil
		}) {
			list = append(list, m.unit(name))
		}
	}
	return list
}

func (m *Manager) changed(name string) {
	m.signal(objectPath(name), "org.freedesktop.DBus.Properties", "PropertiesChanged",
		"org.freedesktop.systemd1.Unit", map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(m.Unit(name).ActiveState)}, []string{})
}

// reload carries out a reload, with signals about every unit, twice.
func (m *Manager) reload() {
	m.signal(managerPath, managerInterface, "Reloading", true)
	m.mutex.Lock()
	run, names := m.onReload, slices.Collect(maps.Keys(m.units))
	m.mutex.Unlock()
	run()
	for _, member := range []string{"UnitRemoved", "UnitNew"} {
		for _, name := range names {
			m.signal(managerPath, managerInterface, member, name, objectPath(name))
		}
	}
	m.signal(managerPath, managerInterface, "Reloading", false)
}

// queue queues a job as systemd does: it merges the job into one of the same kind, and replaces
// one of another kind.
func (m *Manager) queue(j Job) (uint32, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	// systemd stops an active unit even if its file was removed.
	u := m.unit(j.Unit)
	if u.LoadState != "loaded" && (j.Kind != "stop" || u.ActiveState == "inactive") {
		return 0, dbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit", Body: []any{fmt.Sprintf("Unit %s not found.", j.Unit)}}
	}
	outcome := m.outcome(j)
	if j.Kind == "reload" && u.ActiveState != "active" {
		outcome = Outcome{Result: "invalid", Then: func(*systemd.Unit) {}}
	}
	if outcome.Error != nil {
		return 0, outcome.Error
	}
	for id, other := range m.jobs {
		if other.Unit != j.Unit {
			continue
		}
		if other.Kind == j.Kind {
			return id, nil
		}
		delete(m.jobs, id)
		close(other.canceled)
		go m.removed(other, "canceled")
	}
	m.lastJob++
	r := &running{Job: j, id: m.lastJob, canceled: make(chan struct{})}
	m.jobs[r.id] = r
	go m.run(r, outcome)
	return r.id, nil
}

func (m *Manager) run(r *running, outcome Outcome) {
	timer := time.NewTimer(outcome.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.canceled:
		return
	}
	if outcome.Hold != nil {
		select {
		case <-outcome.Hold:
		case <-r.canceled:
			return
		}
	}
	if !m.finish(r, outcome) {
		return
	}
	m.changed(r.Unit)
	if outcome.Result == "" {
		outcome.Result = "done"
	}
	m.removed(r, outcome.Result)
}

// finish changes the unit, unless the job was canceled.
func (m *Manager) finish(r *running, outcome Outcome) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.jobs[r.id] != r {
		return false
	}
	delete(m.jobs, r.id)
	u, ok := m.units[r.Unit]
	switch {
	case !ok:
	case outcome.Then != nil:
		outcome.Then(u)
	case outcome.Result != "" && outcome.Result != "done":
		u.ActiveState, u.SubState, u.Result = "failed", "failed", "exit-code"
	case r.Kind == "stop":
		u.ActiveState, u.SubState, u.MainPID = "inactive", "dead", 0
	case r.Kind == "reload":
	case r.Kind != "try-restart" || u.ActiveState == "active":
		m.lastPID++
		u.ActiveState, u.SubState, u.MainPID, u.Result = "active", "running", m.lastPID, "success"
		u.InvocationID = fmt.Sprintf("%032x", r.id)
		u.ActiveEnterTimestamp = uint64(time.Now().UnixMicro())
		u.InactiveExitTimestamp = u.ActiveEnterTimestamp
	}
	if ok && u.LoadState == "not-found" && u.ActiveState == "inactive" { // nothing keeps it in memory
		delete(m.units, r.Unit)
	}
	return true
}

func (m *Manager) removed(r *running, result string) {
	m.signal(managerPath, managerInterface, "JobRemoved", r.id, jobPath(r.id), r.Unit, result)
}
