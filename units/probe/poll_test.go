package probe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// serves is the states that end the polling of the tests.
var serves = []State{Serving, NeedsUser}

// answers is an app that gives one answer after the other, and repeats the last. It records when
// it was probed.
type answers struct {
	states []State
	asked  []time.Duration
	begin  time.Time
}

func (a *answers) ask(context.Context) Outcome {
	a.asked = append(a.asked, time.Since(a.begin))
	i := min(len(a.asked), len(a.states)) - 1
	return Outcome{State: a.states[i], Detail: fmt.Sprintf("answer %d", len(a.asked))}
}

func TestPollUntil(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		states []State
		asked  int
		err    error
	}{
		"serves at once":        {[]State{Serving}, 1, nil},
		"serves later":          {[]State{Unreachable, Wrong, Loading, Serving}, 4, nil},
		"waits for a person":    {[]State{Loading, NeedsUser}, 2, nil},
		"wrong until the end":   {[]State{Wrong}, 16, context.DeadlineExceeded},
		"loading until the end": {[]State{Loading}, 16, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				a := answers{states: c.states, begin: time.Now()}
				var told []string
				last, err := PollUntil(ctx, serves, a.ask, func(o Outcome) { told = append(told, o.Detail) })
				if !errors.Is(err, c.err) || len(a.asked) != c.asked || last.Detail != fmt.Sprintf("answer %d", c.asked) {
					t.Errorf("asked %d times, last %q, error %v; want %d times, error %v", len(a.asked), last.Detail, err, c.asked, c.err)
				}
				want := c.asked
				if c.err == nil {
					want-- // the last one is not reported
				}
				if len(told) != want {
					t.Errorf("told %q, want %d answers", told, want)
				}
			})
		})
	}
}

// The pauses grow from 50 ms to 1 s.
func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		a := answers{states: []State{Unreachable}, begin: time.Now()}
		_, _ = PollUntil(ctx, serves, a.ask, func(Outcome) {})
		for i, at := range a.asked[1:] {
			pause := at - a.asked[i]
			if want := time.Duration(min(50*math.Pow(1.5, float64(i)), 1000) * 1e6); (pause - want).Abs() > 10*time.Millisecond {
				t.Errorf("pause %d is %v, want about %v", i, pause, want)
			}
		}
		if n := len(a.asked); n < 60 || n > 70 {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

// A probe that the end of the wait interrupts does not hide the previous answer.
func TestPollUntilKeepsTheLastAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := true
		last, err := PollUntil(ctx, serves, func(ctx context.Context) Outcome {
			if first {
				first = false
				return Outcome{State: Loading, Detail: "verifying"}
			}
			<-ctx.Done()
			return Outcome{State: Unreachable, Detail: "canceled"}
		}, func(Outcome) {})
		if err == nil || last.Detail != "verifying" {
			t.Errorf("last answer %q, error %v", last.Detail, err)
		}
	})
}
