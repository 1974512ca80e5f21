// Package systemdtest is a fake systemd manager for tests: it listens on a
// socket of its own and speaks D-Bus there as systemd does on its private
// socket, or as a bus with systemd on it, so that the real client code runs.
//
// It owns units that are only values, and never starts a process. A test puts
// units there, says how jobs end, lets calls fail or hang, drops connections,
// and reads which calls were made.
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

// Job is a job that was asked for.
type Job struct {
	// Kind is "start", "stop", "restart", "try-restart" or "reload".
	Kind, Unit, Mode string
}

// Outcome is what a job does.
type Outcome struct {
	// Result is the job's result, "done" if empty.
	Result string
	// Delay is how long the job takes, Hold what it waits for besides.
	Delay time.Duration
	Hold  <-chan struct{}
	// Then changes the unit when the job ends, instead of what the kind of job
	// says: active (running), or inactive (dead).
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
	overreads bool
	down      bool
}

// running is a job that is not over.
type running struct {
	Job
	id       uint32
	canceled chan struct{}
}

// New returns a fake manager that listens until the test ends.
func New(tb testing.TB) *Manager {
	tb.Helper()
	// The path of a socket is short, and that of tb.TempDir may not be.
	dir, err := os.MkdirTemp("", "systemd") //nolint:usetesting // the path is too long
	if err != nil {
		tb.Fatal(err)
	}
	m := &Manager{
		tb: tb, dir: dir,
		peers: map[*peer]struct{}{}, units: map[string]*systemd.Unit{}, jobs: map[uint32]*running{},
		failures: map[string]error{}, hanging: map[string]bool{},
		outcome: func(Job) Outcome { return Outcome{} }, onReload: func() {},
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

// Private has a client talk to the manager's own socket.
func (m *Manager) Private() systemd.Options {
	return systemd.Options{Private: filepath.Join(m.dir, "private")}
}

// Bus has a client talk to the manager over a bus.
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

// Start lets a stopped manager listen again. Its units are as they were.
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

// Stop drops all connections and takes none, as a manager that is gone.
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

// Drop closes all connections, as a manager does that executes itself anew. Its
// jobs go on.
func (m *Manager) Drop() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for p := range m.peers {
		p.hangUp()
	}
	clear(m.peers)
}

// ForgetJobs ends all jobs without a word, as a manager does that was killed.
func (m *Manager) ForgetJobs() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for id, j := range m.jobs {
		delete(m.jobs, id)
		close(j.canceled)
	}
}

// Set puts units there, loaded and inactive where they don't say otherwise, and
// tells of the change.
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

// Remove takes a unit away.
func (m *Manager) Remove(name string) {
	m.mutex.Lock()
	delete(m.units, name)
	m.mutex.Unlock()
	m.signal(managerPath, managerInterface, "UnitRemoved", name, objectPath(name))
}

// Unit returns a unit as it is now.
func (m *Manager) Unit(name string) systemd.Unit {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.unit(name)
}

// OnJob says how jobs end. By default they are done at once.
func (m *Manager) OnJob(outcome func(Job) Outcome) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.outcome = outcome
}

// OnReload is run by each reload, as generators are. It may call Set.
func (m *Manager) OnReload(run func()) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.onReload = run
}

// Fail has a method, as "Reload" or "GetAll", fail; nil has it work again. An
// error of type dbus.Error goes over the bus as it is.
func (m *Manager) Fail(method string, err error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.failures[method] = err
}

// Hang has a method never answer, or answer again from now on.
func (m *Manager) Hang(method string, hangs bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.hanging[method] = hangs
}

// Overread has the manager take in the first message together with the end of
// the authentication and forget it until more arrives, as systemd does when the
// two come close together.
func (m *Manager) Overread() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.overreads = true
}

// Calls returns the calls of the methods so far, in order; of all but the pings
// and greetings where none is named.
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

// Jobs returns how many jobs are not over.
func (m *Manager) Jobs() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.jobs)
}

// Connections returns how many connections there are.
func (m *Manager) Connections() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.peers)
}

// ChangeOwner tells clients on the bus that another manager is on it now, which
// knows of no subscription.
func (m *Manager) ChangeOwner() {
	m.mutex.Lock()
	for p := range m.peers {
		p.unsubscribe()
	}
	m.mutex.Unlock()
	m.signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "org.freedesktop.systemd1", ":1.2", ":1.3")
}

// Signals sends the signals of a unit n times, faster than anybody can read.
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

// reload is what a reload does: it tells of every unit twice.
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

// queue queues a job as systemd does: one of the same kind is joined, one of
// another kind takes its place.
func (m *Manager) queue(j Job) (uint32, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	// systemd stops what is active also where the file of the unit is gone.
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
