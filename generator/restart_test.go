package generator

import (
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
)

// TestRestartSteps: a short first delay costs a crash loop no more starts than the delay of 5 s
// that doubles, in the first ten minutes and in the first hour.
func TestRestartSteps(t *testing.T) {
	for _, tt := range []struct {
		delay, longest time.Duration
		want           int
		// inTenMinutes and inAnHour are the starts of a crash loop.
		inTenMinutes, inAnHour int
	}{
		{100 * time.Millisecond, 5 * time.Minute, 5, 7, 17}, // the default
		{5 * time.Second, 5 * time.Minute, 6, 7, 17},        // the default before, which is the measure
		{10 * time.Second, 5 * time.Minute, 5, 7, 17},
		{30 * time.Second, 5 * time.Minute, 4, 5, 15},
		{time.Second, 5 * time.Minute, 5, 7, 17},
		{time.Second, time.Minute, 3, 13, 63},
		{100 * time.Millisecond, 10 * time.Minute, 6, 7, 12},
		{100 * time.Millisecond, 24 * time.Hour, 11, 8, 10},
		{100 * time.Millisecond, 5 * time.Second, 1, 121, 721},
		{100 * time.Millisecond, time.Second, 1, 601, 3601},
		{time.Second, time.Second, 0, 601, 3601},
		{time.Hour, time.Hour, 0, 1, 2},
	} {
		delay, longest := manifests.Duration(tt.delay), manifests.Duration(tt.longest)
		n := restartSteps(delay, longest)
		short, long := starts(delay, longest, n, spans[0]), starts(delay, longest, n, spans[1])
		if n != tt.want || short != tt.inTenMinutes || long != tt.inAnHour {
			t.Errorf("%v to %v: %d steps, %d and %d starts; want %d, %d and %d",
				tt.delay, tt.longest, n, short, long, tt.want, tt.inTenMinutes, tt.inAnHour)
		}
	}
}

// TestRestartStepsOfEveryPair: no pair of delays costs more than the measure, where growing helps.
func TestRestartStepsOfEveryPair(t *testing.T) {
	for delay := manifests.Duration(100 * time.Millisecond); delay < doublingDelay; delay += manifests.Duration(100 * time.Millisecond) {
		for longest := delay; longest <= manifests.Duration(24*time.Hour); longest = longest*3/2 + 1 {
			n := restartSteps(delay, longest)
			if (n > 0) != (delay < longest) || n > 1 && isCostly(delay, longest, n) {
				t.Errorf("%v to %v: %d steps", delay, longest, n)
			}
		}
	}
}
