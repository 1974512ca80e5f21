// Command noshell is the test app of an image that has no shell: it serves,
// checks and describes itself, and nothing else.
//
//	noshell serve        answers every HTTP request on :8080 with "ok"
//	noshell late TIME    listens and answers only after that time
//	noshell loading TIME answers 503 with Retry-After before that time
//	noshell deaf         accepts every connection on :8080 and never answers
//	noshell crash TIME   listens nowhere, and fails after that time
//	noshell health       exits 0 when the server answers, else 1
//	noshell argv ...     prints its arguments and environment as JSON
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = "usage: noshell serve|late TIME|loading TIME|deaf|crash TIME|health|argv [ARG...]"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "noshell:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop() // as PID 1 it would otherwise ignore them
	var after time.Duration
	if len(args) == 2 {
		after, _ = time.ParseDuration(args[1])
	}
	switch args[0] {
	case "serve":
		return serve(ctx, 0)
	case "late":
		if !pass(ctx, after) {
			return nil
		}
		return serve(ctx, 0)
	case "loading":
		return serve(ctx, after)
	case "deaf":
		return deaf(ctx)
	case "crash":
		if pass(ctx, after) {
			return errors.New("crashed as asked")
		}
		return nil
	case "health":
		return health()
	case "argv":
		return json.NewEncoder(out).Encode(map[string]any{"argv": os.Args, "env": os.Environ()})
	}
	return errors.New(usage)
}

// pass lets a time pass, and reports false where the program should end before.
func pass(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// serve answers "ok", and before the end of loading that it is not ready.
func serve(ctx context.Context, loading time.Duration) error {
	ready := time.Now().Add(loading)
	server := &http.Server{
		Addr:              ":8080",
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if time.Now().Before(ready) {
				w.Header().Set("Retry-After", "1")
				http.Error(w, "loading", http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, "ok")
		}),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// deaf keeps connections open and says nothing.
func deaf(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":8080")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				failed <- err
				return
			}
			go func() { _, _ = io.Copy(io.Discard, connection) }()
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return listener.Close()
	}
}

// health has its own deadline, since podman before 5.6 does not enforce one.
func health() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8080/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
