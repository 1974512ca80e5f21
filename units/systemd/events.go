package systemd

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"
)

// Kind is the kind of an event.
type Kind string

// The kinds of events.
const (
	// Resync: anything may have changed. It is the first event, and it is repeated after a lost
	// connection was restored and instead of too many events.
	Resync Kind = "resync"
	// UnitChanged: some property of the unit changed.
	UnitChanged Kind = "unit-changed"
	// UnitNew and UnitRemoved: the manager loaded the unit, or forgot it.
	UnitNew     Kind = "unit-new"
	UnitRemoved Kind = "unit-removed"
	// JobRemoved: a job of the unit ended.
	JobRemoved Kind = "job-removed"
	// Reloading: the manager reads all unit files again, and sends no other event until Reloaded.
	// After that anything may have changed.
	Reloading Kind = "reloading"
	Reloaded  Kind = "reloaded"
)

// Event is a hint that something changed: read the state again.
type Event struct {
	Kind Kind
	// Unit is empty if the event concerns the manager.
	Unit string
}

// maxQueued is how many different events may wait for a slow reader.
const maxQueued = 1024

// Events sends events until the context ends or the Manager is closed, and then closes the
// channel. Equal events that were not read yet are sent once. A slow reader delays no other one.
func (m *Manager) Events(ctx context.Context) <-chan Event {
	out := make(chan Event)
	ctx, stop := withEnd(ctx, m.closing)
	go func() {
		defer stop()
		defer close(out)
		for pause := newPause(); ; { // a manager that closes every connection must not cause a busy loop
			l, signals, err := m.subscribe(ctx)
			if err == nil {
				pause = newPause()
				if forward(ctx, signals, out); ctx.Err() == nil {
					l.close()
				}
				l.RemoveSignal(signals)
			}
			if !pause.wait(ctx) {
				return
			}
		}
	}()
	return out
}

// subscribe makes the manager send its signals.
func (m *Manager) subscribe(ctx context.Context) (*conn, chan *dbus.Signal, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errNoAnswer)
	defer cancel()
	short, end := context.WithTimeout(ctx, connectPatience) // calls must be able to report why they can't connect
	defer end()
	l, err := m.connection(short)
	if err != nil {
		return nil, nil, err
	}
	signals := make(chan *dbus.Signal, 64)
	l.Signal(signals)
	if err := l.endpoint.listen(ctx, l.rawConn); err != nil {
		l.RemoveSignal(signals)
		return nil, nil, err
	}
	l.marks.complete()
	return l, signals, nil
}

// listen subscribes to the signals. On its own socket the manager sends all of them without a
// subscription, and there is no bus that accepts match rules.
func (e endpoint) listen(ctx context.Context, w *rawConn) error {
	if e.bus {
		for _, rule := range [][]dbus.MatchOption{
			{dbus.WithMatchSender(service), dbus.WithMatchInterface(service + ".Manager"), dbus.WithMatchObjectPath(managerPath)},
			{dbus.WithMatchSender(service), dbus.WithMatchInterface("org.freedesktop.DBus.Properties"), dbus.WithMatchPathNamespace(unitsPath)},
			{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service)},
		} {
			err := w.AddMatchSignalContext(ctx, rule...)
			if err != nil {
				return err
			}
		}
	}
	return w.Object(service, managerPath).CallWithContext(ctx, service+".Manager.Subscribe", 0).Err
}

// forward sends the events of the signals until the connection or the context ends.
func forward(ctx context.Context, signals <-chan *dbus.Signal, out chan<- Event) {
	q := newQueue()
	for {
		var ready chan<- Event
		if len(q.events) > 0 {
			ready = out
		}
		select {
		case s, ok := <-signals:
			if !ok || isOwnerChange(s) {
				return
			}
			q.take(s)
		case ready <- q.head():
			q.pop()
		case <-ctx.Done():
			return
		}
	}
}

// isOwnerChange reports whether another manager, or none, is on the bus now. It has no
// subscription of ours.
func isOwnerChange(s *dbus.Signal) bool { return s.Name == "org.freedesktop.DBus.NameOwnerChanged" }

// queue is the events that are not read yet. It begins with a Resync.
type queue struct {
	events []Event
	queued map[Event]struct{}
	// until is when a reload that has begun must have ended.
	until time.Time
}

func newQueue() *queue {
	q := new(queue)
	q.resync()
	return q
}

func (q *queue) resync() {
	q.events = append(q.events[:0], Event{Kind: Resync})
	q.queued = map[Event]struct{}{{Kind: Resync}: {}}
}

func (q *queue) head() Event {
	if len(q.events) == 0 {
		return Event{}
	}
	return q.events[0]
}

func (q *queue) pop() {
	delete(q.queued, q.events[0])
	q.events = q.events[1:]
}

func (q *queue) add(e Event) {
	if _, ok := q.queued[e]; ok {
		return
	}
	if len(q.events) >= maxQueued {
		q.resync()
		return
	}
	q.queued[e] = struct{}{}
	q.events = append(q.events, e)
}

// take queues the event of a signal. A reload sends signals about every unit twice, which contain
// no information.
func (q *queue) take(s *dbus.Signal) {
	e, ok := eventOf(s)
	if !ok {
		return
	}
	now := time.Now()
	switch {
	case e.Kind == Reloading:
		q.until = now.Add(reloadTimeout)
	case e.Kind == Reloaded:
		q.until = time.Time{}
	case now.Before(q.until):
		return
	case !q.until.IsZero():
		// A reload that fails may send no end.
		q.until = time.Time{}
		q.resync()
		return
	}
	q.add(e)
}

func eventOf(s *dbus.Signal) (Event, bool) {
	switch s.Name {
	case service + ".Manager.UnitNew":
		return named(UnitNew, s, 0)
	case service + ".Manager.UnitRemoved":
		return named(UnitRemoved, s, 0)
	case service + ".Manager.JobRemoved":
		return named(JobRemoved, s, 2)
	case service + ".Manager.Reloading":
		if len(s.Body) == 1 && s.Body[0] == true {
			return Event{Kind: Reloading}, true
		}
		return Event{Kind: Reloaded}, true
	case "org.freedesktop.DBus.Properties.PropertiesChanged":
		name, ok := unitName(s.Path)
		return Event{UnitChanged, name}, ok
	}
	return Event{}, false
}

// named is an event of a signal whose nth value is the name of the unit.
func named(kind Kind, s *dbus.Signal, n int) (Event, bool) {
	if len(s.Body) <= n {
		return Event{}, false
	}
	name, ok := s.Body[n].(string)
	return Event{kind, name}, ok
}
