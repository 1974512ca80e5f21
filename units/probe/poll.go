package probe

import (
	"context"
	"slices"
	"time"
)

// Asker returns a function that probes a target. Each call reads the password of the target again:
// a secret may be rotated during the wait.
func Asker(t Target, credentials Credentials) func(context.Context) Outcome {
	var prober Prober
	return func(ctx context.Context) Outcome { return prober.Probe(ctx, t, credentials) }
}

// Backoff is the pauses between two probes. They are short at first, because most apps serve
// within a second, and grow. The zero value is ready for use.
type Backoff struct{ pause time.Duration }

const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// Next returns the pause until the next probe.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(b.pause*3/2, firstPause), longestPause)
	return b.pause
}

// PollUntil probes until an answer has one of the states, and returns the last answer. It calls
// report with each earlier answer. The error is the cause of the context.
func PollUntil(ctx context.Context, states []State, ask func(context.Context) Outcome, report func(Outcome)) (last Outcome, err error) {
	var backoff Backoff
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-timer.C:
		}
		o := ask(ctx)
		if isOver(ctx) { // the probe was interrupted: its answer says less than the one before
			<-ctx.Done()
			return last, context.Cause(ctx)
		}
		last = o
		if slices.Contains(states, o.State) {
			return last, nil
		}
		report(o)
		timer.Reset(backoff.Next())
	}
}

// isOver reports whether a context has ended, or ends at this moment: a connection with the same
// deadline can time out first.
func isOver(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(deadline)
}
