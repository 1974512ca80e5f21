// Command noshell is the test app of an image that has no shell: it serves,
// checks and describes itself, and nothing else.
//
//	noshell serve        answers every HTTP request on :8080 with "ok"
//	noshell late TIME    listens and answers only after that time
//	noshell loading TIME answers 503 with Retry-After before that time
//	noshell deaf         accepts every connection on :8080 and never answers
//	noshell crash TIME   listens nowhere, and fails after that time
//	noshell moody        serves as the file /data/mood says, see mood
//	noshell expired      the same over TLS, with a certificate that has expired
//	noshell health       exits 0 when the server answers, else 1
//	noshell hang         prints nothing and never ends, even after SIGTERM
//	noshell babble       prints endlessly
//	noshell registry DIR serves an image over TLS on 127.0.0.1:5000, see registry
//	noshell argv ...     prints its arguments and environment as JSON
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = "usage: noshell serve|late TIME|loading TIME|deaf|crash TIME|moody|expired|health|hang|babble|registry DIR|argv [ARG...]"

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
		return moody(ctx, nil)
	case "expired":
		return expired(ctx)
	case "health":
		return health()
	case "hang":
		select {}
	case "babble":
		for {
			fmt.Fprintln(out, "and another thing:")
		}
	case "registry":
		if len(args) == 2 {
			return registry(ctx, args[1], out)
		}
	case "argv":
		return json.NewEncoder(out).Encode(map[string]any{"argv": os.Args, "env": os.Environ()})
	}
	return errors.New(usage)
}

// pass waits, and returns false if the program has to end first.
func pass(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// serve answers "ok", or that it is not ready until loading has passed.
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
	return serveUntil(ctx, server, server.ListenAndServe)
}

func serveUntil(ctx context.Context, server *http.Server, listen func() error) error {
	failed := make(chan error, 1)
	go func() { failed <- listen() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

const moodFile = "/data/mood"

// mood is the answer of a formerly healthy app to every request.
type mood func(net.Conn)

// moods is the moods by the first word in the file. If the second word is always, a restart
// does not help. Otherwise the program removes the file.
var moods = map[string]mood{
	"deaf":   func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	"hangup": func(net.Conn) {},
	"broken": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n") },
	// Send a header that never ends, a byte at a time.
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

// moody serves until the mood changes, over TLS if secured is set. In the mood "shut" it
// closes its port and keeps running. In the mood "exit" it ends.
func moody(ctx context.Context, secured *tls.Config) error {
	if !strings.HasSuffix(readMood(), " always") {
		_ = os.Remove(moodFile)
	}
	shut := make(chan error, 1)
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second, TLSConfig: secured, Protocols: onlyHTTP1()}
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
	listen := server.ListenAndServe
	if secured != nil {
		server.SetKeepAlivesEnabled(false) // so that keys are agreed on for each request
		listen = func() error { return server.ListenAndServeTLS("", "") }
	}
	go func() {
		if err := listen(); !errors.Is(err, http.ErrServerClosed) {
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
	text, _ := os.ReadFile(moodFile) // usually there is none
	return strings.TrimSpace(string(text))
}

// deaf keeps connections open and sends nothing.
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

// health has its own deadline, because Podman before 5.6 does not enforce one.
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

// expired is moody over TLS with a certificate that no client should accept. In the mood
// "silent" it never completes the TLS handshake, in the mood "rude" it refuses it.
func expired(ctx context.Context) error {
	own, err := newAuthority()
	if err != nil {
		return err
	}
	certificate, err := own.issue(time.Now().Add(-time.Hour))
	if err != nil {
		return err
	}
	return moody(ctx, &tls.Config{
		Certificates: []tls.Certificate{certificate},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			switch readMood() {
			case "silent":
				<-ctx.Done()
			case "rude":
				return nil, errors.New("not in the mood")
			}
			return nil, nil
		},
	})
}

// onlyHTTP1 disables HTTP/2, because the connections of HTTP/1 can be hijacked.
func onlyHTTP1() *http.Protocols {
	var only http.Protocols
	only.SetHTTP1(true)
	return &only
}

// authority signs certificates for 127.0.0.1.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority() (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := valid(time.Now().Add(24 * time.Hour))
	template.IsCA, template.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	return authority{key, certificate}, err
}

// issue makes a certificate that expires at a time.
func (a authority) issue(until time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, valid(until), a.certificate, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func valid(until time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    until.Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

// registry serves the image that `podman push IMAGE dir:DIR` wrote to a directory,
// under any name. It has its certificates signed by the authority in ca.crt there,
// and prints each request. The file mood there selects a fault:
//
//	401, 429, 500   every answer has this status
//	expired         the certificate has expired
//	stranger        the certificate is signed by an unknown authority
//	reset           connections are reset
//	cut             a layer ends in the middle
//	mixed           the content of a layer differs from its digest
//	other           the content of the manifest differs from its digest
func registry(ctx context.Context, dir string, out io.Writer) error {
	certificates, err := certificatesOf(dir)
	if err != nil {
		return err
	}
	mood := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "mood")) // usually there is none
		return strings.TrimSpace(string(text))
	}
	server := &http.Server{
		Addr:              "127.0.0.1:5000",
		ReadHeaderTimeout: 5 * time.Second,
		Protocols:         onlyHTTP1(),
		TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c, bad := certificates[mood()]; bad {
				return c, nil
			}
			return certificates[""], nil
		}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(out, r.Method, r.URL.Path)
			answer(w, r, dir, mood())
		}),
	}
	return serveUntil(ctx, server, func() error { return server.ListenAndServeTLS("", "") })
}

// certificatesOf makes the certificates of a registry, by mood.
func certificatesOf(dir string) (map[string]*tls.Certificate, error) {
	known, err := newAuthority()
	if err != nil {
		return nil, err
	}
	unknown, err := newAuthority()
	if err != nil {
		return nil, err
	}
	list := map[string]*tls.Certificate{}
	for mood, from := range map[string]struct {
		authority
		until time.Duration
	}{"": {known, time.Hour}, "expired": {known, -time.Hour}, "stranger": {unknown, time.Hour}} {
		certificate, err := from.issue(time.Now().Add(from.until))
		if err != nil {
			return nil, err
		}
		list[mood] = &certificate
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.certificate.Raw})
	whole := filepath.Join(dir, "ca.crt") // a test waits for this file
	if err := os.WriteFile(whole+".part", text, 0o644); err != nil {
		return nil, err
	}
	return list, os.Rename(whole+".part", whole)
}

func answer(w http.ResponseWriter, r *http.Request, dir, mood string) {
	if status, err := strconv.Atoi(mood); err == nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "not today", status)
		return
	}
	if mood == "reset" {
		reset(w)
		return
	}
	_, digest, isLayer := strings.Cut(r.URL.Path, "/blobs/sha256:")
	switch {
	case isLayer:
		serveLayer(w, filepath.Join(dir, filepath.Base(digest)), mood)
	case strings.Contains(r.URL.Path, "/manifests/"):
		text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if mood == "other" {
			text = append(text, '\n')
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text)
	}
}

func serveLayer(w http.ResponseWriter, file, mood string) {
	text, err := os.ReadFile(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	switch mood {
	case "cut":
		text = text[:len(text)/2]
	case "mixed":
		text = bytes.Repeat([]byte{0}, len(text))
	}
	_, _ = w.Write(text)
}

// reset ends a connection so that the client gets an error of the connection.
func reset(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if wire, ok := c.(*tls.Conn).NetConn().(*net.TCPConn); ok {
		_ = wire.SetLinger(0)
		_ = wire.Close()
	}
}
