package probe

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pages answers every request, and counts the connections.
func pages(connections *atomic.Int32) func(net.Conn) {
	return func(c net.Conn) {
		if connections != nil {
			connections.Add(1)
		}
		for {
			if _, err := question(HTTP, c); err != nil {
				return
			}
			_, _ = io.WriteString(c, ok200)
		}
	}
}

func TestRequestsAreWhatServersExpect(t *testing.T) {
	t.Parallel()
	var p Prober
	record := func(kind Kind, change func(*Target), secrets Credentials) string {
		asked := make(chan string, 1)
		target := target(kind, server(t, func(c net.Conn) {
			text, err := question(kind, c)
			if err != nil {
				text = err.Error()
			}
			asked <- text
		}))
		if change != nil {
			change(&target)
		}
		_ = p.Probe(t.Context(), target, secrets)
		return strings.ReplaceAll(<-asked, target.Address, "ADDRESS")
	}
	secret := func(content string) Credentials { return func(string) (string, error) { return content, nil } }
	got := []string{
		record(HTTP, func(t *Target) { t.Path = "/health?a=b%20c" }, nil),
		record(JSONRPC, func(t *Target) { t.User, t.PasswordSecret = "alice", "rpc" }, secret("s3cret\n")),
		record(JSONRPC, func(t *Target) { t.PasswordSecret = "cookie" }, secret("__cookie__:0123abcd")),
		record(JSONRPC, func(t *Target) { t.User = "alice" }, nil),
		record(JSONRPC, func(t *Target) { t.Method = `a"b` }, nil),
		record(Electrum, nil, nil),
		record(Postgres, nil, nil),
		record(Redis, nil, nil),
	}
	rpc := func(login, method string) string {
		body := `{"jsonrpc":"2.0","id":1,"method":` + method + `,"params":[]}`
		return "POST / HTTP/1.1\r\nHost: ADDRESS\r\nUser-Agent: archipelago\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n" +
			login + "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	want := []string{
		"GET /health?a=b%20c HTTP/1.1\r\nHost: ADDRESS\r\nUser-Agent: archipelago\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n",
		rpc("Authorization: Basic YWxpY2U6czNjcmV0\r\n", `"getblockchaininfo"`),
		rpc("Authorization: Basic X19jb29raWVfXzowMTIzYWJjZA==\r\n", `"getblockchaininfo"`),
		rpc("Authorization: Basic YWxpY2U6\r\n", `"getblockchaininfo"`),
		rpc("", `"a\"b"`),
		`{"jsonrpc":"2.0","id":0,"method":"server.version","params":["archipelago","1.4"]}` + "\n",
		"\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00application_name\x00archipelago\x00\x00",
		"*1\r\n$4\r\nPING\r\n",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestCredentialsThatCannotBe: no request is made, and the secret is not printed.
func TestCredentialsThatCannotBe(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	address := server(t, pages(&connections))
	for name, c := range map[string]struct {
		user   string
		secret Credentials
		detail string
	}{
		"no source":         {"alice", nil, "secrets can't be read"},
		"not readable":      {"alice", func(string) (string, error) { return "", errors.New("reading the secret: gone") }, "gone"},
		"empty":             {"alice", func(string) (string, error) { return "\n", nil }, "rpc is not one line"},
		"two lines":         {"alice", func(string) (string, error) { return "hush\nX: y", nil }, "rpc is not one line"},
		"neither user name": {"", func(string) (string, error) { return "hush", nil }, "rpc is not of the form user:password"},
	} {
		target := target(JSONRPC, address)
		target.User, target.PasswordSecret = c.user, "rpc"
		var p Prober
		o := p.Probe(t.Context(), target, c.secret)
		if o.State != Wrong || o.Reason != NoCredentials || !strings.Contains(o.Detail, c.detail) {
			t.Errorf("%s: %+v", name, o)
		}
		if strings.Contains(o.Detail, "hush") {
			t.Errorf("%s: the secret is in %q", name, o.Detail)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestHTTPSAcceptsItsOwnSignature(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/big":
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 4096))
			}
		}
		_, _ = io.WriteString(w, "hello over "+r.Proto)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	target := target(HTTPS, u.Host)
	target.Contains = "over HTTP/1.1"
	check(t, ask(t, target), Serving, OK, "")

	target.Path, target.Contains = "/big", ""
	check(t, ask(t, target), Serving, OK, "")

	target.Path, target.Timeout = "/hang", 300*time.Millisecond
	check(t, ask(t, target), Unreachable, NoAnswer, "")

	plain := target
	plain.Kind, plain.Timeout = HTTP, 5*time.Second
	check(t, ask(t, plain), Wrong, BadStatus, "400")
}

func TestHTTPSToAServerWithoutTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	check(t, ask(t, target(HTTPS, strings.TrimPrefix(s.URL, "http://"))), Wrong, BadProtocol, "not in TLS")
}

func TestConnectionsAreKeptOnlyOnRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reuse time.Duration
		want  int32
	}{
		"none":        {0, 5},
		"a minute":    {time.Minute, 1},
		"too briefly": {1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			p := Prober{Reuse: c.reuse}
			t.Cleanup(p.Close)
			target := target(HTTP, server(t, pages(&connections)))
			for range 5 {
				check(t, p.Probe(t.Context(), target, nil), Serving, OK, "")
			}
			if n := connections.Load(); n != c.want {
				t.Errorf("%d connections, want %d", n, c.want)
			}
		})
	}
}

func TestTLSConnectionsAreKeptAsWell(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	p := Prober{Reuse: time.Minute}
	t.Cleanup(p.Close)
	for range 3 {
		check(t, p.Probe(t.Context(), target(HTTPS, strings.TrimPrefix(s.URL, "https://")), nil), Serving, OK, "")
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestAKeptConnectionMayBeClosed: servers close idle connections, and containers restart. Neither is
// a failure of the app.
func TestAKeptConnectionMayBeClosed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(net.Conn){"closed": func(net.Conn) {}, "reset": reset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			answered, ended := make(chan struct{}, 9), make(chan struct{}, 9)
			address := server(t, func(c net.Conn) {
				connections.Add(1)
				_, _ = question(HTTP, c)
				_, _ = io.WriteString(c, ok200)
				<-answered // a reset discards an answer that was not read
				end(c)
				_ = c.Close()
				ended <- struct{}{}
			})
			p := Prober{Reuse: time.Minute}
			t.Cleanup(p.Close)
			for range 3 {
				check(t, p.Probe(t.Context(), target(HTTP, address), nil), Serving, OK, "")
				answered <- struct{}{}
				<-ended
			}
			if n := connections.Load(); n != 3 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestConnectionsNotFitForAnotherRequest are closed.
func TestConnectionsNotFitForAnotherRequest(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"close requested":     "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0":            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"more than announced": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Oops\r\n\r\n",
		"body not all read":   page("200 OK", strings.Repeat("x", 70<<10)),
		"not HTTP":            "nonsense\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{}, 1)
			target := target(HTTP, server(t, func(c net.Conn) {
				if _, err := question(HTTP, c); err != nil {
					return
				}
				_, _ = io.WriteString(c, text)
				hold(c)
				closed <- struct{}{}
			}))
			p := Prober{Reuse: time.Minute}
			t.Cleanup(p.Close)
			_ = p.Probe(t.Context(), target, nil)
			<-closed // never, if the connection is kept
		})
	}
}

// TestOldConnectionsAreClosed even if their target is never probed again.
func TestOldConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 1)
	removed := target(HTTP, server(t, func(c net.Conn) {
		pages(nil)(c)
		closed <- struct{}{}
	}))
	p := Prober{Reuse: 200 * time.Millisecond}
	t.Cleanup(p.Close)
	check(t, p.Probe(t.Context(), removed, nil), Serving, OK, "")
	select {
	case <-closed:
		t.Fatal("the connection was not kept")
	case <-time.After(250 * time.Millisecond):
	}
	_ = p.Probe(t.Context(), target(HTTP, closedPort(t)), nil)
	<-closed // never, if the connection is kept
}

func TestOneProberServesManyGoroutines(t *testing.T) {
	t.Parallel()
	target := target(HTTP, server(t, pages(nil)))
	p := Prober{Reuse: time.Minute}
	t.Cleanup(p.Close)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if o := p.Probe(t.Context(), target, nil); o.State != Serving {
					t.Errorf("%+v", o)
				}
			}
		})
	}
	wg.Wait()
}
