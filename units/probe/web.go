package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// peer identifies the other end of a kept connection.
type peer struct {
	tls     bool
	address string
}

func (p *Prober) askPage(ctx context.Context, t *Target, _ Credentials) Outcome {
	return p.request(ctx, t, append(p.head("GET", t), "\r\n"...), judgePage)
}

// head is the head of a request, without the empty line that ends it.
func (p *Prober) head(method string, t *Target) []byte {
	b := make([]byte, 0, 512)
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, t.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, t.Address...)
	b = append(b, "\r\nUser-Agent: archipelago\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"...)
	if p.Reuse <= 0 {
		b = append(b, "Connection: close\r\n"...)
	}
	return b
}

// request sends a request and judges the answer. If a kept connection turns out to be closed,
// which says nothing about the app, it uses a new one.
func (p *Prober) request(ctx context.Context, t *Target, request []byte, judge func(*Target, answer) Outcome) Outcome {
	kept := p.take(t)
	for {
		l := kept
		if l == nil {
			var err error
			if l, err = open(ctx, t); err != nil {
				return unconnected(t, err)
			}
		}
		x := begin(ctx, l)
		a, err := x.roundTrip(request)
		if kept != nil && isClosed(err) && !x.answered {
			x.end()
			kept = nil
			continue
		}
		return p.conclude(x, t, a, err, judge)
	}
}

func (x *exchange) roundTrip(request []byte) (answer, error) {
	if err := x.send(request); err != nil {
		return answer{}, err
	}
	a, err := readAnswer(x.in, x.body)
	x.body = a.body
	return a, err
}

func (p *Prober) conclude(x *exchange, t *Target, a answer, err error, judge func(*Target, answer) Outcome) Outcome {
	if err != nil {
		defer x.end()
		return x.failed(t, err)
	}
	o := judge(t, a)
	if p.Reuse > 0 && a.keep && x.in.Buffered() == 0 && x.release() {
		p.keep(t, x.link)
		x.recycle()
	} else {
		x.end()
	}
	return o
}

// take returns the kept connection to a target, if there is one.
func (p *Prober) take(t *Target) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.sweep(now)
	key := peer{t.Kind == HTTPS, t.Address}
	l := p.idle[key]
	delete(p.idle, key)
	if l != nil && p.isOld(l, now) {
		l.close()
		return nil
	}
	return l
}

// keep keeps a connection that can be used for another request.
func (p *Prober) keep(t *Target, l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := peer{t.Kind == HTTPS, t.Address}
	if p.idle[key] != nil || p.isOld(l, time.Now()) {
		l.close()
		return
	}
	if p.idle == nil {
		p.idle = map[peer]*link{}
	}
	p.idle[key] = l
}

func (p *Prober) isOld(l *link, now time.Time) bool { return now.Sub(l.opened) >= p.Reuse }

// sweep closes old connections of targets that are not probed any more. With many targets, a look at all
// connections for each probe costs a tenth of all that healthd does.
func (p *Prober) sweep(now time.Time) {
	if now.Sub(p.swept) < p.Reuse/4 {
		return
	}
	p.swept = now
	for key, l := range p.idle {
		if p.isOld(l, now) {
			l.close()
			delete(p.idle, key)
		}
	}
}

// Close closes the kept connections.
func (p *Prober) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, l := range p.idle {
		l.close()
		delete(p.idle, key)
	}
}

func judgePage(t *Target, a answer) Outcome {
	if !t.accepts(a.status) {
		return badStatus(t, a)
	}
	found := t.Contains != "" && bytes.Contains(a.body, []byte(t.Contains))
	if !found {
		if o, ok := walletState(t, a.body); ok {
			return o
		}
	}
	switch {
	case found || t.Contains == "":
		return outcome(Serving, OK, "%s answered %d", quote(t.Path), a.status)
	case a.more:
		return outcome(Wrong, BadBody, "%s answered %d, but %q is not in its first 64 KiB", quote(t.Path), a.status, quote(t.Contains))
	}
	return outcome(Wrong, BadBody, "%s answered %d, but without %q", quote(t.Path), a.status, quote(t.Contains))
}

func (t *Target) accepts(status int) bool {
	if len(t.Status) > 0 {
		return slices.Contains(t.Status, status)
	}
	return status >= 200 && status < 400
}

func badStatus(t *Target, a answer) Outcome {
	if a.status == 503 && a.retryAfter {
		return outcome(Loading, RetryLater, "%s answered 503: not yet", quote(t.Path))
	}
	o := outcome(Wrong, BadStatus, "%s answered %d", quote(t.Path), a.status)
	if text := quote(a.body); text != "" && !strings.HasPrefix(text, "<") {
		o.Detail += ": " + text
	}
	return o
}

// walletState reads lnd's answer at /v1/state, which is available from the start. It reports false
// if lnd serves in that state.
func walletState(t *Target, body []byte) (Outcome, bool) {
	if path, _, _ := strings.Cut(t.Path, "?"); path != "/v1/state" {
		return Outcome{}, false
	}
	var wallet struct {
		State string `json:"state"`
	}
	if json.Unmarshal(body, &wallet) != nil {
		return Outcome{}, false
	}
	switch wallet.State {
	case "LOCKED":
		return outcome(NeedsUser, WalletLocked, "the wallet is locked: unlock it"), true
	case "NON_EXISTING":
		return outcome(NeedsUser, NoWallet, "there is no wallet yet: create one"), true
	case "WAITING_TO_START", "UNLOCKED":
		return outcome(Loading, StartingUp, "the wallet server is starting (%s)", wallet.State), true
	case "RPC_ACTIVE":
		return outcome(Loading, StartingUp, "the wallet server is starting (%s)", wallet.State), t.Contains != ""
	}
	return Outcome{}, false
}
