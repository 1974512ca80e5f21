// Command noshell is the test app of an image that has no shell: it serves,
// checks and describes itself, and nothing else.
//
//	noshell serve        answers every HTTP request on :8080 with "ok"
//	noshell late TIME    listens and answers only after that time
//	noshell loading TIME answers 503 with Retry-After before that time
//	noshell deaf         accepts every connection on :8080 and never answers
//	noshell crash TIME   listens nowhere, and fails after that time
//	noshell moody        serves as the file /data/mood tells it to, see mood
//	noshell health       exits 0 when the server answers, else 1
//	noshell hang         says nothing and never ends, also when it is asked to
//	noshell babble       prints without an end
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
	"strings"
	"syscall"
	"time"
)

const usage = "usage: noshell serve|late TIME|loading TIME|deaf|crash TIME|moody|health|hang|babble|argv [ARG...]"

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
	case "moody":
		return moody(ctx)
	case "health":
		return health()
	case "hang":
		select {}
	case "babble":
		for {
			fmt.Fprintln(out, "and another thing:")
		}
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

const moodFile = "/data/mood"

// mood is how an app that was well behaves to every request from now on.
type mood func(net.Conn)

// moods is by the word in the file. With a second word, always, a restart does
// not help: else it takes the file away.
var moods = map[string]mood{
	"deaf":   func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	"hangup": func(net.Conn) {},
	"broken": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n") },
	// A byte now and then, of a head that never ends.
	"drip": func(c net.Conn) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Drip: ")
		for err == nil && pass(context.Background(), 100*time.Millisecond) {
			_, err = io.WriteString(c, ".")
		}
	},
	"flood": func(c net.Conn) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		for err == nil {
			_, err = c.Write(make([]byte, 64<<10))
		}
	},
}

// moody serves until the mood changes. In the mood "shut" nobody listens any
// more, and it runs on; in the mood "exit" it ends.
func moody(ctx context.Context) error {
	if !strings.HasSuffix(readMood(), " always") {
		_ = os.Remove(moodFile)
	}
	shut := make(chan error, 1)
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		word, _, _ := strings.Cut(readMood(), " ")
		switch act, known := moods[word]; {
		case word == "shut":
			_ = server.Close()
		case word == "exit":
			shut <- errors.New("ended as asked")
		case known:
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				act(c)
				_ = c.Close()
			}
		default:
			fmt.Fprintln(w, "ok")
		}
	})
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			shut <- err
		}
	}()
	select {
	case err := <-shut:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

func readMood() string {
	text, _ := os.ReadFile(moodFile) // most of the time there is none
	return strings.TrimSpace(string(text))
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
