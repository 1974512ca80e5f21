package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/archipelago-os/archipelago/cmd/engine-proxy/filter"
)

// mostAtOnce bounds the requests under way: Podman has a process and memory for each.
const mostAtOnce = 64

// engineIdle is how long a connection to Podman stays open unused. Podman's service ends after
// five seconds without one.
const engineIdle = 2 * time.Second

// proxy answers what the filter permits with what Podman says.
type proxy struct {
	engine *http.Transport
	turns  chan struct{}
}

func newProxy(socket string) *proxy {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &proxy{
		engine: &http.Transport{DialContext: dial, DisableCompression: true, IdleConnTimeout: engineIdle},
		turns:  make(chan struct{}, mostAtOnce),
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowed, err := filter.Judge(filter.Request{
		Method:      r.Method,
		Target:      r.RequestURI,
		HasBody:     r.ContentLength != 0 || len(r.TransferEncoding) > 0 || r.Header.Get("Expect") != "",
		DoesUpgrade: r.Header.Get("Upgrade") != "",
	})
	if err != nil {
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // what follows a refused request is not read
		refuse(w, http.StatusForbidden, fmt.Errorf("the app may only read from Podman (engine: read): %w", err))
		return
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	default:
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("%d requests are under way; try again later", mostAtOnce))
		return
	}
	p.forward(w, r, allowed)
}

// forward asks Podman and passes on what of the answer the app gets.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request, allowed filter.Allowed) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, "http://podman"+allowed.Target, http.NoBody)
	if err != nil {
		refuse(w, http.StatusForbidden, err)
		return
	}
	answer, err := p.engine.RoundTrip(request)
	if err != nil {
		refuse(w, http.StatusBadGateway, fmt.Errorf("Podman does not answer: %w", err))
		return
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	for _, name := range passedHeaders {
		if value := answer.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(answer.StatusCode)
	to := flushing{w, http.NewResponseController(w)}
	_ = to.flush() // a stream begins before it has anything to say
	if allowed.Reduce == nil || answer.StatusCode != http.StatusOK {
		_, err = io.Copy(to, answer.Body)
	} else {
		err = reduce(to, answer.Body, allowed.Reduce)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // else the app would take what it got for all
	}
}

// passedHeaders is what an app gets of the headers of an answer.
var passedHeaders = []string{"Content-Type", "Api-Version", "Libpod-Api-Version", "Docker-Experimental", "Ostype", "Server"}

// reduce passes on each JSON value of an answer, reduced, until the answer ends.
func reduce(to io.Writer, from io.Reader, f func(any) any) error {
	in, out := json.NewDecoder(from), json.NewEncoder(to)
	in.UseNumber()
	out.SetEscapeHTML(false)
	for {
		var v any
		switch err := in.Decode(&v); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := out.Encode(f(v)); err != nil {
			return err
		}
	}
}

// flushing sends everything that is written at once: events and logs are read as they come.
type flushing struct {
	io.Writer
	controller *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.flush()
}

func (f flushing) flush() error { return f.controller.Flush() }

// refuse answers with an error, in the members where clients of Docker and of Podman look for it.
func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"message": err.Error(), "cause": http.StatusText(status), "response": status}) // the client may hang up
}
