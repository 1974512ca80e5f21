package probe

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// server listens on a port of the loopback interface and runs a handler for
// each connection. A handler that blocks on its connection ends with the test.
func server(tb testing.TB, handle func(net.Conn)) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var (
		mu    sync.Mutex
		conns []net.Conn
		wg    sync.WaitGroup
	)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close() //nolint:errcheck // the test is over
				handle(c)
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// hold keeps a connection until the other side closes it.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// reset closes a connection with a reset.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// flood sends text and then the filling for as long as the other side reads.
func flood(text, filling string) func(net.Conn) {
	filling = strings.Repeat(filling, 4096)
	return func(c net.Conn) {
		_, err := io.WriteString(c, text)
		for err == nil {
			_, err = io.WriteString(c, filling)
		}
	}
}

// drip sends text and then the filling, one byte every few milliseconds.
func drip(text, filling string) func(net.Conn) {
	return func(c net.Conn) {
		_, err := io.WriteString(c, text)
		for i := 0; err == nil; i++ {
			<-time.After(5 * time.Millisecond)
			_, err = io.WriteString(c, filling[i%len(filling):][:1])
		}
	}
}

// question reads the request of a probe of that kind, up to where it expects an answer.
func question(kind Kind, c net.Conn) (string, error) {
	var asked strings.Builder
	r := bufio.NewReader(io.TeeReader(c, &asked))
	switch kind {
	case HTTP, JSONRPC:
		request, err := http.ReadRequest(r)
		if err == nil {
			_, err = io.Copy(io.Discard, request.Body)
		}
		return asked.String(), err
	case Electrum:
		return r.ReadString('\n')
	case Redis:
		b := make([]byte, len("*1\r\n$4\r\nPING\r\n"))
		_, err := io.ReadFull(r, b)
		return string(b), err
	case Postgres:
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return "", err
		}
		b := make([]byte, binary.BigEndian.Uint32(n[:])-4)
		_, err := io.ReadFull(r, b)
		return string(b), err
	default:
		return "", nil // the server sends first, or uses TLS
	}
}

// target is a complete probe of a kind.
func target(kind Kind, address string) Target {
	t := Target{Kind: kind, Address: address, Retries: 3, Interval: 30 * time.Second, Timeout: 10 * time.Second}
	switch kind {
	case HTTP, HTTPS:
		t.Path = "/"
	case JSONRPC:
		t.Path, t.Method = "/", "getblockchaininfo"
	default:
	}
	return t
}

// answering is a server that reads the request and sends the text.
func answering(tb testing.TB, kind Kind, text string) string {
	tb.Helper()
	return server(tb, func(c net.Conn) {
		if _, err := question(kind, c); err == nil {
			_, _ = io.WriteString(c, text)
		}
	})
}

// ask probes once, without keeping the connection.
func ask(tb testing.TB, target Target) Outcome {
	tb.Helper()
	var p Prober
	return p.Probe(tb.Context(), target, nil)
}

// check compares an outcome; part must occur in the detail.
func check(tb testing.TB, o Outcome, state State, reason Reason, part string) {
	tb.Helper()
	if o.State != state || o.Reason != reason || !strings.Contains(o.Detail, part) {
		tb.Errorf("%s/%s: %s; want %s/%s: …%s…", o.State, o.Reason, o.Detail, state, reason, part)
	}
	if o.Latency <= 0 {
		tb.Errorf("latency %v", o.Latency)
	}
}
