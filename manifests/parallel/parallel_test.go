package parallel_test

import (
	"testing"

	"github.com/archipelago-os/archipelago/manifests/parallel"
)

func TestEach(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 1000} {
		calls := make([]int, n)
		parallel.Each(n, func(i int) { calls[i]++ })
		for i, c := range calls {
			if c != 1 {
				t.Errorf("%d of %d: called %d times", i, n, c)
			}
		}
	}
}
