// Package systemd owns the connection to a systemd manager, the system's or a
// user's: it reads units, runs jobs and waits for their results, reloads, and
// tells of changes. It is the only package of ours that talks to systemd.
//
// Every call has a deadline. A connection that is lost, as when the manager
// executes itself anew, is made again by the next call; a job that was waited
// for is then judged by the state of its unit. Events are hints to look again,
// never the truth.
//
// It decides nothing, writes no file and runs no program. A job that is done
// does not mean a unit that serves: look at the unit after a while.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"syscall"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units"
)

const (
	// callTimeout is that of D-Bus itself.
	callTimeout = 25 * time.Second
	// reloadTimeout is longer than the 90 s that systemd gives its generators.
	reloadTimeout = 2 * time.Minute
	// connectPatience is how long a manager may refuse connections that has a
	// socket: one that executes itself anew is back within a fraction of it.
	connectPatience = time.Second
)

// Options is where the manager is found. The zero value is the manager of the
// user who runs the program.
type Options struct {
	Scope units.Scope
	// Private is the path of the manager's own socket, Bus the address of the
	// bus that the manager is on. Where both are empty they are those of the
	// scope; the socket is preferred, since it needs no dbus-daemon.
	Private, Bus string
}

// Manager is a systemd manager. Its methods may be called at the same time.
type Manager struct {
	scope     units.Scope
	endpoints []endpoint

	// closing ends when Close is called.
	closing context.Context
	close   context.CancelFunc

	// connSem is held by who looks at the link or makes a new one.
	connSem chan struct{}
	conn    *conn

	// seen is what was seen of starts, by the name of the unit.
	seen startCache

	// recheck is how often a job that is waited for is looked at, in case that
	// word of its end went astray.
	recheck time.Duration
}

// Connect connects to a manager. The context bounds the connecting only; the
// connection lasts until Close.
func Connect(ctx context.Context, options Options) (*Manager, error) {
	m := &Manager{scope: options.Scope, connSem: make(chan struct{}, 1), recheck: 2 * time.Second}
	m.closing, m.close = context.WithCancel(context.WithoutCancel(ctx))
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errNoAnswer)
	defer cancel()
	err := m.connect(ctx, options)
	if err != nil {
		m.close()
		return nil, m.explain("connecting", err)
	}
	return m, nil
}

func (m *Manager) connect(ctx context.Context, options Options) (err error) {
	m.endpoints, err = endpoints(options)
	if err != nil {
		return err
	}
	m.conn, err = dialFirst(ctx, m.endpoints)
	if err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	if l, again := m.dial(ctx); again == nil {
		m.conn, err = l, nil
	}
	return err
}

// Close ends the connection, and with it all calls and events.
func (m *Manager) Close() {
	m.close()
	m.connSem <- struct{}{}
	defer func() { <-m.connSem }()
	if m.conn != nil {
		m.conn.close()
	}
}

