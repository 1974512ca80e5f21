package generator

import (
	"math"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
)

// doublingDelay is the delay from which the delays between restarts double. Shorter ones grow
// faster.
const doublingDelay = manifests.Duration(5 * time.Second)

// spans is the times within which a crash loop with a short first delay makes no more starts
// than one that doubles from doublingDelay.
var spans = []manifests.Duration{manifests.Duration(10 * time.Minute), manifests.Duration(time.Hour)}

// restartSteps is the number of steps in which the delay between restarts grows to the longest, 0
// if it does not grow. It is as many as the delay doubles, unless that costs too much.
func restartSteps(delay, longest manifests.Duration) int {
	n := doublings(delay, longest)
	for n > 1 && delay < doublingDelay && isCostly(delay, longest, n) {
		n--
	}
	return n
}

// isCostly reports whether a crash loop makes more starts than one that doubles from
// doublingDelay.
func isCostly(delay, longest manifests.Duration, steps int) bool {
	for _, span := range spans {
		if starts(delay, longest, steps, span) > starts(doublingDelay, longest, doublings(doublingDelay, longest), span) {
			return true
		}
	}
	return false
}

// starts is how often a program that exits immediately is started within a time, the first start
// included. systemd multiplies the delay by the same factor in each step (RestartSteps=).
func starts(delay, longest manifests.Duration, steps int, within manifests.Duration) int {
	passed, n := 0.0, 1
	for i := range steps {
		passed += float64(delay) * math.Pow(float64(longest)/float64(delay), float64(i)/float64(steps))
		if passed > float64(within) {
			return n
		}
		n++
	}
	return n + int((float64(within)-passed)/float64(longest))
}

// doublings is how often a delay has to double to reach the longest.
func doublings(d, longest manifests.Duration) int {
	n := 0
	for d > 0 && d < longest {
		d *= 2
		n++
	}
	return n
}
