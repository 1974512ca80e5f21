package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// place is a home with one rendered app, and what wait says there.
type place struct {
	t      *testing.T
	env    map[string]string
	stderr bytes.Buffer
}

func newPlace(t *testing.T, mark string) *place {
	t.Helper()
	config := t.TempDir()
	dir := filepath.Join(config, "containers/systemd/archipelago")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app@x.container"), []byte("[X-Archipelago]\nApp=x\n"+mark+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return &place{t: t, env: map[string]string{"XDG_CONFIG_HOME": config}}
}

// check is a mark with a check of a server by HTTP.
func check(address, more string) string {
	return fmt.Sprintf(`Serving={"kind":"http","address":%q,"path":"/","interval":"30s","timeout":"20s","retries":3%s}`, address, more)
}

// run runs `archgen wait x` and returns its exit code and how long it took.
func (p *place) run(args ...string) (code int, took time.Duration) {
	c := &cli{stdout: &p.stderr, stderr: &p.stderr, getenv: func(k string) string { return p.env[k] }}
	root := c.root()
	root.SetArgs(append([]string{"wait", "x"}, args...))
	begin := time.Now()
	code = c.exitCode(root.Execute())
	return code, time.Since(begin)
}

// manager is systemd's end of the notification socket. Like systemd it closes
// the descriptor of a barrier when it has read the messages before.
type manager struct {
	conn *net.UnixConn
	// slow is how long it lets a barrier wait.
	slow time.Duration

	mu       sync.Mutex
	messages []string
	barriers int
}

func (p *place) manager(slow time.Duration) *manager {
	p.t.Helper()
	p.env["NOTIFY_SOCKET"] = filepath.Join(p.t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: p.env["NOTIFY_SOCKET"], Net: "unixgram"})
	if err != nil {
		p.t.Fatal(err)
	}
	m := &manager{conn: conn, slow: slow}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m.read() {
		}
	}()
	p.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return m
}

func (m *manager) read() bool {
	text, rights := make([]byte, 4096), make([]byte, 4096)
	n, nr, _, _, err := m.conn.ReadMsgUnix(text, rights)
	if err != nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if string(text[:n]) != "BARRIER=1" {
		m.messages = append(m.messages, string(text[:n]))
		return true
	}
	m.barriers++
	list, _ := syscall.ParseSocketControlMessage(rights[:nr])
	fds, _ := syscall.ParseUnixRights(&list[0])
	time.AfterFunc(m.slow, func() { _ = syscall.Close(fds[0]) })
	return true
}

// said is what was heard, each repetition once.
func (m *manager) said() (messages []string, barriers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Compact(slices.Clone(m.messages)), m.barriers
}

// An app that loads: systemd is told how far it is and that it takes longer, and
// has heard all of it before wait ends.
func TestWaitForALoadingApp(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= 3 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	p := newPlace(t, check(server.Listener.Addr().String(), ""))
	p.env["MAINPID"] = strconv.Itoa(os.Getpid())
	m := p.manager(300 * time.Millisecond)
	code, took := p.run()
	got, barriers := m.said()
	want := []string{"STATUS=loading: / answered 503: not yet", "EXTEND_TIMEOUT_USEC=50000000", "STATUS="}
	if code != exitDone || cmp.Diff(want, got) != "" || barriers != 1 || p.stderr.Len() > 0 {
		t.Errorf("exit code %d, %d barriers, stderr %q, messages (-want +got):\n%s", code, barriers, &p.stderr, cmp.Diff(want, got))
	}
	if took < 400*time.Millisecond {
		t.Errorf("it ended after %v, before systemd closed the barrier", took)
	}
}

// An app that serves at once costs no message.
func TestWaitForAServingApp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	p := newPlace(t, check(server.Listener.Addr().String(), `,"status":[404]`))
	m := p.manager(0)
	code, took := p.run()
	if got, barriers := m.said(); code != exitDone || len(got) > 0 || barriers > 0 || took > 30*time.Second {
		t.Errorf("exit code %d after %v, messages %q, %d barriers", code, took, got, barriers)
	}
}

