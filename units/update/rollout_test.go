package update

import (
	"strconv"
	"testing"
	"time"
)

// TestTurn: machines take a release in turns that are spread over the rollout, and keep their turns.
func TestTurn(t *testing.T) {
	t.Parallel()
	const rollout = 100 * time.Hour
	one, two := Origin{Digest: "1"}, Origin{Digest: "2"}
	tenths := map[time.Duration]int{}
	for i := range 1000 {
		machine := strconv.Itoa(i)
		turn := Turn(rollout, machine, "web", one)
		if turn < 0 || turn >= rollout || turn != Turn(rollout, machine, "web", one) {
			t.Fatalf("machine %d has turn %v", i, turn)
		}
		if turn == Turn(rollout, machine, "web", two) || turn == Turn(rollout, machine, "shelf", one) {
			t.Errorf("machine %d has one turn for all", i)
		}
		tenths[turn/(rollout/10)]++
	}
	for i := range time.Duration(10) {
		if n := tenths[i]; n < 60 || n > 140 {
			t.Errorf("%d of 1000 machines are in tenth %d", n, i)
		}
	}
	if turn := Turn(rollout, "", "web", one); turn != 0 {
		t.Errorf("without an id: %v", turn)
	}
}
