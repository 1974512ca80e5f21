package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// limit is the maximum that one probe reads.
const limit = 64 << 10

// errFlood ends an answer that is longer than the limit.
var errFlood = errors.New("the answer is longer than 64 KiB")

// protocolError says that an answer is not in its protocol.
type protocolError string

func (e protocolError) Error() string { return string(e) }

// Certificates are not verified: the peer is an address of this machine, and apps sign their
// certificates themselves. No credentials are sent over TLS. For the same reason there is no
// post-quantum key exchange, which needs as much memory again as the rest of the handshake.
var tlsConfig = &tls.Config{
	InsecureSkipVerify: true,
	CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
}

// link is a connection to a peer.
type link struct {
	// Conn carries the protocol: wire, or TLS over it.
	net.Conn
	wire *wire
	// dialled and opened are when the connection attempt began and succeeded.
	dialled, opened time.Time
}

// close does not close TLS properly, because that can wait for the peer.
func (l *link) close() { _ = l.wire.Close() }

// wire counts the bytes from a peer, so that TLS is bounded, too.
type wire struct {
	net.Conn
	read int
}

func (w *wire) Read(b []byte) (int, error) {
	if w.read >= limit {
		return 0, errFlood
	}
	n, err := w.Conn.Read(b[:min(len(b), limit-w.read)])
	w.read += n
	return n, err
}

// open connects, and does the handshake if the target uses TLS.
func open(ctx context.Context, t *Target) (*link, error) {
	address, err := netip.ParseAddrPort(t.Address)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	d := net.Dialer{KeepAlive: -1} // the timeout is shorter
	conn, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn}
	l := &link{Conn: w, wire: w, dialled: start, opened: time.Now()}
	if t.Kind == HTTPS {
		l.Conn = tls.Client(w, tlsConfig)
	}
	return l, nil
}

// exchange is one request over a link.
type exchange struct {
	link *link
	// in reads through the exchange, which records whether anything arrived.
	in       *bufio.Reader
	answered bool
	// body is the buffer for an answer's body.
	body     []byte
	deadline time.Time
	// release stops watching the context; it reports whether the context has not changed the
	// deadline of the connection.
	release func() bool
}

var exchanges = sync.Pool{New: func() any { return &exchange{in: bufio.NewReader(nil)} }}

// begin binds a link to a context: its deadline and its cancellation end every wait for the peer.
func begin(ctx context.Context, l *link) *exchange {
	x := exchanges.Get().(*exchange)
	x.link, x.answered = l, false
	x.in.Reset(x)
	l.wire.read = 0
	x.deadline, _ = ctx.Deadline()
	x.release = context.AfterFunc(ctx, func() { _ = l.wire.SetDeadline(time.Unix(1, 0)) })
	return x
}

// Read reads from the peer.
func (x *exchange) Read(b []byte) (int, error) {
	n, err := x.link.Read(b)
	x.answered = x.answered || n > 0
	return n, err
}

func (x *exchange) send(b []byte) error {
	_, err := x.link.Write(b)
	return err
}

// farewell is the time for what the protocol sends after the answer.
const farewell = 300 * time.Millisecond

// within shortens the remaining time, and returns its end.
func (x *exchange) within(d time.Duration) time.Time {
	until := time.Now().Add(d)
	if x.deadline.Before(until) {
		until = x.deadline
	}
	_ = x.link.wire.SetDeadline(until)
	return until
}

// end closes the link.
func (x *exchange) end() {
	x.release()
	x.link.close()
	x.recycle()
}

// recycle must be the last use of an exchange.
func (x *exchange) recycle() {
	x.link, x.release = nil, nil
	x.in.Reset(nil)
	exchanges.Put(x)
}

// unconnected says why there is no connection.
func unconnected(t *Target, err error) Outcome {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return outcome(Unreachable, Refused, "no program listens on %s", t.Address)
	case errors.Is(err, syscall.ECONNRESET):
		return outcome(Unreachable, Closed, "%s closed the connection at once", t.Address)
	case isTimeout(err):
		return outcome(Unreachable, Timeout, "no connection to %s within %v", t.Address, t.Timeout)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return outcome(Unreachable, NoRoute, "no route to %s", t.Address)
	}
	return outcome(Unreachable, NotAsked, "connecting to %s: %v", t.Address, err)
}

// failed says why an exchange ended without an answer.
func (x *exchange) failed(t *Target, err error) Outcome {
	var p protocolError
	switch {
	case errors.As(err, &p):
		return outcome(Wrong, BadProtocol, "%s answers, but not in %s: %s", t.Address, t.Kind, quote(string(p)))
	case errors.Is(err, errFlood):
		return outcome(Wrong, TooLarge, "%s: %v", t.Address, err)
	case isTimeout(err) && x.answered:
		return outcome(Unreachable, Timeout, "the answer of %s did not end within %v", t.Address, t.Timeout)
	case isTimeout(err):
		return outcome(Unreachable, NoAnswer, "%s accepted the connection but did not answer within %v", t.Address, t.Timeout)
	case isClosed(err) && x.answered:
		return outcome(Wrong, BadProtocol, "%s closed the connection in the middle of its answer", t.Address)
	case isClosed(err):
		return outcome(Unreachable, Closed, "%s closed the connection without an answer", t.Address)
	}
	if t.Kind == HTTPS { // crypto/tls has too many errors to name
		return outcome(Wrong, BadProtocol, "%s answers, but not in TLS: %s", t.Address, quote(err.Error()))
	}
	return outcome(Unreachable, NotAsked, "asking %s: %v", t.Address, err)
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// line reads a complete line without its end. Of a line longer than the buffer it keeps the part
// that fits. The text is valid until the next read.
func line(r *bufio.Reader) ([]byte, error) {
	text, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		text = bytes.Clone(text)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), nil
}