// What is not loading gets no more time, whatever it answers.
func TestWaitForASickApp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	p := newPlace(t, check(server.Listener.Addr().String(), ""))
	m := p.manager(0)
	code, _ := p.run("--timeout", "3s")
	got, barriers := m.said()
	want := []string{"STATUS=waiting: / answered 404: 404 page not found"}
	if code != exitNotServing || cmp.Diff(want, got) != "" || barriers != 1 {
		t.Errorf("exit code %d, %d barriers, messages (-want +got):\n%s", code, barriers, cmp.Diff(want, got))
	}
	if want := "archgen: app@x: not serving after 3s; its last answer: / answered 404: 404 page not found\n"; p.stderr.String() != want {
		t.Errorf("stderr %q, want %q", &p.stderr, want)
	}
}

// A locked wallet is a state, not a failure.
func TestWaitForAPerson(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"state":"LOCKED"}`)
	}))
	defer server.Close()
	p := newPlace(t, strings.Replace(check(server.Listener.Addr().String(), ""), `"path":"/"`, `"path":"/v1/state"`, 1))
	m := p.manager(0)
	code, _ := p.run()
	got, barriers := m.said()
	if want := []string{"STATUS=when it started: the wallet is locked: unlock it"}; code != exitDone || cmp.Diff(want, got) != "" || barriers != 1 {
		t.Errorf("exit code %d, messages %q", code, got)
	}
	if want := "archgen: app@x runs, but waits for a person: the wallet is locked: unlock it\n"; p.stderr.String() != want {
		t.Errorf("stderr %q, want %q", &p.stderr, want)
	}
}

// deaf accepts connections and never answers.
func deaf(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// When the main process has ended, wait fails at once: in the middle of a
// question, and although nobody has collected the process's exit code.
func TestWaitFailsWithTheMainProcess(t *testing.T) {
	t.Parallel()
	p := newPlace(t, check(deaf(t), ""))
	process := exec.CommandContext(t.Context(), "sleep", "0.3")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	p.env["MAINPID"] = strconv.Itoa(process.Process.Pid)
	code, took := p.run("--timeout", "10m")
	if code != exitNotServing || took > time.Minute {
		t.Errorf("exit code %d after %v", code, took)
	}
	if want := "archgen: app@x: its main process has ended; it has given no answer\n"; p.stderr.String() != want {
		t.Errorf("stderr %q, want %q", &p.stderr, want)
	}
	_ = process.Wait()

	p.stderr.Reset()
	if code, took := p.run("--timeout", "10m"); code != exitNotServing || took > time.Minute {
		t.Errorf("with a process that has been gone before: exit code %d after %v: %s", code, took, &p.stderr)
	}
}

// The password of a check is read where Podman keeps it, and anew for each question:
// it may be rotated while the app is waited for.
func TestWaitWithASecret(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	secrets := filepath.Join(data, "containers/storage/secrets")
	write(t, filepath.Join(secrets, "secrets.json"), `{"nameToID":{"x.pass":"2bc5"}}`)
	write(t, filepath.Join(secrets, "filedriver/secretsdata.json"), "")
	keep := func(password string) {
		text := fmt.Sprintf(`{"2bc5":%q}`, base64.StdEncoding.EncodeToString([]byte(password)))
		if err := os.WriteFile(filepath.Join(secrets, "filedriver/secretsdata.json"), []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	keep("before")
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		asked = append(asked, user+":"+password)
		if password != "after" {
			keep("after")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"result":{},"error":null,"id":1}`)
	}))
	p := newPlace(t, fmt.Sprintf(`Serving={"kind":"jsonrpc","address":%q,"path":"/","method":"getinfo","user":"me","password_secret":"x.pass","interval":"30s","timeout":"20s","retries":3}`, server.Listener.Addr()))
	p.env["XDG_DATA_HOME"] = data
	code, _ := p.run("--timeout", "10m")
	server.Close()
	if code != exitDone {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	if d := cmp.Diff([]string{"me:before", "me:after"}, asked); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
}

// A socket that is not there hides nothing of the app.
func TestWaitWithoutAManager(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	p := newPlace(t, check(server.Listener.Addr().String(), ""))
	p.env["NOTIFY_SOCKET"] = filepath.Join(t.TempDir(), "notify")
	p.env["MAINPID"] = "not-a-number"
	if code, _ := p.run(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"systemctl status can't show what app@x waits for", `MAINPID is "not-a-number"`} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("stderr %q does not say %q", &p.stderr, want)
		}
	}
}
