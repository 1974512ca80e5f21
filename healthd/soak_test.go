package healthd_test

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/healthd"
)

// TestSoak: after 10,000 events, some of them a lost file or a stopped app, healthd holds no more
// memory and no more goroutines than after the first thousand. It is not parallel: it measures
// the process.
func TestSoak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := []string{"web", "lnd", "shop", "page", "files", "notes"}
		w := newWorld(t, ids...)
		happen := func(events int) {
			for n := range events {
				id := ids[n%len(ids)]
				switch {
				case n%100 == 0:
					w.Delete("app@" + id + ".container")
				case n%1000 == 1:
					w.Crash("app@" + id + ".service")
				}
				w.hints <- healthd.Hint{App: id}
				time.Sleep(time.Second)
			}
		}
		var goroutines [2]int
		var heap [2]uint64
		look := func(at int) {
			time.Sleep(time.Hour) // repairs are forgotten
			// What the fake machine records is not healthd's.
			w.Change(func() { w.Effects, w.Generations = nil, slices.Clone(w.Generations[len(w.Generations)-1:]) })
			w.mu.Lock()
			w.entries, w.rests = nil, nil
			w.mu.Unlock()
			synctest.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			goroutines[at], heap[at] = runtime.NumGoroutine(), m.HeapAlloc
		}
		w.run(10*time.Hour, func() {
			happen(1_000)
			look(0)
			happen(9_000)
			look(1)
		})
		if goroutines[1] > goroutines[0] || heap[1] > heap[0]+heap[0]/2 {
			t.Errorf("goroutines %d → %d, heap %d → %d bytes", goroutines[0], goroutines[1], heap[0], heap[1])
		}
		for _, id := range ids {
			if !w.has("app@" + id + ".container") {
				t.Errorf("the file of %s is gone", id)
			}
		}
	})
}
