package prestart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/probe"
)

// waiting is `archgen wait x` for a part with one probe.
type waiting struct {
	Wait
	t      *testing.T
	stderr bytes.Buffer
}

func waitFor(t *testing.T, check string) *waiting {
	t.Helper()
	w := &waiting{t: t}
	w.Wait = Wait{ID: "x", Level: "serving", Env: Env{Stderr: &w.stderr, Target: func(container, level string) (*probe.Target, error) {
		if container != "x" || level != "serving" {
			return nil, nil //nolint:nilnil // it has no probe for that level
		}
		target, err := probe.Parse([]byte(check))
		return &target, err
	}}}
	return w
}

// check is an HTTP probe of a server.
func check(address, more string) string {
	return fmt.Sprintf(`{"kind":"http","address":%q,"path":"/","interval":"30s","timeout":"20s","retries":3%s}`, address, more)
}

// run waits, and returns how long it took and the error.
func (w *waiting) run() (took time.Duration, err error) {
	begin := time.Now()
	err = w.Run(w.t.Context())
	return time.Since(begin), err
}

// isNotServing reports whether an error means that a part did not reach its level.
func isNotServing(err error) bool {
	_, ok := errors.AsType[*NotServingError](err)
	return ok
}

// manager is systemd's end of the notification socket. Like systemd it closes the
// descriptor of a barrier once it has read the messages before.
type manager struct {
	conn *net.UnixConn
	// slow is the delay of a barrier.
	slow time.Duration

	mu       sync.Mutex
	messages []string
	barriers int
}

// listen creates a notification socket for the messages of a command.
func listen(t *testing.T, e *Env, slow time.Duration) *manager {
	t.Helper()
	e.NotifySocket = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: e.NotifySocket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{conn: conn, slow: slow}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m.read() {
		}
	}()
	t.Cleanup(func() {
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

// said returns the messages received, without repetitions.
func (m *manager) said() (messages []string, barriers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Compact(slices.Clone(m.messages)), m.barriers
}

// For a loading app, wait reports progress and extends the timeout, and systemd has read
// all of it before wait ends.
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
	w := waitFor(t, check(server.Listener.Addr().String(), ""))
	w.MainPID = strconv.Itoa(os.Getpid())
	m := listen(t, &w.Env, 300*time.Millisecond)
	took, err := w.run()
	got, barriers := m.said()
	want := []string{"STATUS=loading: / answered 503: not yet", "EXTEND_TIMEOUT_USEC=50000000", "STATUS="}
	if err != nil || cmp.Diff(want, got) != "" || barriers != 1 || w.stderr.Len() > 0 {
		t.Errorf("%v, %d barriers, stderr %q, messages (-want +got):\n%s", err, barriers, &w.stderr, cmp.Diff(want, got))
	}
	if took < 400*time.Millisecond {
		t.Errorf("it ended after %v, before systemd closed the barrier", took)
	}
}

// An app that serves at once causes no message.
func TestWaitForAServingApp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w := waitFor(t, check(server.Listener.Addr().String(), `,"status":[404]`))
	m := listen(t, &w.Env, 0)
	took, err := w.run()
	if got, barriers := m.said(); err != nil || len(got) > 0 || barriers > 0 || took > 30*time.Second {
		t.Errorf("%v after %v, messages %q, %d barriers", err, took, got, barriers)
	}
}

// An app that is not loading gets no more time, whatever it answers.
func TestWaitForASickApp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w := waitFor(t, check(server.Listener.Addr().String(), ""))
	w.Timeout = 3 * time.Second
	m := listen(t, &w.Env, 0)
	_, err := w.run()
	got, barriers := m.said()
	want := []string{"STATUS=waiting: / answered 404: 404 page not found"}
	if !isNotServing(err) || cmp.Diff(want, got) != "" || barriers != 1 {
		t.Errorf("%v, %d barriers, messages (-want +got):\n%s", err, barriers, cmp.Diff(want, got))
	}
	if want := "app@x: not serving after 3s; its last answer: / answered 404: 404 page not found"; err.Error() != want || w.stderr.Len() > 0 {
		t.Errorf("error %q, want %q; stderr %q", err, want, &w.stderr)
	}
}

