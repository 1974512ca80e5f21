// Package reconciletest is a fake machine for tests of passes: the unit files, systemd's services,
// foreign containers and the state directory, as a reconcile.Host has them. A test changes the
// machine as operators, programs and faults do, makes calls fail, kills a pass, and reads what was
// done.
//
// It owns the behavior of systemd and Podman that passes depend on, above all where it is
// unpleasant: a reset failed service looks stopped, a deleted file leaves a service that nothing
// restarts, a start removes any container that has the name. It never decides what a pass does,
// runs no program and reads no file. Everything that takes time needs a virtual clock
// (testing/synctest).
package reconciletest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// Machine is a fake machine. It is every part of a reconcile.Host that is an interface. Its methods
// may be called at any time; what is set while a pass runs is set within Change.
type Machine struct {
	// Before is called before each call of a pass, and makes it fail. The verb is that of the effect,
	// or "observe", "restart-alone", "sync", "commit", or "save" for the history. After is called after
	// it. They must not wait in "save" and "remember".
	Before func(verb, target string) error
	After  func(verb, target string)
	// Started is called when a program starts. It must not call the machine.
	Started func(service, digest string)
	// Behavior is how the program of a service with a digest behaves, in words. Without it, the
	// digest itself has the words, as in "2-crashes". A program without one of them is up at once.
	//
	//	silent     it runs and does not answer
	//	fails      it fails at its start limit when it starts
	//	exits      it exits when it is up, and systemd is about to restart it
	//	crashes    it exits three seconds after each start, and systemd restarts it at once
	//	slow       it starts and is never up
	//	late       it is up five minutes after its start; late-lost fails then, late-loops exits
	//	stubborn   it has to be killed: systemd lists it as failed when it was stopped
	//	refused    Podman's generator makes no unit of its file
	Behavior func(service, digest string) string
	// Busy is how long systemd takes to list units.
	Busy time.Duration
	// StopTakes and StartTakes are how long services take to stop before a restart, and to start.
	StopTakes, StartTakes map[string]time.Duration
	// PartOf is the services whose restart restarts a service, beside the main service of its app.
	PartOf map[string][]string
	// Mentioned is services that systemd keeps without a unit, because another unit mentions them.
	Mentioned map[string]bool
	// Reloading is what a service does to read its configuration files again.
	Reloading func(service string) error
	// Unreadable: Podman's generator can't read the files. Immutable is a file that can't be
	// changed.
	Unreadable bool
	Immutable  string
	// Locked: another pass holds the lock.
	Locked bool
	// Lacks is why images of an app are unavailable, by app. Supplies counts the attempts to acquire
	// what an app lacks.
	Lacks    map[string]error
	Supplies int

	// Records, Adopted and Generations is what passes store. Only the newest generation is read.
	Records     units.History
	Adopted     units.Adoptions
	Generations []units.Set
	// Saved is the apps whose data an update has saved.
	Saved map[string]bool
	// Formats is the formats of the data of apps.
	Formats map[string]int

	// Containers is the foreign containers by id. If it is nil, no pass looks for any.
	Containers map[string]Container
	// Replaced is the containers that Podman removed because a service started.
	Replaced []string
	// Looks counts the searches for foreign containers, of which the next Rewrites change manifests.
	// Refuses is why containers can't be adopted. Unstoppable: none of them stops.
	Looks, Rewrites int
	Refuses         error
	Unstoppable     bool

	// Effects is what was done to the machine, in order.
	Effects []Effect

	mu       sync.Mutex
	began    time.Time
	files    map[string]file
	stamp    int // of the last write
	services map[string]*service
	starts   map[string]int
	// lives is how many effects a pass has left until it is killed, if isMortal.
	lives    int
	isMortal bool
}

// Effect is one thing that was done.
type Effect struct {
	// At is the time since the machine exists.
	At time.Duration
	// Verb is "write", "remove", "record", "remember", "park", "unpark", or the kind of an action on
	// services.
	Verb, Target string
	// Detail is the digest of the file that is written or that a service starts with.
	Detail string
}

