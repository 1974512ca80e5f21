package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Target is a probe, as in the ownership section of a unit file. Parse makes one; nothing changes
// it afterwards.
type Target struct {
	// Kind is the protocol.
	Kind Kind `json:"kind"`
	// Address is IP:port. Names are not allowed: resolving one can hang.
	Address string `json:"address"`
	// Path is the path and query of an HTTP request.
	Path string `json:"path,omitempty"`
	// Status is the accepted status codes; empty means below 400.
	Status []int `json:"status,omitempty"`
	// Contains is text that must occur in the body.
	Contains string `json:"contains,omitempty"`
	// Method is the JSON-RPC method.
	Method string `json:"method,omitempty"`
	// User is the user for basic authentication. Without one, the secret holds
	// user:password, as the cookie file of bitcoind does.
	User string `json:"user,omitempty"`
	// PasswordSecret is the name of the secret that holds the password.
	PasswordSecret string `json:"password_secret,omitempty"`
	// Expect is the expected values of members of the result, by dotted path.
	Expect map[string]string `json:"expect,omitempty"`
	// Interval is the time from the end of a probe to the next one.
	Interval time.Duration `json:"-"`
	// Timeout is the timeout of one probe.
	Timeout time.Duration `json:"-"`
	// Retries is the number of failures in a row after which the app counts as unhealthy.
	Retries int `json:"-"`
	// StartPeriod is the time after a start during which failures don't count.
	StartPeriod time.Duration `json:"-"`
}

// encoded is a target as it is written in the ownership section.
type encoded struct {
	Target
	Interval    string `json:"interval"`
	Timeout     string `json:"timeout"`
	Retries     int    `json:"retries"`
	StartPeriod string `json:"start_period,omitempty"`
}

// Text writes a target so that Parse can read it.
func (t *Target) Text() string {
	w := encoded{Target: *t, Interval: seconds(t.Interval), Timeout: seconds(t.Timeout), Retries: t.Retries}
	if t.StartPeriod > 0 {
		w.StartPeriod = seconds(t.StartPeriod)
	}
	text, err := json.Marshal(w)
	if err != nil {
		panic(fmt.Sprintf("encoding a probe as JSON: %v", err))
	}
	return string(text)
}

// seconds writes a duration in seconds, or in milliseconds if it is not a multiple of one.
func seconds(d time.Duration) string {
	if d%time.Second != 0 {
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// Parse reads a target and refuses one that can't be asked exactly.
func Parse(text []byte) (Target, error) {
	var w encoded
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return Target{}, fmt.Errorf("reading a probe: %w; `archgen apply` rewrites it", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Target{}, errors.New("reading a probe: there is trailing text; `archgen apply` rewrites it")
	}
	t := w.Target
	t.Retries = w.Retries
	errs := []error{
		duration(&t.Interval, "interval", w.Interval),
		duration(&t.Timeout, "timeout", w.Timeout),
		duration(&t.StartPeriod, "start_period", w.StartPeriod),
	}
	if w.Interval == "" || w.Timeout == "" {
		errs = append(errs, errors.New("interval and timeout are required"))
	}
	if err := errors.Join(append(errs, t.check()...)...); err != nil {
		return Target{}, fmt.Errorf("the probe of %q by %q is invalid: %w", t.Address, t.Kind, err)
	}
	return t, nil
}

// duration reads an optional, positive duration.
func duration(to *time.Duration, key, text string) error {
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%s: %q is no duration such as 30s", key, text)
	}
	*to = d
	return nil
}

func (t *Target) check() []error {
	var errs []error
	fail := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	address, err := netip.ParseAddrPort(t.Address)
	fail(err == nil && address.Port() != 0 && !address.Addr().IsUnspecified() && isWord(t.Address), "address: %q is no IP:port that can be reached", t.Address)
	fail(t.Retries > 0, "retries: %d is below 1", t.Retries)

	takes := func(members) bool { return false }
	if p := t.protocol(); p != nil {
		takes = func(m members) bool { return p.takes&m != 0 }
	} else {
		fail(false, "kind: %q is unknown", t.Kind)
	}
	fail(takes(aPath) == strings.HasPrefix(t.Path, "/") && isWord(t.Path), "path: %q; %s need one that begins with / and has no white space, others have none", t.Path, listed(aPath))
	fail(takes(aPage) || len(t.Status) == 0 && t.Contains == "", "status and contains belong to %s", listed(aPage))
	for _, s := range t.Status {
		fail(s >= 100 && s <= 599, "status: %d is not from 100 to 599", s)
	}
	fail(takes(aCall) == (t.Method != ""), "method: %q; %s needs one, others have none", t.Method, listed(aCall))
	fail(takes(aCall) || t.User == "" && t.PasswordSecret == "" && len(t.Expect) == 0, "user, password_secret and expect belong to %s", listed(aCall))
	fail(isLine(t.User) && !strings.Contains(t.User, ":"), "user: %q has a colon or a control character", t.User)
	for path := range t.Expect {
		fail(path != "", "expect: the name of a member is empty")
	}
	return errs
}

// listed names the kinds that have members, for a message.
func listed(m members) string {
	names := kindsWith(m)
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return names[0]
}

// isWord reports whether text may be in a request line.
func isWord(text string) bool { return isLine(text) && !strings.Contains(text, " ") }

// isLine reports whether text has no control characters.
func isLine(text string) bool { return !strings.ContainsFunc(text, unicode.IsControl) }
