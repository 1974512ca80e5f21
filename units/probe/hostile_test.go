package probe

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var kinds = []Kind{HTTP, HTTPS, TCP, JSONRPC, Electrum, Postgres, Redis, MySQL}

// beginnings are answers of each kind that could continue forever.
var beginnings = map[Kind]string{
	HTTP:     "HTTP/1.1 200 OK\r\n\r\n",
	HTTPS:    "\x16\x03\x03\x40\x00",
	TCP:      "220 mail ready\r\n",
	JSONRPC:  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
	Electrum: `{"id":0,"result":["`,
	Postgres: "N\x00\x00\xff\xff",
	Redis:    "+PON",
	MySQL:    "\xff\xff\x00\x00",
}

// TestNoPeerHoldsAProbe: whatever the peer does, a probe of any kind ends within its timeout and
// reports what it saw.
func TestNoPeerHoldsAProbe(t *testing.T) {
	t.Parallel()
	type want struct {
		state  State
		reason Reason
	}
	peers := map[string]struct {
		address func(Kind) string
		all     want
		but     map[Kind]want
	}{
		"no program listens": {
			func(Kind) string { return closedPort(t) },
			want{Unreachable, Refused},
			nil,
		},
		"never accepts": {
			func(Kind) string { return fullBacklog(t) },
			want{Unreachable, Timeout},
			nil,
		},
		"closes at once": {
			func(Kind) string { return server(t, func(net.Conn) {}) },
			want{Unreachable, Closed},
			nil,
		},
		"resets at once": {
			func(Kind) string { return server(t, reset) },
			want{Unreachable, Closed},
			nil,
		},
		"says nothing": {
			func(Kind) string { return server(t, hold) },
			want{Unreachable, NoAnswer},
			map[Kind]want{TCP: {Serving, OK}},
		},
		"neither reads nor writes": {
			func(Kind) string {
				return server(t, func(net.Conn) { <-t.Context().Done() })
			},
			want{Unreachable, NoAnswer},
			map[Kind]want{TCP: {Serving, OK}},
		},
		"floods with an answer that never ends": {
			func(k Kind) string { return server(t, flood(beginnings[k], "x")) },
			want{Wrong, TooLarge},
			map[Kind]want{HTTP: {Serving, OK}, HTTPS: {Wrong, BadProtocol}, TCP: {Serving, OK}},
		},
		"floods with line ends": {
			func(Kind) string { return server(t, flood("", "\r\n")) },
			want{Wrong, BadProtocol},
			map[Kind]want{TCP: {Serving, OK}},
		},
		"drips an answer that never ends": {
			func(k Kind) string { return server(t, drip(beginnings[k], "x")) },
			want{Unreachable, Timeout},
			map[Kind]want{HTTPS: {Unreachable, NoAnswer}, TCP: {Serving, OK}},
		},
	}
	for name, peer := range peers {
		targets := make([]Target, 0, len(kinds))
		for _, kind := range kinds {
			targets = append(targets, target(kind, peer.address(kind)))
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var wg sync.WaitGroup
			for _, target := range targets {
				kind := target.Kind
				want, special := peer.but[kind]
				if !special {
					want = peer.all
				}
				target.Timeout = time.Minute
				if want.reason == Timeout || want.reason == NoAnswer {
					target.Timeout = 3 * time.Second
				}
				wg.Go(func() {
					start := time.Now()
					if o := ask(t, target); o.State != want.state || o.Reason != want.reason {
						t.Errorf("%s: %s/%s: %s; want %s/%s", kind, o.State, o.Reason, o.Detail, want.state, want.reason)
					}
					if d := time.Since(start); d > 3*target.Timeout {
						t.Errorf("%s: the probe took %v", kind, d)
					}
				})
			}
			wg.Wait()
		})
	}
}

// closedPort is an address without a listener. It is not an address of the servers of tests: one
// that starts at the same time may get the port.
func closedPort(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.1.2.3:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	return l.Addr().String()
}

// fullBacklog is an address whose listener accepts no connection and whose backlog is full.
func fullBacklog(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { _ = f.Close() })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	first, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	return address
}

// endless is a peer that never stops sending.
type endless struct {
	net.Conn
	read int
}

func (e *endless) Read(b []byte) (int, error) { e.read += len(b); return len(b), nil }

func TestAProbeReadsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	peer := &endless{}
	n, err := io.Copy(io.Discard, &wire{Conn: peer})
	if n != limit || peer.read != limit || err != errFlood { //nolint:errorlint // it is not wrapped
		t.Errorf("read %d of %d, %v", n, peer.read, err)
	}
}

func TestCancelEndsAProbe(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			target := target(kind, server(t, func(c net.Conn) {
				if kind != TCP && kind != MySQL { // in these the server sends first
					_, _ = c.Read(make([]byte, 1))
				}
				cancel()
				hold(c)
			}))
			target.Timeout = time.Minute
			start := time.Now()
			var p Prober
			check(t, p.Probe(ctx, target, nil), Unreachable, NotAsked, "canceled")
			if d := time.Since(start); d > target.Timeout/2 {
				t.Errorf("the probe took %v", d)
			}
		})
	}
}

// TestTCPHasToStayOpen: a forwarded port without an app accepts connections, and proves nothing.
func TestTCPHasToStayOpen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text           string
		closes, within time.Duration
		state          State
		reason         Reason
		took           time.Duration
	}{
		{"", openFor - 1, time.Minute, Unreachable, Closed, openFor - 1},
		{"220 hello\r\n", openFor - 1, time.Minute, Unreachable, Closed, openFor - 1},
		{"", time.Hour, time.Minute, Serving, OK, openFor},
		{"", time.Hour, openFor / 2, Serving, OK, openFor / 2}, // as long as the timeout allows
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			go func() { _, _ = io.WriteString(there, c.text) }()
			defer time.AfterFunc(c.closes, func() { _ = there.Close() }).Stop()
			ctx, cancel := context.WithTimeout(t.Context(), c.within)
			defer cancel()
			start := time.Now()
			w := &wire{Conn: here}
			x := begin(ctx, &link{Conn: w, wire: w, dialled: start, opened: start})
			defer x.end()
			o, err := askOpen(x)
			if took := time.Since(start); err != nil || o.State != c.state || o.Reason != c.reason || took != c.took {
				t.Errorf("%+v: %+v after %v, %v", c, o, took, err)
			}
		})
	}
}

// TestTCP: the latency is the time until the connection was established.
func TestTCP(t *testing.T) {
	t.Parallel()
	start := time.Now()
	o := ask(t, target(TCP, server(t, hold)))
	check(t, o, Serving, OK, "stays open")
	if d := time.Since(start); d < openFor || o.Latency > d-openFor {
		t.Errorf("it took %v, latency %v", d, o.Latency)
	}
}

func TestUnusedAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"[fe80::1]:80", "[ff02::1]:80", "nonsense"} {
		o := ask(t, target(HTTP, address))
		if o.State != Unreachable || o.Detail == "" {
			t.Errorf("%s: %+v", address, o)
		}
	}
	check(t, ask(t, target("carrier-pigeon", "127.0.0.1:1")), Unreachable, NotAsked, "carrier-pigeon")
}

// TestProbesLeaveNothingBehind is not parallel: it counts goroutines and files of the process.
func TestProbesLeaveNothingBehind(t *testing.T) {
	silent, closing, flooding, full := server(t, hold), server(t, reset), server(t, flood("HTTP/1.1 200 OK\r\n\r\n", "x")), fullBacklog(t)
	page, gone := server(t, pages(nil)), closedPort(t)
	p := Prober{Reuse: time.Minute}
	all := func() {
		for _, kind := range kinds {
			for _, address := range []string{silent, closing, flooding, full, page, gone} {
				target := target(kind, address)
				target.Timeout = 20 * time.Millisecond
				_ = p.Probe(t.Context(), target, nil)
			}
		}
		p.Close()
	}
	all()
	goroutines, files := settled(t)
	all()
	all()
	for g, f := settled(t); g > goroutines || f > files; g, f = settled(t) {
		t.Logf("goroutines %d → %d, files %d → %d", goroutines, g, files, f) // servers may still be closing
	}
}

// settled counts goroutines and open files once the counts are stable: fake servers take a moment
// to close.
func settled(t *testing.T) (goroutines, files int) {
	t.Helper()
	for same := 0; same < 10; same++ {
		<-time.After(10 * time.Millisecond)
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		if g, f := runtime.NumGoroutine(), len(entries); g != goroutines || f != files {
			goroutines, files, same = g, f, 0
		}
	}
	return goroutines, files
}
