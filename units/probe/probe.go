// Package probe asks an app from the host's side whether it serves: one
// question over one connection, in this process, within a time limit that holds
// whatever the peer does. It owns what the answers of each protocol mean, and the pauses
// between two questions.
//
// It never runs a program, resolves a name, reads a file or changes anything;
// what to do about an answer is for the caller to decide.
//
// HTTP is spoken by the few lines in http.go and not by net/http: beside TLS,
// which https needs, net/http adds 1.25 MB to the binary and 1.4 MB of memory
// before the first request, and two goroutines for each kept connection.
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

// State is how an app stands.
type State string

// The states. Only Serving is good; Loading and NeedsUser are no failures that
// a restart mends.
const (
	// Serving: it answers as it should.
	Serving State = "serving"
	// Loading: it answers that it is not ready yet.
	Loading State = "loading"
	// NeedsUser: it waits for a person.
	NeedsUser State = "needs-user"
	// Unreachable: no answer came.
	Unreachable State = "unreachable"
	// Wrong: it answers, but not as it should.
	Wrong State = "wrong"
)

// Reason says for machines why an outcome has its state.
type Reason string

// The reasons, by state.
const (
	OK Reason = "ok"

	// StartingUp: it said that it starts, or reads its data.
	StartingUp Reason = "starting-up"
	// Indexing: an Electrum server has no complete index yet.
	Indexing Reason = "indexing"
	// Syncing: it catches up with the network.
	Syncing Reason = "syncing"
	// RetryLater: 503 with a time after which to ask again.
	RetryLater Reason = "retry-later"

	// WalletLocked: a password has to be entered.
	WalletLocked Reason = "wallet-locked"
	// NoWallet: a wallet has to be created.
	NoWallet Reason = "no-wallet"

	// Refused: nobody listens.
	Refused Reason = "refused"
	// Closed: the connection was closed or reset before the first byte of an
	// answer; a forwarded port does so for an app that does not listen.
	Closed Reason = "closed"
	// NoAnswer: the connection stands, but not one byte came in time. An app
	// that is busy with itself looks the same as one that hangs.
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
	// BadResult: a member of the result is not as expected.
	BadResult Reason = "bad-result"
	// BadCredentials: user and password were not accepted.
	BadCredentials Reason = "bad-credentials"
	// NoCredentials: the secret could not be read, or holds no password.
	NoCredentials Reason = "no-credentials"
	// ServerError: it answered with an error.
	ServerError Reason = "server-error"
	// BadProtocol: the answer is not in the protocol, or was cut short.
	BadProtocol Reason = "bad-protocol"
	// TooLarge: the answer is longer than 64 KiB.
	TooLarge Reason = "too-large"
)

// Outcome is what one probe found.
type Outcome struct {
	State  State
	Reason Reason
	// Detail says it for people, on one line without control characters. It
	// holds text of the peer, but no credentials.
	Detail string
	// Progress is how far a Loading app is, from 0 to 1; -1 when it did not say.
	Progress float64
	// Latency is the time until the answer, for TCP until the connection stood.
	Latency time.Duration
}

// Credentials returns the content of a secret. It must not block.
type Credentials func(name string) (string, error)

// Prober asks. The zero value is ready for use, also by several goroutines.
type Prober struct {
	// Reuse is how long a connection of http, https and jsonrpc is kept and
	// used again; zero keeps none. An established connection may go on working
	// when new ones no longer get through, so that a dead port is seen this
	// much later.
	Reuse time.Duration

	mu   sync.Mutex
	idle map[peer]*link
}

// Probe asks a target once. It returns within the target's timeout, reads at
// most 64 KiB, and leaves nothing behind but, with Reuse, one connection.
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
		return Outcome{State: Unreachable, Reason: NotAsked, Detail: "the probe was called off", Progress: -1, Latency: o.Latency}
	}
	return o
}

func (p *Prober) ask(ctx context.Context, t *Target, credentials Credentials) Outcome {
	if known := t.protocol(); known != nil {
		return known.ask(p, ctx, t, credentials)
	}
	return outcome(Unreachable, NotAsked, "no probe of kind %q is known", t.Kind)
}

// once asks by a conversation over a connection that is not kept.
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

// maxQuote is the length to which text of a peer is cut.
const maxQuote = 200

// quote makes text of a peer fit for one line of a terminal or a journal.
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
