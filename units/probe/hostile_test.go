package probe

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var kinds = []Kind{HTTP, HTTPS, TCP, JSONRPC, Electrum, Postgres, Redis, MySQL}

// beginnings are answers of each kind that could go on for ever.
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

// TestNoPeerHoldsAProbe: whatever the other side does, every kind of probe ends
// within its timeout and names what it saw.
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
		"nobody listens": {
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
				target.Timeout = time.Second
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

// closedPort is an address where nobody listens. It is another one than that of the
// servers of tests: one that starts at the same time may be given the port.
func closedPort(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.1.2.3:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	return l.Addr().String()
}

// fullBacklog is an address where the kernel lets no more connections wait.
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

// endless is a peer that always has more.
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

func TestCallingOffEndsAProbe(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			address := server(t, func(c net.Conn) {
				<-time.After(50 * time.Millisecond) // the probe waits for an answer by then
				cancel()
				hold(c)
			})
			start := time.Now()
			var p Prober
			check(t, p.Probe(ctx, target(kind, address), nil), Unreachable, NotAsked, "called off")
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("the probe took %v", d)
			}
		})
	}
}

// TestTCPHasToStayOpen: what a dead forwarded port does is no sign of life.
func TestTCPHasToStayOpen(t *testing.T) {
	t.Parallel()
	closing := func(after time.Duration, text string) string {
		return server(t, func(c net.Conn) {
			_, _ = io.WriteString(c, text)
			<-time.After(after)
		})
	}
	check(t, ask(t, target(TCP, closing(100*time.Millisecond, ""))), Unreachable, Closed, "closed after")
	check(t, ask(t, target(TCP, closing(100*time.Millisecond, "220 hello\r\n"))), Unreachable, Closed, "closed after")

	start := time.Now()
	open := server(t, hold)
	o := ask(t, target(TCP, open))
	check(t, o, Serving, OK, "stays open")
	if d := time.Since(start); d < openFor || o.Latency >= openFor {
		t.Errorf("it took %v, latency %v", d, o.Latency)
	}

	short := target(TCP, open)
	short.Timeout = openFor - 50*time.Millisecond // it is open as long as the timeout lets one see
	check(t, ask(t, short), Serving, OK, "")
}

func TestAnAddressThatNobodyHas(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"[fe80::1]:80", "[ff02::1]:80", "nonsense"} {
		o := ask(t, target(HTTP, address))
		if o.State != Unreachable || o.Detail == "" {
			t.Errorf("%s: %+v", address, o)
		}
	}
	check(t, ask(t, target("carrier-pigeon", "127.0.0.1:1")), Unreachable, NotAsked, "carrier-pigeon")
}

// TestProbesLeaveNothingBehind is not parallel: it counts what the process has.
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
	if g, f := settled(t); g > goroutines || f > files {
		t.Errorf("goroutines %d → %d, files %d → %d", goroutines, g, files, f)
	}
}

// settled counts goroutines and open files once they stay the same: fake servers
// take a moment to see the end.
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

// TestQuotesAreHarmless: text of a peer ends up on terminals and in the journal.
func TestQuotesAreHarmless(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"plain":                        "plain",
		"a\r\n\tb \n":                  "a b",
		"\x1b[31mred\x1b[0m":           "[31mred[0m",
		"\xff\xfea\u202eb\u0000":       "ab",
		strings.Repeat("é", 300):       strings.Repeat("é", 100) + "…",
		"x" + strings.Repeat("é", 300): "x" + strings.Repeat("é", 99) + "…",
	} {
		if got := quote(given); got != want {
			t.Errorf("quote(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestProgressIsAPercentage(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]float64{
		"Verifying blocks… 43%": 0.43, "Verifying blocks... [43 %]": 0.43, "...43%": 0.43, "0%": 0, "100.0% done": 1, "12.5% of 80%": 0.125,
		"": -1, "no number": -1, "%": -1, "many%": -1, "101%": -1, "1.2.3%": -1, strings.Repeat("9", 400) + "%": -1,
	} {
		if got := progress(message); got != want {
			t.Errorf("progress(%q) = %v, want %v", message, got, want)
		}
	}
}