// A locked wallet is a state, not a failure.
func TestWaitForAPerson(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"state":"LOCKED"}`)
	}))
	defer server.Close()
	w := waitFor(t, strings.Replace(check(server.Listener.Addr().String(), ""), `"path":"/"`, `"path":"/v1/state"`, 1))
	m := listen(t, &w.Env, 0)
	_, err := w.run()
	got, barriers := m.said()
	if want := []string{"STATUS=when it started: the wallet is locked: unlock it"}; err != nil || cmp.Diff(want, got) != "" || barriers != 1 {
		t.Errorf("%v, messages %q", err, got)
	}
	if want := "archgen: app@x runs, but waits for a person: the wallet is locked: unlock it\n"; w.stderr.String() != want {
		t.Errorf("stderr %q, want %q", &w.stderr, want)
	}
}

// When the main process ends, wait fails at once, even in the middle of a probe and while
// the process is a zombie.
func TestWaitFailsWithTheMainProcess(t *testing.T) {
	t.Parallel()
	w := waitFor(t, check(server(t), ""))
	process := exec.CommandContext(t.Context(), "sleep", "0.3")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	w.MainPID, w.Timeout = strconv.Itoa(process.Process.Pid), 10*time.Minute
	took, err := w.run()
	if !isNotServing(err) || took > time.Minute {
		t.Errorf("%v after %v", err, took)
	}
	if want := "app@x: its main process has ended; it has given no answer"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	_ = process.Wait()

	if took, err := w.run(); !isNotServing(err) || took > time.Minute {
		t.Errorf("with a process that was gone before: %v after %v", err, took)
	}
}

// Without a notification socket, wait still shows the app's answers.
func TestWaitWithoutAManager(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	w := waitFor(t, check(server.Listener.Addr().String(), ""))
	w.NotifySocket = filepath.Join(t.TempDir(), "notify")
	w.MainPID = "not-a-number"
	if _, err := w.run(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"systemctl status can't show what app@x waits for", `MAINPID is "not-a-number"`} {
		if !strings.Contains(w.stderr.String(), want) {
			t.Errorf("stderr %q does not say %q", &w.stderr, want)
		}
	}
}

// TestWaitForRunning: `--level started` queries only systemd.
func TestWaitForRunning(t *testing.T) {
	for name, c := range map[string]struct {
		systemd      *fakeSystemd
		connects     error
		want         string
		isNotServing bool
	}{
		"it runs":                    {systemd: &fakeSystemd{states: []ServiceState{Running}}},
		"it starts":                  {systemd: &fakeSystemd{states: []ServiceState{Starting, Starting, Running}}},
		"it fails while it starts":   {systemd: &fakeSystemd{states: []ServiceState{Starting, Stopped}}, want: "app@x does not run, and systemd does not start it", isNotServing: true},
		"it takes too long":          {systemd: &fakeSystemd{states: []ServiceState{Starting}}, want: "app@x: its container does not run yet", isNotServing: true},
		"systemd does not answer":    {systemd: &fakeSystemd{err: errors.New("no answer")}, want: "no answer"},
		"systemd can't be connected": {connects: errors.New("no bus"), want: "no bus"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := Wait{ID: "x", Level: LevelStarted, Env: Env{Systemd: func(ctx context.Context) (Systemd, error) {
					if c.connects != nil {
						return nil, c.connects
					}
					return c.systemd.connect(ctx)
				}}}
				err := w.Run(t.Context())
				if message(err) != c.want || isNotServing(err) != c.isNotServing {
					t.Errorf("%#v, want %q", err, c.want)
				}
				if c.systemd != nil && (c.systemd.closed != 1 || c.systemd.asked[0] != "app@x.service") {
					t.Errorf("asked for %q, closed %d times", c.systemd.asked, c.systemd.closed)
				}
			})
		})
	}
}

// TestWaitInterrupted: a user who stops the command has not found that the app is down.
func TestWaitInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := waitFor(t, check("127.0.0.1:1", ""))
	if err := w.Run(ctx); err == nil || isNotServing(err) || err.Error() != "app@x: context canceled; it has given no answer" {
		t.Errorf("%v", err)
	}
}

// TestWaitWithoutACheck: without a probe there is nothing to wait for. Run by systemd, wait
// does not fail an app whose probe can't be read.
func TestWaitWithoutACheck(t *testing.T) {
	for name, c := range map[string]struct {
		check, level, mainPID string
		want, stderr          string
	}{
		"no probe for the level":             {level: "synced", stderr: "archgen: not waiting for app@x: it has no probe for synced on the host\n"},
		"a damaged probe":                    {level: "serving", check: `{"kind`, want: "reading a probe: "},
		"a damaged probe, at ExecStartPost=": {level: "serving", check: `{"kind`, mainPID: "1", stderr: "archgen: not waiting for app@x: reading a probe: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := waitFor(t, c.check)
			w.Level, w.MainPID = c.level, c.mainPID
			_, err := w.run()
			if (err == nil) != (c.want == "") || !strings.HasPrefix(message(err), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if (w.stderr.Len() == 0) != (c.stderr == "") || !strings.HasPrefix(w.stderr.String(), c.stderr) {
				t.Errorf("stderr %q, want %q", &w.stderr, c.stderr)
			}
		})
	}
}

// TestReportToAPerson: without systemd, each text is printed once.
func TestReportToAPerson(t *testing.T) {
	var stderr bytes.Buffer
	n := (&Env{Stderr: &stderr}).startNotifier("x", 0)
	for _, o := range []probe.Outcome{
		{State: probe.Unreachable, Detail: "no program listens"}, {State: probe.Unreachable, Detail: "no program listens"}, {State: probe.Loading, Detail: "43%"},
	} {
		n.report(o)
	}
	n.status("")
	n.close()
	if want := "app@x: waiting: no program listens\napp@x: loading: 43%\n"; stderr.String() != want {
		t.Errorf("%q, want %q", &stderr, want)
	}
}
