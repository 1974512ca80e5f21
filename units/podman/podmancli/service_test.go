package podmancli_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// serving is a Podman whose service answers every request, and lists the requests.
func serving(t *testing.T, answer http.HandlerFunc) (run podmancli.Runner, asked *[]string) {
	t.Helper()
	asked = new([]string)
	var mu sync.Mutex
	return func(ctx context.Context, call podmancli.Call) error {
		socket, isService := strings.CutPrefix(call.Args[len(call.Args)-1], "unix://")
		if !isService {
			t.Errorf("podman %v was executed", call.Args)
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			*asked = append(*asked, r.Method+" "+r.URL.String()+" "+string(body))
			mu.Unlock()
			answer(w, r)
		})}
		context.AfterFunc(ctx, func() { _ = server.Close() })
		return server.Serve(l)
	}, asked
}

func TestServe(t *testing.T) {
	t.Parallel()
	run, asked := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "volumes") {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"cause":"x","message":"allocating lock: exhausted","response":500}`)
		}
	})
	socket := filepath.Join(t.TempDir(), "podman.sock")
	err := run.Serve(t.Context(), socket, func(s podmancli.Service) error {
		network := podmancli.Network{Name: "private.web", Internal: true, Options: map[string]string{"isolate": "strict"}}
		return errors.Join(s.CreateNetwork(t.Context(), network), s.CreateVolume(t.Context(), podmancli.Volume{Name: "web.data", Labels: map[string]string{"a": "b"}}))
	})
	if err == nil || err.Error() != "podman: allocating lock: exhausted" {
		t.Errorf("the error is %v", err)
	}
	want := []string{
		`POST /v4.0.0/libpod/networks/create?ignoreIfExists=true {"name":"private.web","driver":"bridge","dns_enabled":true,"internal":true,"options":{"isolate":"strict"}}`,
		`POST /v4.0.0/libpod/volumes/create {"Name":"web.data","Labels":{"a":"b"},"IgnoreIfExists":true}`,
	}
	if d := cmp.Diff(want, *asked); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestServeWithoutService: a service that does not start does not make its caller wait.
func TestServeWithoutService(t *testing.T) {
	t.Parallel()
	do := func(podmancli.Service) error { t.Error("a request was made"); return nil }
	for name, failure := range map[string]error{"the cause": errors.New("the cause"), "podman system service has ended": nil} {
		var run podmancli.Runner = func(context.Context, podmancli.Call) error { return failure }
		if err := run.Serve(t.Context(), filepath.Join(t.TempDir(), "s"), do); err == nil || err.Error() != name {
			t.Errorf("the error is %v, want %q", err, name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var hangs podmancli.Runner = func(ctx context.Context, _ podmancli.Call) error { cancel(); <-ctx.Done(); return ctx.Err() }
	if err := hangs.Serve(ctx, filepath.Join(t.TempDir(), "s"), do); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestServeSilent: a service that closes the connection has created nothing.
func TestServeSilent(t *testing.T) {
	t.Parallel()
	run, _ := serving(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	err := run.Serve(t.Context(), filepath.Join(t.TempDir(), "s"), func(s podmancli.Service) error {
		return s.CreateVolume(t.Context(), podmancli.Volume{Name: "v"})
	})
	if err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("the error is %v", err)
	}
}
