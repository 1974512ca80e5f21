// Package probe owns the probes from the host: one request over one connection, in this process,
// within a timeout that holds whatever the peer does. It owns what the answers of each protocol
// mean, and the pauses between two probes.
//
// It never runs a program, resolves a name, reads a file or changes anything. Its caller decides
// what to do about an answer.
//
// The few lines of http.go replace net/http: beside TLS, which https needs, net/http adds 1.25 MB
// to the binary, 1.4 MB of memory before the first request, and two goroutines for each kept
// connection.
package probe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// State is the state of an app as its answer shows it.
type State string

// The states. Only Serving is healthy; a restart does not help with Loading and NeedsUser, which
// are no failures.
const (
	// Serving: it answers correctly.
	Serving State = "serving"
	// Loading: it answers that it is not ready yet.
	Loading State = "loading"
	// NeedsUser: it waits for a person.
	NeedsUser State = "needs-user"
	// Unreachable: it did not answer.
	Unreachable State = "unreachable"
	// Wrong: it answers incorrectly.
	Wrong State = "wrong"
)

// Reason is the machine-readable reason for the state of an outcome.
type Reason string

// The reasons, by state.
const (
	OK Reason = "ok"

	// StartingUp: it answers that it is starting or reading its data.
	StartingUp Reason = "starting-up"
	// Indexing: the index of an Electrum server is incomplete.
	Indexing Reason = "indexing"
	// Syncing: it is catching up with the network.
	Syncing Reason = "syncing"
	// RetryLater: 503 with a time for the next attempt.
	RetryLater Reason = "retry-later"

	// WalletLocked: a person has to enter a password.
	WalletLocked Reason = "wallet-locked"
	// NoWallet: a person has to create a wallet.
	NoWallet Reason = "no-wallet"

	// Refused: no program listens on the address.
	Refused Reason = "refused"
	// Closed: the connection was closed or reset before the first byte of an answer; a forwarded
	// port does so if the app does not listen.
	Closed Reason = "closed"
	// NoAnswer: the connection was established, but no byte arrived in time. A busy app looks the
	// same as one that hangs.
	NoAnswer Reason = "no-answer"
	// Timeout: no connection, or only a part of the answer, in time.
	Timeout Reason = "timeout"
	// NoRoute: the address can't be reached.
	NoRoute Reason = "no-route"
	// NotAsked: the probe itself failed, which says nothing about the app.
	NotAsked Reason = "not-asked"

	// BadStatus: an HTTP status that is not accepted.
	BadStatus Reason = "bad-status"
	// BadBody: the text is not in the body.
	BadBody Reason = "bad-body"
	// BadResult: a member of the result differs from the expected value.
	BadResult Reason = "bad-result"
	// BadCredentials: user and password were refused.
	BadCredentials Reason = "bad-credentials"
	// NoCredentials: the secret could not be read, or holds no password.
	NoCredentials Reason = "no-credentials"
	// ServerError: it answered with an error.
	ServerError Reason = "server-error"
	// BadProtocol: the answer is not in the protocol, or is truncated.
	BadProtocol Reason = "bad-protocol"
	// TooLarge: the answer is longer than 64 KiB.
	TooLarge Reason = "too-large"
)

// Outcome is the result of one probe.
type Outcome struct {
	State  State
	Reason Reason
	// Detail is the result for people, in one line without control characters. It contains text of
	// the peer, but no credentials.
	Detail string
	// Progress is the progress of a Loading app, from 0 to 1, or -1 if unknown.
	Progress float64
	// Latency is the time until the answer; for TCP, until the connection was established.
	Latency time.Duration
}

// Credentials returns the content of a secret. It must not block.
type Credentials func(name string) (string, error)

// Prober makes probes. The zero value is ready for use, also by several goroutines.
type Prober struct {
	// Reuse is how long a connection of http, https and jsonrpc is kept for further probes; zero
	// keeps none. A kept connection may still work when new ones fail, so that a dead port is
	// noticed this much later.
	Reuse time.Duration

	mu   sync.Mutex
	idle map[peer]*link
	// swept is when the old ones were closed last.
	swept time.Time
}

// Probe probes a target once. It returns within the target's timeout, reads at most 64 KiB, and
// leaves nothing open except, with Reuse, one connection.
func (p *Prober) Probe(ctx context.Context, t Target, credentials Credentials) Outcome {
	start := time.Now()
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	o := p.ask(ctx, &t, credentials)
	if o.Latency == 0 {
		o.Latency = time.Since(start)
	}
	if o.State == Unreachable && errors.Is(parent.Err(), context.Canceled) {
		return Outcome{State: Unreachable, Reason: NotAsked, Detail: "the probe was canceled", Progress: -1, Latency: o.Latency}
	}
	return o
}

func (p *Prober) ask(ctx context.Context, t *Target, credentials Credentials) Outcome {
	if known := t.protocol(); known != nil {
		return known.ask(p, ctx, t, credentials)
	}
	return outcome(Unreachable, NotAsked, "no probe of kind %q is known", t.Kind)
}

// once makes a probe of an exchange over a connection that is not kept.
func once(talk func(*exchange) (Outcome, error)) func(*Prober, context.Context, *Target, Credentials) Outcome {
	return func(_ *Prober, ctx context.Context, t *Target, _ Credentials) Outcome {
		l, err := open(ctx, t)
		if err != nil {
			return unconnected(t, err)
		}
		x := begin(ctx, l)
		defer x.end()
		o, err := talk(x)
		if err != nil {
			return x.failed(t, err)
		}
		return o
	}
}

func outcome(s State, r Reason, format string, args ...any) Outcome {
	return Outcome{State: s, Reason: r, Detail: fmt.Sprintf(format, args...), Progress: -1}
}

// maxQuote is the maximum length of quoted text of a peer.
const maxQuote = 200

// quote makes text of a peer safe for one line of a terminal or the journal.
func quote[T ~string | ~[]byte](text T) string {
	s := string(text[:min(len(text), 4*maxQuote)])
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxQuote {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuote], "") + "…"
}

// progress finds a percentage in a message such as "Verifying blocks… 43%".
func progress(message string) float64 {
	before, _, found := strings.Cut(message, "%")
	if !found {
		return -1
	}
	before = strings.TrimRight(before, " ")
	digits := before[len(strings.TrimRight(before, "0123456789.")):]
	percent, err := strconv.ParseFloat(strings.TrimLeft(digits, "."), 64) // as in "...43%"
	if err != nil || percent > 100 {
		return -1
	}
	return percent / 100
}
