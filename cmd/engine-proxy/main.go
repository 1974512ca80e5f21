// Command engine-proxy lets apps read from Podman's API what containers are and do, and nothing
// else: it serves the socket that apps with `engine: read` mount, and asks Podman's own socket.
//
// Package filter decides what passes. A request is never forwarded: engine-proxy makes a new one
// of what the filter has read from it. It knows no app, reads no file and keeps nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "engine-proxy: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: engine-proxy SOCKET; archipelago-engine.socket starts it, with the path of Podman's socket")
	}
	listener, err := passedSocket()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	server := newServer(args[0])
	context.AfterFunc(ctx, func() { _ = server.Close() }) // Serve says what ended it
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// passedSocket is the socket that systemd listens on for this service.
func passedSocket() (net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd has passed: %w", err)
	}
	if len(passed) != 1 || passed[0] == nil {
		return nil, errors.New("systemd has passed no socket; start archipelago-engine.socket instead")
	}
	return passed[0], nil
}

const (
	// headerLimit is the most bytes that a request has; none that passes needs more.
	headerLimit = 16 << 10
	headerTime  = 10 * time.Second
	idleTime    = time.Minute
)

// newServer answers requests with what Podman says at a socket.
func newServer(socket string) *http.Server {
	return &http.Server{
		Handler:           newProxy(socket),
		MaxHeaderBytes:    headerLimit,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		// Else the server answers OPTIONS * by itself.
		DisableGeneralOptionsHandler: true,
	}
}
