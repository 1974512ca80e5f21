package healthd

import "sync"

// preemption ends a pass that waits for an app to serve if other apps must be checked. The
// daemon also receives hints about the apps that the pass itself changes, often before the
// pass reports the change. Those wait for a later pass.
type preemption struct {
	mu sync.Mutex
	// touched is the apps that the pass changes, wanted those with hints.
	touched, wanted map[string]bool
	// hints has a token for each watched app that may have changed.
	hints             map[string]chan struct{}
	isWaiting, isOver bool
	end               chan struct{}
}

func newPreemption() *preemption {
	return &preemption{touched: map[string]bool{}, wanted: map[string]bool{}, hints: map[string]chan struct{}{}, end: make(chan struct{})}
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
	for watched, hints := range c.hints {
		if app != "" && app != watched {
			continue
		}
		select {
		case hints <- struct{}{}:
		default: // the pass has not taken the last one yet
		}
	}
	c.check()
}

// hinted receives a value when a watched app must be checked.
func (c *preemption) hinted(app string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hints[app] == nil {
		c.hints[app] = make(chan struct{}, 1)
	}
	return c.hints[app]
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
