package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// engine is a Podman that answers with a text and notes what it was asked for.
type engine struct {
	mu    sync.Mutex
	asked []string
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.asked = append(e.asked, r.Method+" "+r.RequestURI)
	e.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("X-Registry-Auth", "SECRET")
	switch r.URL.Path {
	case "/_ping":
		_, _ = fmt.Fprint(w, "OK")
	case "/containers/none/json":
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprint(w, `{"message":"no such container"}`)
	case "/containers/web/json":
		_, _ = fmt.Fprint(w, `{"Id":"1","Config":{"Env":["A=SECRET"],"Image":"x"},"SizeRw":12345678901234567890}`)
	case "/containers/half/json":
		_, _ = fmt.Fprint(w, `{"Id":"1"`)
	case "/events":
		fmt.Fprintln(w, `{"Type":"container","Log":"SECRET"}`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// serve starts the proxy before an engine, and returns where it listens.
func serve(t *testing.T) (*engine, string) {
	t.Helper()
	dir, e := t.TempDir(), &engine{}
	listen := func(name string) (net.Listener, string) {
		path := filepath.Join(dir, name)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return l, path
	}
	behind, socket := listen("engine")
	front, address := listen("proxy")
	for s, l := range map[*http.Server]net.Listener{{Handler: e}: behind, newServer(socket): front} { //nolint:gosec // G112: the engine of a test
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
	}
	return e, address
}

// say sends a request, the last of its connection, and returns the first line and the rest of the
// answer.
func say(t *testing.T, address, request string) (status, body string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	status, _ = r.ReadString('\n') // the answer may be none
	rest, _ := io.ReadAll(r)
	return strings.TrimSpace(status), string(rest)
}

func TestForwards(t *testing.T) {
	t.Parallel()
	e, address := serve(t)
	for _, c := range []struct{ request, status, want string }{
		{"GET /_ping HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK", "OK"},
		{"GET /containers/web/json?size=1&x=2 HTTP/1.0\r\nX-Registry-Config: a\r\n\r\n", "HTTP/1.0 200 OK", `{"Config":{"Image":"x"},"Id":"1","SizeRw":12345678901234567890}`},
		{"GET /containers/none/json HTTP/1.0\r\n\r\n", "HTTP/1.0 404 Not Found", `{"message":"no such container"}`},
	} {
		status, answer := say(t, address, c.request)
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		if status != c.status || strings.TrimSpace(body) != c.want || !strings.Contains(head, "Api-Version: 1.41") || strings.Contains(answer, "SECRET") {
			t.Errorf("%q: %s\n%s", c.request, status, answer)
		}
	}
	if d := cmp.Diff([]string{"GET /_ping", "GET /containers/web/json?size=1", "GET /containers/none/json"}, e.asked); d != "" {
		t.Errorf("what the engine was asked for (-want +got):\n%s", d)
	}
}

// What a hostile app sends never reaches the engine.
func TestRefuses(t *testing.T) {
	t.Parallel()
	e, address := serve(t)
	for _, request := range []string{
		"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"GET /secrets HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /containers/../secrets HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /containers/%2e%2e/secrets HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET //secrets HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://podman/secrets HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://podman/_ping HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT podman:80 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /containers/web/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
		"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"GET /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"GET /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /_ping HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
		// Two requests in one, however the lengths are read.
		"GET /secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nGET /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\nGET /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /_ping HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 2*headerLimit) + "\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x00GET /_ping HTTP/1.1\r\n\r\n",
	} {
		status, _ := say(t, address, request)
		if code := strings.Fields(status + " none none")[1]; code[0] != '4' && code[0] != '5' {
			t.Errorf("%.60q: %q", request, status)
		}
	}
	if len(e.asked) > 0 {
		t.Errorf("the engine was asked for %v", e.asked)
	}
}

// An answer that ends in the middle does not look like a whole one.
func TestAnswerThatIsCut(t *testing.T) {
	t.Parallel()
	_, address := serve(t)
	status, answer := say(t, address, "GET /containers/half/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasSuffix(status, "200 OK") || strings.Contains(answer, "\r\n0\r\n\r\n") {
		t.Errorf("%s\n%s", status, answer)
	}
}

// Events arrive when they happen, and the engine hears that the app has hung up.
func TestStreams(t *testing.T) {
	t.Parallel()
	_, address := serve(t)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", address)
	}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://podman/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	if err != nil || line != `{"Type":"container"}`+"\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
}

// More requests than Podman should serve at once have to wait.
func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	_, address := serve(t)
	for range mostAtOnce {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if status, body := say(t, address, "GET /_ping HTTP/1.0\r\n\r\n"); !strings.Contains(status, "503") {
		t.Errorf("%s\n%s", status, body)
	}
}

func TestPodmanDoesNotAnswer(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "proxy")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", address)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer("/nonexistent")
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	if status, body := say(t, address, "GET /_ping HTTP/1.0\r\n\r\n"); !strings.Contains(status, "502") || !strings.Contains(body, "/nonexistent") {
		t.Errorf("%s\n%s", status, body)
	}
}

func TestOnlySystemdStartsIt(t *testing.T) {
	t.Parallel()
	if _, err := passedSocket(); err == nil || !strings.Contains(err.Error(), "archipelago-engine.socket") {
		t.Error(err)
	}
	if err := run(nil); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Error(err)
	}
}
