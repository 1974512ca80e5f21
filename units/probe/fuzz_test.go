package probe

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
)

// sane checks what holds for every outcome, whatever the peer sent.
func sane(t *testing.T, o Outcome) {
	t.Helper()
	switch o.State {
	case Serving, Loading, NeedsUser, Unreachable, Wrong:
	default:
		t.Errorf("state %q", o.State)
	}
	if o.Reason == "" || (o.State == Serving) != (o.Reason == OK) {
		t.Errorf("%s for the reason %q", o.State, o.Reason)
	}
	if o.Progress != -1 && (o.State != Loading || o.Progress < 0 || o.Progress > 1) {
		t.Errorf("%s with progress %v", o.State, o.Progress)
	}
	if len(o.Detail) > 4*maxQuote || strings.ContainsFunc(o.Detail, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("detail %q", o.Detail)
	}
}

// judged checks the outcome of an answer that a parser read.
func judged(t *testing.T, kind Kind, o Outcome, err error) {
	t.Helper()
	if err != nil {
		if o.State != "" {
			t.Errorf("both %+v and %v", o, err)
		}
		target := target(kind, "127.0.0.1:1")
		o = (&exchange{answered: true}).failed(&target, err)
	}
	sane(t, o)
}

// FuzzHTTP: if net/http can read an answer, both read the same.
func FuzzHTTP(f *testing.F) {
	f.Add([]byte(ok200))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := readAnswer(bufio.NewReader(bytes.NewReader(text)), nil)
		for _, path := range []string{"/", "/v1/state"} {
			target := target(HTTP, "127.0.0.1:1")
			target.Path = path
			if err != nil {
				judged(t, HTTP, Outcome{}, err)
				continue
			}
			judged(t, HTTP, judgePage(&target, a), nil)
			target.Contains = "hello"
			judged(t, HTTP, judgePage(&target, a), nil)
		}
		if err != nil || !bytes.HasPrefix(text, []byte("HTTP/1.1 ")) {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
		if err != nil || theirs.StatusCode < 200 {
			return
		}
		body, err := io.ReadAll(theirs.Body)
		_ = theirs.Body.Close()
		if err != nil {
			return
		}
		if a.status != theirs.StatusCode || !bytes.Equal(a.body, body) {
			t.Errorf("%d %q, but net/http reads %d %q", a.status, a.body, theirs.StatusCode, body)
		}
		if a.keep && theirs.Close {
			t.Error("kept, but net/http closes")
		}
	})
}

func FuzzJSONRPC(f *testing.F) {
	f.Add(200, []byte(`{"result":{"chain":"main"},"error":null,"id":1}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		target := target(JSONRPC, "127.0.0.1:1")
		a := answer{status: status, body: body}
		judged(t, JSONRPC, judgeRPC(&target, a), nil)
		target.Expect = map[string]string{"initialblockdownload": "false", "fork.active": "true"}
		judged(t, JSONRPC, judgeRPC(&target, a), nil)
	})
}

func FuzzElectrum(f *testing.F) {
	f.Add([]byte(`{"id":0,"result":["ElectrumX 1.16.0","1.4"]}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := readElectrum(bufio.NewReader(bytes.NewReader(text)))
		judged(t, Electrum, o, err)
	})
}

func FuzzRedis(f *testing.F) {
	f.Add([]byte("+PONG\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := readRedis(bufio.NewReader(bytes.NewReader(text)))
		judged(t, Redis, o, err)
	})
}

func FuzzPostgres(f *testing.F) {
	f.Add([]byte(pgError("57P03", "the database system is starting up")))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, open, err := readPostgres(bufio.NewReader(bytes.NewReader(text)))
		judged(t, Postgres, o, err)
		if open && o.State != Serving {
			t.Errorf("a session is open, but %+v", o)
		}
	})
}

func FuzzMySQL(f *testing.F) {
	f.Add([]byte(greeting("8.4.3", "caching_sha2_password")))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, plugin, err := readMySQL(bufio.NewReader(bytes.NewReader(text)))
		judged(t, MySQL, o, err)
		if len(plugin) > 64 || plugin != nil && o.State != Serving {
			t.Errorf("plugin %q of %+v", plugin, o)
		}
	})
}

// FuzzParse: an accepted target can be asked exactly.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"http","address":"127.0.0.1:80","path":"/","interval":"30s","timeout":"5s","retries":3}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		target, err := Parse(text)
		if err != nil {
			return
		}
		if target.Timeout <= 0 || target.Timeout > target.Interval || target.Retries < 1 {
			t.Errorf("%+v", target)
		}
		var p Prober
		if head := p.head("GET", &target); bytes.Count(head, []byte("\r\n")) != 6 || bytes.Count(head, []byte("\n")) != 6 {
			t.Errorf("the request has a line that was not meant: %q", head)
		}
	})
}