// dial connects, again and again until the context ends.
func (m *Manager) dial(ctx context.Context) (*conn, error) {
	for pause := newPause(); ; {
		l, err := dialFirst(ctx, m.endpoints)
		if err == nil {
			return l, nil
		}
		if !pause.wait(ctx) {
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// connection returns the connection, a new one if it was lost.
func (m *Manager) connection(ctx context.Context) (*conn, error) {
	select {
	case m.connSem <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-m.connSem }()
	if m.closing.Err() != nil {
		return nil, ErrClosed
	}
	if m.conn != nil && !m.conn.isLost() {
		return m.conn, nil
	}
	l, err := m.dial(ctx)
	m.conn = l
	return l, err
}

// call runs one call with a deadline, on a new connection when the one that it
// was made on is lost. A call may so be made twice: systemd takes all of ours
// twice without harm.
func call[T any](ctx context.Context, m *Manager, what string, timeout time.Duration, f func(context.Context, *conn) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
	defer cancel()
	ctx, stop := withEnd(ctx, m.closing)
	defer stop()
	for pause := newPause(); ; {
		l, err := m.connection(ctx)
		if err != nil {
			var none T
			return none, m.explain(what, err)
		}
		result, err := f(ctx, l)
		if err == nil {
			return result, nil
		}
		if ctx.Err() != nil {
			return result, m.explain(what, context.Cause(ctx))
		}
		if !l.isLost() && !isLoss(err) {
			return result, m.explain(what, err)
		}
		l.close()
		if !pause.wait(ctx) {
			return result, m.explain(what, fmt.Errorf("%w: %w", context.Cause(ctx), err))
		}
	}
}

// withEnd ends a context when another one ends, with ErrClosed.
func withEnd(ctx, end context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(end, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// isLoss tells an error of the connection from an answer of the manager. The
// last names are a bus's, for a manager that went away or is not back yet.
func isLoss(err error) bool {
	if reply, ok := errors.AsType[dbus.Error](err); ok {
		switch reply.Name {
		case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected",
			"org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.ServiceUnknown":
			return true
		}
		return false
	}
	_, isNet := errors.AsType[*net.OpError](err)
	return isNet || errors.Is(err, dbus.ErrClosed) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Reload makes the manager read all unit files anew, running Quadlet's
// generator. That it succeeds proves no unit: see which are loaded.
func (m *Manager) Reload(ctx context.Context) error {
	_, err := call(ctx, m, "reloading", reloadTimeout, func(ctx context.Context, l *conn) (struct{}, error) {
		return struct{}{}, l.calls.ReloadContext(ctx)
	})
	return err
}

// ResetFailed lets a unit that failed, or was started too often, start again.
func (m *Manager) ResetFailed(ctx context.Context, name string) error {
	_, err := call(ctx, m, "resetting "+name, callTimeout, func(ctx context.Context, l *conn) (struct{}, error) {
		return struct{}{}, l.calls.ResetFailedUnitContext(ctx, name)
	})
	return err
}

// conn is the one connection to the manager: a manager sends every signal to each
// connection that there is, which costs it and us as much again for each.
type conn struct {
	*rawConn
	endpoint endpoint
	calls    *sdbus.Conn
	// queueing is held by the one call that queues a job. go-systemd would let
	// the others wait behind it with no regard to their contexts.
	queueing chan struct{}

	lost chan struct{}
	once sync.Once
}

func (l *conn) close() {
	l.once.Do(func() { close(l.lost) })
	l.rawConn.close()
}

func (l *conn) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

func newConn(ctx context.Context, e endpoint) (*conn, error) {
	w, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := &conn{rawConn: w, endpoint: e, lost: make(chan struct{}), queueing: make(chan struct{}, 1)}
	go func() {
		<-w.Context().Done()
		l.close()
	}()
	// go-systemd makes a call without a context while it connects. It asks for a
	// connection for calls and for one for the results of jobs: one will do, as ours
	// keeps signals that nobody has read for later.
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	l.calls, err = sdbus.NewConnection(func() (*dbus.Conn, error) { return w.Conn, nil })
	if err == nil && l.isLost() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// dialFirst connects to the first endpoint that answers.
func dialFirst(ctx context.Context, endpoints []endpoint) (*conn, error) {
	return first(ctx, endpoints, newConn)
}

func first[T any](ctx context.Context, endpoints []endpoint, dial func(context.Context, endpoint) (T, error)) (T, error) {
	var failures []error
	for _, e := range endpoints {
		connected, err := dial(ctx, e)
		if err == nil {
			return connected, nil
		}
		failures = append(failures, err)
	}
	var none T
	return none, unreachable(failures)
}

// unreachable is ErrUnreachable with the reasons. A socket or bus that is not
// there says less than one that is there and fails.
func unreachable(failures []error) error {
	var telling []error
	for _, err := range failures {
		if !errors.Is(err, fs.ErrNotExist) {
			telling = append(telling, err)
		}
	}
	if len(telling) > 0 {
		failures = telling
	}
	err := fmt.Errorf("%w: %w", ErrUnreachable, failures[0])
	for _, other := range failures[1:] {
		err = fmt.Errorf("%w; %w", err, other)
	}
	return err
}

// pause is the time between attempts. It grows.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{20 * time.Millisecond} }

// wait waits, and reports whether there is still time.
func (p *pause) wait(ctx context.Context) bool {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next = min(2*p.next, time.Second)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
