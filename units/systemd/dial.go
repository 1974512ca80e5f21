package systemd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/paths"
)

const (
	service     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	unitsPath   = managerPath + "/unit"
)

// endpoint is a socket that leads to a manager.
type endpoint struct {
	socket string
	// bus: the socket is that of a bus, which needs a Hello.
	bus bool
}

func endpoints(options Options) ([]endpoint, error) {
	private, bus := options.Private, options.Bus
	if private == "" && bus == "" {
		private, bus = addresses(options.Scope)
	}
	var list []endpoint
	if private != "" {
		list = append(list, endpoint{socket: private})
	}
	if bus == "" {
		return list, nil
	}
	buses, err := busEndpoints(bus)
	if list = append(list, buses...); len(list) == 0 {
		return nil, err
	}
	return list, nil
}

// busEndpoints is the sockets of a bus.
func busEndpoints(address string) (list []endpoint, err error) {
	sockets, err := busSockets(address)
	for _, socket := range sockets {
		list = append(list, endpoint{socket: socket, bus: true})
	}
	return list, err
}

// addresses returns the addresses of the managers of a scope.
func addresses(scope units.Scope) (private, bus string) {
	private, socket := paths.Sockets(scope, os.Getenv)
	return private, cmp.Or(os.Getenv(paths.BusVariable(scope)), "unix:path="+dbus.EscapeBusAddressValue(socket))
}

// busSockets returns the unix sockets of a D-Bus address, which is a list. A bus with a systemd
// manager listens on nothing else.
func busSockets(address string) ([]string, error) {
	var sockets []string
	for one := range strings.SplitSeq(address, ";") {
		transport, keys, _ := strings.Cut(one, ":")
		if transport != "unix" {
			continue
		}
		for pair := range strings.SplitSeq(keys, ",") {
			key, escaped, _ := strings.Cut(pair, "=")
			value, err := dbus.UnescapeBusAddressValue(escaped)
			switch {
			case err != nil:
				return nil, fmt.Errorf("D-Bus address %q: %w", address, err)
			case key == "path":
				sockets = append(sockets, value)
			case key == "abstract":
				sockets = append(sockets, "@"+value)
			}
		}
	}
	if len(sockets) == 0 {
		return nil, fmt.Errorf("D-Bus address %q has no unix socket: set it to unix:path=SOCKET", address)
	}
	return sockets, nil
}

// rawConn is one D-Bus connection with its socket.
type rawConn struct {
	*dbus.Conn
	socket net.Conn
	marks  *marks
}

// close closes the socket first: godbus waits for a pending write. No caller needs the error of a
// connection that is not used any more.
func (w *rawConn) close() {
	_ = w.socket.Close()
	_ = w.Close()
}

// open connects, over a stream. A failed read makes the transport of godbus panic, which passes on the -1
// of recvmsg (oobReader in transport_unix.go).
func (e endpoint) open(ctx context.Context, options ...dbus.ConnOption) (*dbus.Conn, net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "unix", e.socket)
	if err != nil {
		return nil, nil, err
	}
	conn, err := dbus.NewConn(&stream{Conn: raw, in: bufio.NewReaderSize(raw, 16<<10)}, options...)
	if err != nil {
		_ = raw.Close()
	}
	return conn, raw, err
}

// ConnectBus connects to a message bus by its address. The connection ends with the context.
func ConnectBus(ctx context.Context, address string) (*dbus.Conn, error) {
	list, err := busEndpoints(address)
	if err != nil {
		return nil, err
	}
	return first(ctx, list, func(ctx context.Context, e endpoint) (*dbus.Conn, error) {
		conn, _, err := e.open(ctx, dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
		if err != nil {
			return nil, err
		}
		if err := authenticate(conn, e); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", e.socket, err), conn.Close())
		}
		return conn, nil
	})
}

func authenticate(conn *dbus.Conn, e endpoint) error {
	err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil && e.bus {
		err = conn.Hello()
	}
	return err
}

// dial connects and verifies that the manager answers.
func (e endpoint) dial(ctx context.Context) (*rawConn, error) {
	m := newMarks()
	conn, raw, err := e.open(ctx, dbus.WithSignalHandler(marker{dbus.NewSequentialSignalHandler().(handler), m}))
	if err != nil {
		return nil, err
	}
	w := &rawConn{conn, raw, m}
	// Neither the authentication nor the Hello takes a context.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err = e.greet(ctx, w)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("%s: %w", e.socket, err)
	}
	return w, nil
}

func (e endpoint) greet(ctx context.Context, w *rawConn) error {
	err := authenticate(w.Conn, e)
	if err == nil {
		err = ping(ctx, w)
	}
	return err
}

// ping waits until the manager answers. It sends more than one message: a manager that reads the
// first message together with the end of the authentication handles it only when more bytes
// arrive.
func ping(ctx context.Context, w *rawConn) error {
	manager := w.Object(service, managerPath)
	answers := make(chan *dbus.Call, 64)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for asked := range cap(answers) {
		manager.GoWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0, answers)
		wait.Reset(min(500*time.Microsecond<<min(asked, 10), 500*time.Millisecond))
		select {
		case answer := <-answers:
			return answer.Err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wait.C:
		}
	}
	return errNoAnswer
}

// stream is a socket that reads many messages at a time and never blocks for long when a hanging
// manager reads nothing: godbus writes without a deadline.
type stream struct {
	net.Conn
	in *bufio.Reader
}

func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *stream) Write(p []byte) (int, error) {
	err := s.SetWriteDeadline(time.Now().Add(callTimeout))
	if err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		// Half a message may be sent, so the connection is unusable.
		return n, errors.Join(err, s.Close())
	}
	return n, nil
}
