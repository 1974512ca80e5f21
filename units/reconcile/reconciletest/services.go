package reconciletest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

const (
	lateAfter    = 5 * time.Minute
	crashesAfter = 3 * time.Second
	reloadTakes  = time.Second
	longUp       = time.Hour
)

// service is a unit of systemd.
type service struct {
	// Unit has the state. Observe derives Loaded, NeedsReload, Stopped and Up.
	units.Unit
	// read is the file as systemd has read it, nil if it has no unit.
	read *file
	// isStarted: systemd remembers a start. isLimited: it has failed at its start limit.
	isStarted, isLimited bool
	// since is when it came up.
	since time.Time
	job   *job
}

// job is a job of systemd.
type job struct {
	kind  string
	ended chan struct{}
	err   error
}

// jobError is how a job failed.
type jobError string

func (r jobError) Error() string { return fmt.Sprintf("the job ended with %q", string(r)) }

const (
	canceled = jobError("canceled")
	failed   = jobError("failed")
)

// done is a job with nothing to do.
var done = func() *job {
	j := &job{ended: make(chan struct{})}
	close(j.ended)
	return j
}()

func (s *service) begin(kind string) *job {
	s.job = &job{kind: kind, ended: make(chan struct{})}
	return s.job
}

// end ends the job of a service, if it has one.
func (s *service) end(err error) {
	if s.job != nil {
		s.job.err = err
		close(s.job.ended)
		s.job = nil
	}
}

func (m *Machine) behaves(service, digest, word string) bool {
	if m.Behavior != nil {
		digest = m.Behavior(service, digest)
	}
	return strings.Contains(digest, word)
}

// What tests do.

// Unit returns a service as a pass observes it.
func (m *Machine) Unit(name string) units.Unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view(name, m.services[name])
}

// Starts returns how often a service was started.
func (m *Machine) Starts(name string) (n int) {
	m.Change(func() { n = m.starts[name] })
	return n
}

// Loaded is the digest of the file that systemd has read for a service, empty if it has no unit.
func (m *Machine) Loaded(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.services[name]; s != nil && s.read != nil {
		return s.read.Digest
	}
	return ""
}

// Put has a service be in a state. systemd has its unit only if it has read a file, or if the state
// says so.
func (m *Machine) Put(name string, u units.Unit) {
	m.Set(name, func(now *units.Unit) { *now = u })
}

// Set changes the state of a service.
func (m *Machine) Set(name string, change func(*units.Unit)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.known(name)
	u := m.view(name, s)
	change(&u)
	s.Unit, s.since = u, time.Now().Add(-u.Up)
	s.Job = ""
	if u.Job == "" {
		s.end(nil)
	}
	s.isStarted = u.Stopped || u.Active != units.Inactive && u.Active != ""
	s.isLimited = u.Active == units.Failed && !u.Stopped
	if u.Loaded && !u.Masked && s.read == nil {
		s.read = &file{File: units.File{Digest: u.Digest}}
	}
}

func (m *Machine) known(name string) *service {
	s := m.services[name]
	if s == nil {
		s = &service{Unit: units.Unit{Active: units.Inactive}}
		m.services[name] = s
	}
	return s
}

// Crash ends the program of a service that is up. systemd is about to restart it, unless it has no
// unit of it any more.
func (m *Machine) Crash(name string) { m.Change(func() { m.known(name).crash() }) }

func (s *service) crash() {
	if s.Active != units.Active {
		return
	}
	s.end(nil)
	s.Active, s.Restarting, s.Paused = units.Activating, true, false
	if s.read == nil {
		s.fail(false)
	}
}

// Exhaust has a service that is up crash until it reaches its start limit.
func (m *Machine) Exhaust(name string) {
	m.Change(func() {
		if s := m.known(name); s.Active == units.Active {
			s.fail(true)
		}
	})
}

func (s *service) fail(isLimited bool) {
	s.Active, s.Restarting, s.Paused, s.isLimited = units.Failed, false, false, isLimited
}

