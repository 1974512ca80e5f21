package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind is the protocol of a probe.
type Kind string

// The kinds of probes from the host.
const (
	HTTP     Kind = "http"
	HTTPS    Kind = "https"
	TCP      Kind = "tcp"
	JSONRPC  Kind = "jsonrpc"
	Electrum Kind = "electrum"
	Postgres Kind = "postgres"
	Redis    Kind = "redis"
	MySQL    Kind = "mysql"
)

// protocol is a kind and how it is probed.
type protocol struct {
	kind Kind
	// takes is the members of a target that only some kinds have.
	takes members
	ask   func(*Prober, context.Context, *Target, Credentials) Outcome
	// shows describes a good answer in a few words. mark marks names.
	shows func(t *Target, mark func(string) string) string
}

// members is groups of optional members of a target.
type members int

const (
	aPath members = 1 << iota // path
	aPage                     // status, contains
	aCall                     // method, user, password_secret, expect
)

// protocols is every kind, in the order of the reference. To add a kind, add an entry here and the
// key of the same name, with its documentation, to Probe of manifests/schema.go.
var protocols = []protocol{
	{HTTP, aPath | aPage, (*Prober).askPage, showPage},
	{HTTPS, aPath | aPage, (*Prober).askPage, showPage},
	{TCP, 0, once(askOpen), show("its port is open")},
	{JSONRPC, aPath | aCall, (*Prober).askRPC, showCall},
	{Electrum, 0, once(askElectrum), showNamed("server.version", " answers")},
	{Postgres, 0, once(askPostgres), show("PostgreSQL accepts a startup message")},
	{Redis, 0, once(askRedis), showNamed("PING", " is answered")},
	{MySQL, 0, once(askMySQL), show("the MySQL server greets")},
}

// Kinds lists the names of all kinds.
func Kinds() []string { return kindsWith(0) }

// kindsWith lists the kinds that have these members.
func kindsWith(m members) (names []string) {
	for _, p := range protocols {
		if p.takes&m == m {
			names = append(names, string(p.kind))
		}
	}
	return names
}

// protocol is the entry of the kind, nil for an unknown one.
func (t *Target) protocol() *protocol {
	i := slices.IndexFunc(protocols, func(p protocol) bool { return p.kind == t.Kind })
	if i < 0 {
		return nil
	}
	return &protocols[i]
}

// New makes a target of a kind with the members that a manifest names. The caller sets the address
// and the times.
func New(kind string, given map[string]any) (Target, error) {
	t := Target{Kind: Kind(kind)}
	if t.protocol() == nil {
		return t, fmt.Errorf("no probe of kind %q is known", kind)
	}
	text, err := json.Marshal(given)
	if err != nil {
		return t, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return t, d.Decode(&t)
}

// Shows describes a good answer of a target in a few words. mark marks names in the text.
func (t *Target) Shows(mark func(name string) string) string { return t.protocol().shows(t, mark) }

func show(s string) func(*Target, func(string) string) string {
	return func(*Target, func(string) string) string { return s }
}

func showNamed(name, rest string) func(*Target, func(string) string) string {
	return func(_ *Target, mark func(string) string) string { return mark(name) + rest }
}

func showPage(t *Target, mark func(string) string) string {
	s := string(t.Kind) + " " + mark(t.Path) + " answers"
	if t.Contains != "" {
		s += " with " + mark(t.Contains)
	}
	if len(t.Status) > 0 {
		s += " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Status), " ", ", "), "[]")
	}
	return s
}

func showCall(t *Target, mark func(string) string) string {
	words := append(make([]string, 0, 2+2*len(t.Expect)), mark(t.Method), "answers")
	for _, k := range slices.Sorted(maps.Keys(t.Expect)) {
		words = append(words, "with", mark(k+": "+t.Expect[k]))
	}
	return strings.Join(words, " ")
}
