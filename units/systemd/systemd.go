// Package systemd owns the connection to a systemd manager, the system's or a user's: it reads
// units, runs jobs and waits for their results, reloads, and reports changes. It is the only
// package of ours that talks to systemd.
//
// Every call has a deadline. If the connection is lost, for example because the manager
// re-executes, the next call connects again; the result of a pending job is then derived from the
// state of its unit. Events are hints to read the state again, never the state itself.
//
// It decides nothing, writes no file and runs no program. A finished job does not mean that the
// unit serves: check the unit after a while.
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
	// callTimeout is the default of D-Bus.
	callTimeout = 25 * time.Second
	// reloadTimeout is longer than the 90 s that systemd gives its generators.
	reloadTimeout = 2 * time.Minute
	// connectPatience is how long to retry a manager whose socket refuses connections: one that
	// re-executes is back within a fraction of it.
	connectPatience = time.Second
)

// Options says how to reach the manager. The zero value is the manager of the user who runs the
// program.
type Options struct {
	Scope units.Scope
	// Private is the path of the manager's own socket, Bus the address of its bus. If both are
	// empty, the defaults of the scope apply; the socket is preferred, because it needs no
	// dbus-daemon.
	Private, Bus string
}

// Manager is a systemd manager. Its methods may be called concurrently.
type Manager struct {
	scope     units.Scope
	endpoints []endpoint

	// closing ends when Close is called.
	closing context.Context
	close   context.CancelFunc

	// connSem is held to read or replace the connection.
	connSem chan struct{}
	conn    *conn

	// seen is the last known starts, by the name of the unit.
	seen startCache

	// recheck is how often a pending job is checked, in case the signal of its end was lost.
	recheck time.Duration
}

// Connect connects to a manager. The context bounds only the attempt; the connection lasts until
// Close.
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

// Close closes the connection, which ends all calls and events.
func (m *Manager) Close() {
	m.close()
	m.connSem <- struct{}{}
	defer func() { <-m.connSem }()
	if m.conn != nil {
		m.conn.close()
	}
}

// dial tries to connect until the context ends.
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

// connection returns the connection, or a new one if it was lost.
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

// call makes one call with a deadline, and repeats it on a new connection if the connection is
// lost. A call may therefore be made twice: all of ours are idempotent.
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

// withEnd returns a context that also ends with another one, with ErrClosed.
func withEnd(ctx, end context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(end, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// isLoss distinguishes an error of the connection from an answer of the manager. The last names
// are errors of a bus whose manager has exited or is not back yet.
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

// Reload makes the manager read all unit files again, which runs Quadlet's generator. Its success
// proves nothing about a unit: check which ones are loaded.
func (m *Manager) Reload(ctx context.Context) error {
	_, err := call(ctx, m, "reloading", reloadTimeout, func(ctx context.Context, l *conn) (struct{}, error) {
		return struct{}{}, l.calls.ReloadContext(ctx)
	})
	return err
}

// ResetFailed resets the failed state and the start limit of a unit.
func (m *Manager) ResetFailed(ctx context.Context, name string) error {
	_, err := call(ctx, m, "resetting "+name, callTimeout, func(ctx context.Context, l *conn) (struct{}, error) {
		return struct{}{}, l.calls.ResetFailedUnitContext(ctx, name)
	})
	return err
}

// conn is the one connection to the manager: a manager sends every signal to each connection, and
// every further one would cost it and us as much again.
type conn struct {
	*rawConn
	endpoint endpoint
	calls    *sdbus.Conn
	// queueing is held by the one call that queues a job. go-systemd would block the others
	// without regard to their contexts.
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
	// go-systemd makes a call without a context while it connects. It asks for one connection for
	// calls and one for the results of jobs. One is enough, because ours keeps unread signals.
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

// unreachable is ErrUnreachable with its causes. A socket that exists and fails says more than one
// that does not exist.
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

// pause is the growing pause between attempts.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{20 * time.Millisecond} }

// wait waits, and reports whether the context is still alive.
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
