package healthd

import "sync"

// preemption ends a pass that waits for an app to serve if other apps must be checked. The
// daemon also receives hints about the apps that the pass itself changes, often before the
// pass reports the change. Those wait for a later pass.
type preemption struct {
	mu sync.Mutex
	// touched is the apps that the pass changes, wanted those with hints.
	touched, wanted   map[string]bool
	isWaiting, isOver bool
	end               chan struct{}
}

func newPreemption() *preemption {
	return &preemption{touched: map[string]bool{}, wanted: map[string]bool{}, end: make(chan struct{})}
}

// touch records that the pass changes an app.
func (c *preemption) touch(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if app != "" {
		c.touched[app] = true
	}
}

func (c *preemption) isTouched(app string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.touched[app]
}

// request records that an app must be checked; "" is all apps.
func (c *preemption) request(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted[app] = true
	c.check()
}

// awaited is closed when the pass is preempted. By calling it the pass reports that it
// waits, and which app it changes.
func (c *preemption) awaited(app string) <-chan struct{} {
	c.touch(app)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isWaiting = true
	c.check()
	return c.end
}

func (c *preemption) check() {
	if !c.isWaiting || c.isOver {
		return
	}
	for app := range c.wanted {
		if !c.touched[app] {
			c.isOver = true
			close(c.end)
			return
		}
	}
}

func (c *preemption) isPreempted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isOver
}