// Restarted is a restart by systemd after the program exited.
func (m *Machine) Restarted(name string) {
	m.Change(func() { m.again(name, m.known(name)) })
}

// Tick makes the automatic starts for which systemd waits.
func (m *Machine) Tick() {
	m.Change(func() {
		for _, name := range slices.Sorted(maps.Keys(m.services)) {
			if s := m.services[name]; s.Restarting && s.read != nil {
				m.again(name, s)
			}
		}
	})
}

// StartByHand is a start by an operator, of a service that has a unit.
func (m *Machine) StartByHand(name string) {
	m.Change(func() { m.launchAll(name, m.services[name], false) })
}

// Load is a daemon-reload by another program.
func (m *Machine) Load() { m.Change(m.load) }

// Observe returns the services that systemd knows, and those that are named.
func (m *Machine) Observe(ctx context.Context, names []string, others bool) (map[string]units.Unit, error) {
	if err := m.call("observe", ""); err != nil {
		return nil, err
	}
	if err := m.answer(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]units.Unit, len(names))
	for _, name := range names {
		if s := m.services[name]; s != nil || units.AppOf(name) != "" { // a query does not load a pull unit
			found[name] = m.view(name, s)
		}
	}
	if others {
		for name, s := range m.services {
			found[name] = m.view(name, s)
		}
	}
	return found, nil
}

// HasUnits reports of which services systemd has a unit.
func (m *Machine) HasUnits(ctx context.Context, names []string) (map[string]bool, error) {
	found, err := m.Observe(ctx, names, false)
	loaded := make(map[string]bool, len(found))
	for name, u := range found {
		loaded[name] = u.Loaded
	}
	return loaded, err
}

