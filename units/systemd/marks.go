package systemd

import (
	"context"
	"sync"

	"github.com/godbus/dbus/v5"
)

// Mark says what signals told about a unit since it was last asked.
type Mark int

// The marks of a unit, the stronger one last.
const (
	// Reread: the manager loaded the unit, or forgot it. Reading a unit that does not run causes
	// both.
	Reread Mark = iota + 1
	// Changed: its state or a job of it changed.
	Changed
)

// marks is the units with signals.
type marks struct {
	mu    sync.Mutex
	units map[string]Mark
	// isLost: anything may have changed. isComplete: the manager sends its signals.
	isLost, isComplete bool
}

func newMarks() *marks { return &marks{units: map[string]Mark{}, isLost: true} }

// note marks the unit of a signal.
func (k *marks) note(s *dbus.Signal) {
	name, mark := marked(s)
	if mark == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if name == "" || len(k.units) >= maxQueued {
		k.isLost = true
		clear(k.units)
	}
	if !k.isLost {
		k.units[name] = max(mark, k.units[name])
	}
}

// marked is the unit that a signal is about, empty for all, and its mark, 0 if it tells nothing.
func marked(s *dbus.Signal) (name string, mark Mark) {
	if isOwnerChange(s) {
		return "", Changed
	}
	if s.Name == service+".Manager.JobNew" {
		e, _ := named(JobRemoved, s, 2)
		return e.Unit, Changed
	}
	e, ok := eventOf(s)
	switch {
	case !ok:
		return "", 0
	case e.Kind == UnitNew, e.Kind == UnitRemoved:
		return e.Unit, Reread
	}
	return e.Unit, Changed
}

// complete records that the manager sends its signals from now on.
func (k *marks) complete() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.isComplete = true
}

// take returns the marks since the last call, and false if anything may have changed.
func (k *marks) take() (map[string]Mark, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list, isKnown := k.units, k.isComplete && !k.isLost
	k.units, k.isLost = map[string]Mark{}, !k.isComplete
	return list, isKnown
}

// Changes returns the units with signals since the last call, and false if anything may have
// changed: at first, after a reload or a lost connection, and while nothing receives Events. It
// is for one caller.
//
// A unit without a mark is as it was when it was read after the last call. The manager sends the
// signals of a change before it handles the next call, and marks are made in the order in which
// messages arrive. Only a manager with a thousand unsent messages is late; the Event that follows
// then has the unit read again.
func (m *Manager) Changes(ctx context.Context) (map[string]Mark, bool, error) {
	type taken struct {
		list    map[string]Mark
		isKnown bool
	}
	t, err := call(ctx, m, "asking for changes", callTimeout, func(ctx context.Context, l *conn) (taken, error) {
		err := l.Object(service, managerPath).CallWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0).Err
		if err != nil {
			return taken{}, err
		}
		list, isKnown := l.marks.take()
		return taken{list, isKnown}, nil
	})
	return t.list, t.isKnown, err
}

// handler is a signal handler of godbus with all its parts.
type handler interface {
	dbus.SignalHandler
	dbus.SignalRegistrar
	dbus.Terminator
}

// marker marks the unit of each signal before it delivers the signal, and before any later message
// of the connection is read.
type marker struct {
	handler
	marks *marks
}

func (m marker) DeliverSignal(iface, name string, s *dbus.Signal) {
	m.marks.note(s)
	m.handler.DeliverSignal(iface, name, s)
}
