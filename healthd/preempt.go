package healthd

import "sync"

// preemption lets a pass that waits to see whether an app serves come to its end when others
// are to be looked at. Of the apps that the pass itself does something to the daemon
// hears as well, often before the pass says so; they are for a later pass.
type preemption struct {
	mu sync.Mutex
	// touched is the apps that the pass does something to, wanted those that were told of.
	touched, wanted   map[string]bool
	isWaiting, isOver bool
	end               chan struct{}
}

func newPreemption() *preemption {
	return &preemption{touched: map[string]bool{}, wanted: map[string]bool{}, end: make(chan struct{})}
}

// touch notes that the pass does something to an app.
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

// request says that an app is to be looked at; "" is all.
func (c *preemption) request(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted[app] = true
	c.check()
}

// awaited is closed when the call is made. With this the pass says that it waits, and
// which app it does something to.
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