// answer waits until systemd has time to answer.
func (m *Machine) answer(ctx context.Context) error {
	m.mu.Lock()
	busy := m.Busy
	m.mu.Unlock()
	if busy == 0 {
		return nil
	}
	timer := time.NewTimer(busy)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// view is a service as systemd and Podman show it. s is nil if systemd does not know it.
func (m *Machine) view(name string, s *service) units.Unit {
	if s == nil {
		return units.Unit{Active: units.Inactive}
	}
	u := s.Unit
	u.Loaded = s.read != nil || u.Masked
	if s.read != nil && units.AppOf(name) != "" {
		u.NeedsReload = s.read.stamp != m.files[fileOf(name)].stamp
	}
	u.Stopped = s.isStarted && (u.Active == units.Inactive || u.Active == units.Failed && u.Loaded && !s.isLimited)
	if !s.since.IsZero() {
		u.Up = time.Since(s.since)
	}
	if s.job != nil {
		u.Job = s.job.kind
	}
	if u.Restarting || u.Active == units.Inactive || u.Active == units.Failed { // it has no container
		u.Digest, u.Health, u.Payload = "", "", ""
	}
	return u
}

func fileOf(service string) string { return units.ContainerFile(units.ContainerOf(service)) }

// Reload has systemd read all files.
func (m *Machine) Reload(context.Context) error { return m.perform("reload", "", "", m.load) }

// load has systemd make units of the files. A service without a file continues, but its Restart= is
// forgotten, and with it all of a service that is down.
func (m *Machine) load() {
	for name, s := range m.services {
		if units.AppOf(name) != "" {
			s.read = nil
		}
	}
	for name, f := range m.files {
		service := units.ServiceOf(name)
		if service != "" && !f.isForeign && !f.isDamaged && !m.Unreadable && !m.behaves(service, f.Digest, "refused") {
			m.known(service).read = &f
		}
	}
	for name, s := range m.services {
		if s.read == nil && s.Restarting {
			s.fail(false)
		}
		m.collect(name, s)
	}
}

// collect forgets a service that has no unit and is down, unless another unit mentions it.
func (m *Machine) collect(name string, s *service) {
	if s.read == nil && !s.Masked && s.Active == units.Inactive && !m.Mentioned[name] {
		delete(m.services, name)
	}
}

// Start starts a service that is down.
func (m *Machine) Start(ctx context.Context, name string) error {
	return m.do(ctx, "start", "starting", name)
}

// Restart starts a service again, with the services that are part of it.
func (m *Machine) Restart(ctx context.Context, name string) error {
	return m.do(ctx, "restart", "restarting", name)
}

// alone ends the verb of a call that is logged without it.
const alone = "-alone"

// RestartAlone starts a service again.
func (m *Machine) RestartAlone(ctx context.Context, name string) error {
	return m.do(ctx, "restart"+alone, "restarting", name)
}

// Recreate starts a service again.
func (m *Machine) Recreate(ctx context.Context, name string) error {
	return m.do(ctx, "recreate", "starting", name)
}

// do queues a job and waits for it. The job continues without the caller.
func (m *Machine) do(ctx context.Context, verb, doing, name string) error {
	var j *job
	var refused error
	err := m.perform(verb, name, m.Loaded(name), func() { j, refused = m.queue(verb, name) })
	if err = cmp.Or(err, refused); err == nil {
		err = j.wait(ctx)
	}
	if result, isResult := errors.AsType[jobError](err); isResult {
		err = fmt.Errorf("%s %s: %w", doing, name, result)
	}
	return err
}

// wait waits for a job. The result of one that has ended is known also to a caller that can't wait.
func (j *job) wait(ctx context.Context) error {
	select {
	case <-j.ended:
		return j.err
	default:
	}
	select {
	case <-j.ended:
		return j.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// queue queues a start or a restart. systemd merges a job into one of the same kind.
func (m *Machine) queue(verb, name string) (*job, error) {
	kind, isAlone := strings.CutSuffix(verb, alone)
	s := m.services[name]
	switch {
	case s == nil || s.read == nil:
		return nil, fmt.Errorf("unit %s not found", name)
	case s.Masked:
		return nil, fmt.Errorf("unit %s is masked", name)
	case s.job != nil && (s.job.kind == kind || kind == "start"):
		return s.job, nil
	case kind == "start" && s.Active == units.Active:
		return done, nil
	case s.isLimited:
		return nil, failed
	}
	s.end(canceled)
	j := s.begin(kind)
	if takes := m.StopTakes[name]; takes > 0 && s.Active == units.Active {
		m.later(takes, name, s, func() { m.launchAll(name, s, isAlone) })
		return j, nil
	}
	m.launchAll(name, s, isAlone)
	return j, nil
}

// later does something after a while, unless the service is started or stopped meanwhile.
func (m *Machine) later(d time.Duration, name string, s *service, do func()) {
	invocation, job := s.Invocation, s.job
	time.AfterFunc(d, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.services[name] == s && s.Invocation == invocation && s.job == job {
			do()
		}
	})
}

// launchAll starts a service, and unless it is alone those that it starts or restarts.
func (m *Machine) launchAll(name string, s *service, isAlone bool) {
	isRestart := s.Active == units.Active || s.Restarting
	m.launch(name, s)
	if isAlone {
		return
	}
	for _, other := range slices.Sorted(maps.Keys(m.services)) {
		o := m.services[other]
		isPart := other != name && units.ServiceName(units.AppOf(other)) == name
		isPartOf := isPart || slices.Contains(m.PartOf[other], name)
		isUp := o.Active == units.Active || o.Active == units.Activating && !o.Restarting
		if o.read != nil && !o.Masked && !o.isLimited && (isPart && !isUp || isRestart && isPartOf && o.Active == units.Active) {
			m.launch(other, o)
		}
	}
}

// again is an automatic start, which systemd counts.
func (m *Machine) again(name string, s *service) {
	restarts := s.Restarts + 1
	m.launch(name, s)
	s.Restarts = restarts
}

// launch starts the program of a service. Podman removes any container that has its name.
func (m *Machine) launch(name string, s *service) {
	for id, c := range m.Containers {
		if c.Name == units.ContainerOf(name) {
			delete(m.Containers, id)
			m.Replaced = append(m.Replaced, c.Name)
		}
	}
	if s.job == nil {
		s.begin("start")
	}
	m.starts[name]++
	s.Unit = units.Unit{Active: units.Activating, Invocation: strconv.Itoa(m.starts[name]), Digest: s.Digest, Run: units.Run{Since: time.Now()}}
	if s.read != nil {
		s.Digest = s.read.Digest
	}
	s.isStarted, s.isLimited = true, false
	if m.Started != nil {
		m.Started(name, s.Digest)
	}
	takes := m.StartTakes[name]
	switch is := m.is(name, s); {
	case is("fails"):
		s.fail(true)
		s.end(failed)
		return
	case is("slow"):
		return
	case is("late"):
		takes = lateAfter
	}
	if takes > 0 {
		m.later(takes, name, s, func() { m.arrive(name, s) })
		return
	}
	m.arrive(name, s)
}

func (m *Machine) is(name string, s *service) func(string) bool {
	digest := s.Digest
	return func(word string) bool { return m.behaves(name, digest, word) }
}

// arrive is the end of a start.
func (m *Machine) arrive(name string, s *service) {
	s.Active, s.since = units.Active, time.Now()
	var result error
	switch is := m.is(name, s); {
	case is("lost"):
		s.fail(true)
		result = failed
	case is("loops"), is("exits"):
		s.end(nil)
		s.crash()
	case is("crashes"):
		s.end(nil)
		m.later(crashesAfter, name, s, func() { m.again(name, s) })
	}
	s.end(result)
}

// Stop stops a service, with those that are part of it.
func (m *Machine) Stop(_ context.Context, name string) error {
	return m.perform("stop", name, "", func() { m.stop(name) })
}

// StopByHand is a stop by an operator.
func (m *Machine) StopByHand(name string) { m.Change(func() { m.stop(name) }) }

func (m *Machine) stop(name string) {
	for _, other := range slices.Sorted(maps.Keys(m.services)) {
		if s := m.services[other]; other == name || units.ServiceName(units.AppOf(other)) == name {
			m.halt(other, s)
		}
	}
}

func (m *Machine) halt(name string, s *service) {
	s.end(canceled)
	switch {
	case s.Active == units.Failed, s.Active == units.Inactive: // a stop does not change that
	case m.behaves(name, s.Digest, "stubborn"):
		s.fail(false)
	default:
		s.Active, s.Restarting, s.Paused = units.Inactive, false, false
	}
	m.collect(name, s)
}

// ResetFailed has systemd forget that a service failed. It looks stopped then.
func (m *Machine) ResetFailed(_ context.Context, name string) error {
	return m.perform("reset-failed", name, "", func() {
		s := m.known(name)
		if s.Active == units.Failed {
			s.Active = units.Inactive
		}
		s.isLimited, s.Restarts = false, 0
		m.collect(name, s)
	})
}

// ReloadService has a service that is up read its configuration files again, which takes a second
// and continues without the caller.
func (m *Machine) ReloadService(ctx context.Context, name string) error {
	j := done
	err := m.perform("reload-service", name, "", func() {
		switch s := m.known(name); {
		case s.job != nil:
			j = s.job
		case s.Active == units.Active:
			j = s.begin("reload")
			time.AfterFunc(reloadTakes, func() { m.reloaded(name, s, j) })
		}
	})
	if err != nil {
		return err
	}
	return j.wait(ctx)
}

func (m *Machine) reloaded(name string, s *service, j *job) {
	var err error
	if m.Reloading != nil {
		err = m.Reloading(name)
	}
	m.Change(func() {
		if s.job == j {
			s.end(err)
		}
	})
}

// ReloadNetwork does nothing: a pass does not see the network.
func (m *Machine) ReloadNetwork(context.Context) error { return m.call("reload-network", "") }

// Log names the service.
func (m *Machine) Log(_ context.Context, service string, _ int) []string {
	return []string{"last words of " + service}
}

// GeneratorLog names the file.
func (m *Machine) GeneratorLog(_ context.Context, file string, _ time.Time) []string {
	return []string{"unsupported key in " + file}
}
