package probe

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// warmingUp is the code of bitcoind's answers until it is ready.
const warmingUp = -28

func (p *Prober) askRPC(ctx context.Context, t *Target, credentials Credentials) Outcome {
	login, err := t.login(credentials)
	if err != nil {
		return outcome(Wrong, NoCredentials, "%v", err)
	}
	method, err := json.Marshal(t.Method)
	if err != nil {
		return outcome(Unreachable, NotAsked, "encoding the method %q: %v", t.Method, err)
	}
	body := slices.Concat([]byte(`{"jsonrpc":"2.0","id":1,"method":`), method, []byte(`,"params":[]}`))
	b := p.head("POST", t)
	if login != "" {
		b = append(b, "Authorization: Basic "...)
		b = base64.StdEncoding.AppendEncode(b, []byte(login))
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return p.request(ctx, t, append(b, body...), judgeRPC)
}

// login is user:password, empty without authentication.
func (t *Target) login(credentials Credentials) (string, error) {
	if t.PasswordSecret == "" {
		if t.User == "" {
			return "", nil
		}
		return t.User + ":", nil
	}
	if credentials == nil {
		return "", errors.New("secrets can't be read here")
	}
	secret, err := credentials(t.PasswordSecret)
	if err != nil {
		return "", err
	}
	secret = strings.TrimRight(secret, "\r\n")
	switch {
	case secret == "" || !isLine(secret):
		return "", errors.New("the secret " + t.PasswordSecret + " is not one line of text")
	case t.User != "":
		return t.User + ":" + secret, nil
	case !strings.Contains(secret, ":"):
		return "", errors.New("the secret " + t.PasswordSecret + " is not of the form user:password, and the probe names no user")
	}
	return secret, nil
}

// response is the answer of a JSON-RPC server.
type response struct {
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// failure is the error of a response; ok is false if there is none.
func (r *response) failure() (code int64, message string, ok bool) {
	if len(r.Error) == 0 || string(r.Error) == "null" {
		return 0, "", false
	}
	var e struct {
		Code    int64  `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(r.Error, &e) != nil {
		return 0, quote(r.Error), true
	}
	return e.Code, quote(e.Message), true
}

func judgeRPC(t *Target, a answer) Outcome {
	if a.status == 401 {
		return outcome(Wrong, BadCredentials, "%s does not accept the user and the password", t.Address)
	}
	if a.more {
		return outcome(Wrong, TooLarge, "the answer to %s is longer than 64 KiB: ask for less", t.Method)
	}
	var r response
	notJSON := json.Unmarshal(a.body, &r) != nil
	code, message, failed := r.failure()
	switch {
	case failed && code == warmingUp:
		o := outcome(Loading, StartingUp, "%s", message)
		o.Progress = progress(message)
		return o
	case failed:
		return outcome(Wrong, ServerError, "%s failed: %s (%d)", t.Method, message, code)
	case a.status >= 300:
		return badStatus(t, a)
	case notJSON || r.Result == nil:
		return outcome(Wrong, BadProtocol, "%s answers, but not in jsonrpc: %s", t.Address, quote(a.body))
	}
	return t.expected(r.Result)
}

// expected compares the members of a result.
func (t *Target) expected(result json.RawMessage) Outcome {
	for _, path := range slices.Sorted(maps.Keys(t.Expect)) {
		want := t.Expect[path]
		got, found := member(result, path)
		switch {
		case !found:
			return outcome(Wrong, BadResult, "%s: the result has no %s", t.Method, path)
		case got == want:
		case path == "initialblockdownload" && want == "false":
			return syncing(t, result)
		default:
			return outcome(Wrong, BadResult, "%s: %s is %s, not %s", t.Method, path, quote(got), quote(want))
		}
	}
	return outcome(Serving, OK, "%s gave a result", t.Method)
}

// syncing is the outcome for a Bitcoin node that has not caught up. On a chain without blocks the
// node reports full verification, which is no progress.
func syncing(t *Target, result json.RawMessage) Outcome {
	o := outcome(Loading, Syncing, "%s: still downloading blocks", t.Method)
	text, _ := member(result, "verificationprogress")
	if part, err := strconv.ParseFloat(text, 64); err == nil && part >= 0 && part < 1 {
		o.Progress = part
	}
	return o
}

// member follows a dotted path and returns the value as text. Objects are decoded one by one, so
// that deep nesting costs nothing.
func member(value json.RawMessage, path string) (string, bool) {
	for name := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return "", false
		}
		var found bool
		if value, found = object[name]; !found {
			return "", false
		}
	}
	value = bytes.TrimSpace(value)
	var text string
	if json.Unmarshal(value, &text) == nil && value[0] == '"' {
		return text, true
	}
	return string(value), true
}