func (e Effect) String() string {
	return strings.TrimRight(e.Verb+" "+e.Target+" "+e.Detail, " ")
}

// New is a machine without apps.
func New() *Machine {
	return &Machine{
		Records: units.History{}, Adopted: units.Adoptions{}, Lacks: map[string]error{}, Mentioned: map[string]bool{},
		StopTakes: map[string]time.Duration{}, StartTakes: map[string]time.Duration{}, PartOf: map[string][]string{},
		began: time.Now(), files: map[string]file{}, services: map[string]*service{}, starts: map[string]int{},
	}
}

// Host is the machine for a pass. A service with the behavior "silent" does not answer.
func (m *Machine) Host() reconcile.Host {
	ask := func(_ context.Context, _ units.File, p units.Part, u units.Unit) (units.Health, string) {
		if m.behaves(p.Service, u.Digest, "silent") {
			return units.Failing, "connection refused"
		}
		return units.Serving, ""
	}
	host := reconcile.Host{
		Files: m, Services: m, Store: m, Now: time.Now, StabilizationTime: 5 * time.Second, WaitTimeout: 10 * time.Minute,
		Health: ask, Ask: ask, Record: m.record, Supply: m.supply,
	}
	if m.Containers != nil {
		host.Foreign = m
	}
	return host
}

