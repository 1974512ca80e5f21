package probe

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// BenchmarkProbe measures the cost of one probe by kind. It includes the time and memory of the
// fake server.
func BenchmarkProbe(b *testing.B) {
	for name, c := range map[string]struct {
		kind   Kind
		answer string
		reuse  time.Duration
	}{
		"http":         {HTTP, ok200, 0},
		"http-kept":    {HTTP, ok200, time.Hour},
		"jsonrpc":      {JSONRPC, page("200 OK", `{"result":{"chain":"main","initialblockdownload":false},"error":null,"id":1}`), 0},
		"jsonrpc-kept": {JSONRPC, page("200 OK", `{"result":{"chain":"main","initialblockdownload":false},"error":null,"id":1}`), time.Hour},
		"tcp":          {TCP, "", 0},
		"electrum":     {Electrum, `{"id":0,"result":["ElectrumX 1.16.0","1.4"]}` + "\n", 0},
		"postgres":     {Postgres, pg("R", "\x00\x00\x00\x03"), 0},
		"redis":        {Redis, "+PONG\r\n", 0},
		"mysql":        {MySQL, greeting("8.4.3", "caching_sha2_password") + packetOf(2, "\xff\x15\x04#28000Access denied"), 0},
	} {
		b.Run(name, func(b *testing.B) {
			p := Prober{Reuse: c.reuse}
			defer p.Close()
			target := target(c.kind, server(b, parrot(c.answer, c.kind == MySQL)))
			if c.kind == JSONRPC {
				target.Expect = map[string]string{"initialblockdownload": "false"}
			}
			benchmark(b, &p, target)
		})
	}
	s := quietTLS(b)
	for name, reuse := range map[string]time.Duration{"https": 0, "https-kept": time.Hour} {
		b.Run(name, func(b *testing.B) {
			p := Prober{Reuse: reuse}
			defer p.Close()
			benchmark(b, &p, target(HTTPS, s))
		})
	}
}

func benchmark(b *testing.B, p *Prober, target Target) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if o := p.Probe(b.Context(), target, nil); o.State != Serving {
			b.Fatalf("%+v", o)
		}
	}
}

// parrot answers everything with the same words. It sends them first if the protocol requires it.
func parrot(words string, first bool) func(net.Conn) {
	return func(c net.Conn) {
		b := make([]byte, 1024)
		for silent := first; ; silent = false {
			if !silent {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
			if _, err := io.WriteString(c, words); err != nil {
				return
			}
		}
	}
}

func quietTLS(b *testing.B) string {
	b.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	b.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://")
}

// BenchmarkNetHTTP measures the same requests with net/http.
func BenchmarkNetHTTP(b *testing.B) {
	plain := "http://" + server(b, parrot(ok200, false))
	secret := "https://" + quietTLS(b)
	for name, c := range map[string]struct {
		url  string
		keep bool
	}{
		"http": {plain, false}, "http-kept": {plain, true}, "https": {secret, false}, "https-kept": {secret, true},
	} {
		b.Run(name, func(b *testing.B) {
			transport := &http.Transport{DisableKeepAlives: !c.keep, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport, Timeout: 10 * time.Second}
			b.ReportAllocs()
			for b.Loop() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.url, nil)
				if err != nil {
					b.Fatal(err)
				}
				answer, err := client.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, answer.Body); err != nil {
					b.Fatal(err)
				}
				if err := answer.Body.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
