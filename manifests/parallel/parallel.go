// Package parallel owns how independent work is spread over the processors.
//
// It never decides what the work is, and results don't depend on the number of processors: a
// caller keeps each result under its number.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Each calls do for every number from 0 to n-1, as many at a time as there are processors, and
// returns when all calls have.
func Each(n int, do func(i int)) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), n) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}