// Change makes changes while a pass may run.
func (m *Machine) Change(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// Did is the effects as text, without their times.
func (m *Machine) Did() (list []string) {
	m.Change(func() {
		for _, e := range m.Effects {
			list = append(list, e.String())
		}
	})
	return list
}

// ErrKilled is the error of every call of a killed pass that would change the machine.
var ErrKilled = errors.New("the pass was killed")

// KillAfter kills the running or the next pass after a number of effects: nothing that it does
// afterwards has an effect. Revive makes the machine ready for another pass, and reports whether
// the last one was killed.
func (m *Machine) KillAfter(effects int) { m.Change(func() { m.lives, m.isMortal = effects, true }) }

// Revive is described at KillAfter.
func (m *Machine) Revive() (wasKilled bool) {
	m.Change(func() { wasKilled, m.lives, m.isMortal = m.isMortal && m.lives < 0, 0, false })
	return wasKilled
}

// effect is what a call does, unless the pass was killed. The caller holds mu.
func (m *Machine) effect(verb, target, detail string) error {
	if m.isMortal {
		if m.lives--; m.lives < 0 {
			m.lives = -1
			return ErrKilled
		}
	}
	if verb != "save" && verb != "commit" && verb != "" {
		m.Effects = append(m.Effects, Effect{time.Since(m.began), strings.TrimSuffix(verb, alone), target, detail})
	}
	return nil
}

// perform is a call with one effect.
func (m *Machine) perform(verb, target, detail string, do func()) error {
	err := m.call(verb, target)
	if err == nil {
		m.Change(func() {
			if err = m.effect(verb, target, detail); err == nil {
				do()
			}
		})
	}
	if m.After != nil {
		m.After(verb, target)
	}
	return err
}

// call is the begin of a call, which may fail.
func (m *Machine) call(verb, target string) error {
	if m.Before == nil {
		return nil
	}
	return m.Before(verb, target)
}

// What a host has beside its interfaces.

func (m *Machine) record(dir, name string, content []byte) error {
	return m.perform("record", dir+"/"+name, string(content), func() {})
}

func (m *Machine) supply(_ context.Context, app units.App, lack units.Prerequisites) (err error) {
	m.Change(func() {
		if m.Supplies++; lack.Images {
			err = m.Lacks[app.ID]
		}
	})
	return err
}

// The store.

// Lock fails if another pass holds the lock.
func (m *Machine) Lock(context.Context) (unlock func(), err error) {
	m.Change(func() {
		if m.Locked {
			err = errors.New("held by process 7")
		}
		m.Locked = true
	})
	return func() { m.Change(func() { m.Locked = false }) }, err
}

// History returns the records of repairs.
func (m *Machine) History() (h units.History, _ error) {
	m.Change(func() { h = maps.Clone(m.Records) })
	return h, nil
}

// SaveHistory stores the records of repairs.
func (m *Machine) SaveHistory(h units.History) error {
	return m.perform("save", "", "", func() { m.Records = maps.Clone(h) })
}

// Adoptions returns the adoptions of foreign containers.
func (m *Machine) Adoptions() (a units.Adoptions, _ error) {
	m.Change(func() { a = maps.Clone(m.Adopted) })
	return a, nil
}

// SaveAdoptions stores the adoptions of foreign containers.
func (m *Machine) SaveAdoptions(a units.Adoptions) error {
	return m.perform("remember", strings.Join(slices.Sorted(maps.Keys(a)), " "), "", func() { m.Adopted = maps.Clone(a) })
}

// Good returns the newest generation.
func (m *Machine) Good() (good units.Set, _ error) {
	m.Change(func() {
		if n := len(m.Generations); n > 0 {
			good = m.Generations[n-1]
		}
	})
	return good, nil
}

// DataFormat returns the format of an app's data.
func (m *Machine) DataFormat(app string) (format int, _ error) {
	m.Change(func() { format = m.Formats[app] })
	return format, nil
}

// IsDataSaved reports whether an update has saved the data of an app.
func (m *Machine) IsDataSaved(app string) (isSaved bool, _ error) {
	m.Change(func() { isSaved = m.Saved[app] })
	return isSaved, nil
}

// Commit stores a generation.
func (m *Machine) Commit(set units.Set, _ string) error {
	return m.perform("commit", "", "", func() { m.Generations = append(m.Generations, set) })
}

// The foreign containers.

// Container is a foreign container.
type Container struct {
	Name    string
	Running bool
}

// Adopts reports that apps may replace foreign containers.
func (m *Machine) Adopts() bool { return true }

// Find returns the containers that have the names of the apps' containers.
func (m *Machine) Find(_ context.Context, apps []units.App) (map[string]units.Foreign, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Looks++
	found := map[string]units.Foreign{}
	for _, a := range apps {
		for _, id := range slices.Sorted(maps.Keys(m.Containers)) {
			c := m.Containers[id]
			if service := units.ServiceName(c.Name); units.AppOf(service) != a.ID || strings.HasSuffix(c.Name, ".legacy") {
				continue
			}
			in := found[a.ID]
			in.Containers = append(in.Containers, units.ForeignContainer{ID: id, Name: c.Name, Ran: c.Running})
			in.Notes, in.Err = []string{"keeps data"}, m.Refuses
			found[a.ID] = in
		}
	}
	isChanged := m.Rewrites > 0 && len(found) > 0
	if isChanged {
		m.Rewrites--
	}
	return found, isChanged, nil
}

// Park stops a container and then renames it.
func (m *Machine) Park(_ context.Context, _ units.App, c units.ForeignContainer) error {
	return m.turn("park", c, Container{c.Name, false}, Container{c.ParkedName(), false})
}

// Unpark gives a container its name back and then starts it.
func (m *Machine) Unpark(_ context.Context, c units.ForeignContainer) error {
	return m.turn("unpark", c, Container{c.Name, false}, Container{c.Name, c.Ran})
}

// turn takes a container through two states. A pass may be killed in between.
func (m *Machine) turn(verb string, c units.ForeignContainer, first, last Container) (err error) {
	callErr := m.perform(verb, c.Name, "", func() {
		_, exists := m.Containers[c.ID]
		switch {
		case m.Unstoppable && verb == "park":
			err = errors.New("it does not stop")
		case !exists && verb == "unpark":
			err = fmt.Errorf("the container %s was removed", c.Name)
		case exists:
			m.Containers[c.ID] = first
			if err = m.effect("", "", ""); err == nil {
				m.Containers[c.ID] = last
			}
		}
	})
	return errors.Join(callErr, err)
}

// Remove removes a container.
func (m *Machine) Remove(_ context.Context, c units.ForeignContainer) error {
	return m.perform("remove", c.Name, "", func() { delete(m.Containers, c.ID) })
}
