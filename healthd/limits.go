package healthd

import (
	"slices"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
)

// limitInterval is how often healthd reads whether a limit has room again that keeps an app
// from starting. systemd retries the start itself, after up to five minutes.
const limitInterval = 10 * time.Second

// limitCache is the limits on which services failed, for passes that run beside the loop.
type limitCache struct {
	mu   sync.Mutex
	list map[string]reachedLimit
}

// reachedLimit is the limit on which one start of a service failed.
type reachedLimit struct {
	invocation string
	limit      units.Limit
}

func newLimitCache() *limitCache { return &limitCache{list: map[string]reachedLimit{}} }

// set records how a start of a service ended; an empty limit means that none was reached.
func (c *limitCache) set(service string, l reachedLimit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.limit == "" {
		delete(c.list, service)
		return
	}
	c.list[service] = l
}

// of is the limit on which the last start of a service failed, as reconcile.Host needs it.
func (c *limitCache) of(service string, u units.Unit) units.Limit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.list[service]; found.invocation == u.Invocation {
		return found.limit
	}
	return ""
}

// all is the limits by service.
func (c *limitCache) all() map[string]units.Limit {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make(map[string]units.Limit, len(c.list))
	for service, l := range c.list {
		list[service] = l.limit
	}
	return list
}

// noteLimits records on which limits services of an app failed, and checks those regularly.
func (d *daemon) noteLimits(a *App) {
	for _, v := range a.scene.Services {
		reached := reachedLimit{invocation: v.Unit.Invocation}
		if slices.Contains(a.Unexplained(), v.Name) {
			reached.limit = limits.Of(d.lines[v.Name].lines, v.Unit.Run.ExitCode)
		}
		d.limits.set(v.Name, reached)
		if reached.limit != "" && !d.checksLimits {
			d.checksLimits = true
			d.limitTimer.Reset(limitInterval)
		}
	}
}

// checkLimits has the apps checked whose limits have room again.
func (d *daemon) checkLimits() {
	reached := d.limits.all()
	if d.checksLimits = len(reached) > 0; !d.checksLimits {
		return
	}
	d.limitTimer.Reset(limitInterval)
	room := d.Host.Room()
	for service, limit := range reached {
		if room[limit] > 0 {
			d.pending.add(Hint{App: units.AppOf(service)})
		}
	}
	d.arm()
}
