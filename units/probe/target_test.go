package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Target{
		`{"kind":"tcp","address":"127.0.0.1:8333","interval":"30s","timeout":"5s","retries":3}`: {
			Kind: TCP, Address: "127.0.0.1:8333", Interval: 30 * time.Second, Timeout: 5 * time.Second, Retries: 3,
		},
		`{"kind":"http","address":"[::1]:80","path":"/health?q=1","status":[200,204],"contains":"\"ok\"","interval":"1500ms","timeout":"100ms","retries":1,"start_period":"604800s"}`: {
			Kind: HTTP, Address: "[::1]:80", Path: "/health?q=1", Status: []int{200, 204}, Contains: `"ok"`,
			Interval: 1500 * time.Millisecond, Timeout: 100 * time.Millisecond, Retries: 1, StartPeriod: 7 * 24 * time.Hour,
		},
		`{"kind":"jsonrpc","address":"127.0.0.1:8332","path":"/","method":"getblockchaininfo","user":"a b","password_secret":"app-rpc","expect":{"chain":"main"},"interval":"30s","timeout":"31s","retries":3}`: {
			Kind: JSONRPC, Address: "127.0.0.1:8332", Path: "/", Method: "getblockchaininfo", User: "a b", PasswordSecret: "app-rpc",
			Expect: map[string]string{"chain": "main"}, Interval: 30 * time.Second, Timeout: 31 * time.Second, Retries: 3,
		},
	} {
		got, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestParseRejects(t *testing.T) {
	t.Parallel()
	const base = `"interval":"30s","timeout":"5s","retries":3`
	for text, want := range map[string]string{
		``:     "reading a probe",
		`null`: "address",
		`{"kind":"tcp","address":"127.0.0.1:1",` + base + `} {}`:                                              "there is trailing text",
		`{"kind":"tcp","address":"127.0.0.1:1","port":1,` + base + `}`:                                        `unknown field "port"`,
		`{"kind":"exec","address":"127.0.0.1:1",` + base + `}`:                                                `kind: "exec" is unknown`,
		`{"kind":"tcp","address":"localhost:1",` + base + `}`:                                                 `address: "localhost:1"`,
		`{"kind":"tcp","address":"127.0.0.1:0",` + base + `}`:                                                 `address: "127.0.0.1:0"`,
		`{"kind":"tcp","address":"0.0.0.0:1",` + base + `}`:                                                   `address: "0.0.0.0:1"`,
		`{"kind":"tcp","address":"[fe80::1%\r\nX]:1",` + base + `}`:                                           "address",
		`{"kind":"tcp","address":"127.0.0.1:1","timeout":"5s","retries":3}`:                                   "interval and timeout are required",
		`{"kind":"tcp","address":"127.0.0.1:1","interval":"30s","retries":3}`:                                 "interval and timeout are required",
		`{"kind":"tcp","address":"127.0.0.1:1","interval":"1d","timeout":"5s","retries":3}`:                   `interval: "1d" is no duration`,
		`{"kind":"tcp","address":"127.0.0.1:1","interval":"30s","timeout":"0s","retries":3}`:                  `timeout: "0s" is no duration`,
		`{"kind":"tcp","address":"127.0.0.1:1","interval":"30s","timeout":"5s","retries":0}`:                  "retries: 0",
		`{"kind":"tcp","address":"127.0.0.1:1","start_period":"-1s",` + base + `}`:                            `start_period: "-1s"`,
		`{"kind":"tcp","address":"127.0.0.1:1","path":"/",` + base + `}`:                                      "path",
		`{"kind":"tcp","address":"127.0.0.1:1","status":[200],` + base + `}`:                                  "status and contains belong to http",
		`{"kind":"tcp","address":"127.0.0.1:1","method":"x",` + base + `}`:                                    "method",
		`{"kind":"http","address":"127.0.0.1:1",` + base + `}`:                                                "path",
		`{"kind":"http","address":"127.0.0.1:1","path":"x",` + base + `}`:                                     "path",
		`{"kind":"http","address":"127.0.0.1:1","path":"/ HTTP/1.1",` + base + `}`:                            "path",
		`{"kind":"http","address":"127.0.0.1:1","path":"/\r\nX:y",` + base + `}`:                              "path",
		`{"kind":"http","address":"127.0.0.1:1","path":"/","status":[99],` + base + `}`:                       "status: 99",
		`{"kind":"https","address":"127.0.0.1:1","path":"/","user":"a",` + base + `}`:                         "belong to jsonrpc",
		`{"kind":"jsonrpc","address":"127.0.0.1:1","path":"/",` + base + `}`:                                  "method",
		`{"kind":"jsonrpc","address":"127.0.0.1:1","path":"/","method":"m","contains":"x",` + base + `}`:      "belong to http",
		`{"kind":"jsonrpc","address":"127.0.0.1:1","path":"/","method":"m","user":"a:b",` + base + `}`:        `user: "a:b"`,
		`{"kind":"jsonrpc","address":"127.0.0.1:1","path":"/","method":"m","user":"a\nb",` + base + `}`:       `user: "a\nb"`,
		`{"kind":"jsonrpc","address":"127.0.0.1:1","path":"/","method":"m","expect":{"":"x"},` + base + `}`:   "expect",
		`{"kind":"jsonrpc","address":"127.0.0.1:1","path":"/","method":"m","expect":{"x":true},` + base + `}`: "reading a probe",
	} {
		if got, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || !cmp.Equal(got, Target{}) {
			t.Errorf("%s: %+v, %v; want …%s…", text, got, err, want)
		}
	}
}
