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
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place is a home directory with one rendered app, and the output of wait in it.
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

// run runs `archgen wait x` and returns its exit code.
func (p *place) run(args ...string) (code int) {
	c := &cli{stdout: &p.stderr, stderr: &p.stderr, getenv: func(k string) string { return p.env[k] }}
	root := c.root()
	root.SetArgs(append([]string{"wait", "x"}, args...))
	return c.exitCode(root.Execute())
}

// wait finds systemd through its environment, and tells systemd what it waits for.
func TestWaitForSystemd(t *testing.T) {
	t.Parallel()
	p := newPlace(t, `Serving={"kind":"tcp","address":"127.0.0.1:1","interval":"30s","timeout":"5s","retries":3}`)
	p.env["MAINPID"] = strconv.Itoa(os.Getpid())
	p.env["NOTIFY_SOCKET"] = filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: p.env["NOTIFY_SOCKET"], Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for text := make([]byte, 4096); ; {
			n, err := socket.Read(text) // which closes the descriptor that comes with a barrier
			if err != nil {
				return
			}
			got = append(got, string(text[:n]))
		}
	}()
	code := p.run("--timeout", "2s")
	_ = socket.Close()
	<-heard
	if d := cmp.Diff([]string{"STATUS=waiting: no program listens on 127.0.0.1:1", "BARRIER=1"}, got); d != "" || code != exitNotServing {
		t.Errorf("exit code %d, -want +got:\n%s", code, d)
	}
}

// wait reads the password of a probe from Podman for each probe again: the password may be
// rotated meanwhile.
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
	code := p.run("--timeout", "10m")
	server.Close()
	if code != exitDone {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	if d := cmp.Diff([]string{"me:before", "me:after"}, asked); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
}
