package machine

import (
	"cmp"
	"context"
	"sync"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/status"
)

// Health probes services from the host.
type Health struct {
	Prober      *probe.Prober
	Credentials probe.Credentials
}

// Ask probes a running service once, with the probe in its unit file. Without one, it
// returns the health that the unit already has. A pass that asks once counts a service that
// can't be asked as failing.
func (h Health) Ask(ctx context.Context, file units.File, _ units.Part, u units.Unit) (units.Health, string) {
	t, ok := status.TargetsOf(file)[status.Serving]
	if !ok {
		return u.Health, "its check fails in the container"
	}
	o := h.Probe(ctx, t)
	return cmp.Or(status.HealthOf(o), units.Failing), o.Detail
}

// unlessServing is Ask of the services of apps of which it is not known that they serve. A question
// costs the app more than archgen, and of hundreds of apps more than all else that a pass does.
func (h Health) unlessServing(known func(context.Context) map[string]bool) func(context.Context, units.File, units.Part, units.Unit) (units.Health, string) {
	if known == nil {
		return h.Ask
	}
	var once sync.Once
	var serving map[string]bool
	return func(ctx context.Context, file units.File, part units.Part, u units.Unit) (units.Health, string) {
		once.Do(func() { serving = known(ctx) })
		if serving[file.App] {
			return cmp.Or(u.Health, units.Serving), ""
		}
		return h.Ask(ctx, file, part, u)
	}
}

// Probe probes a target once.
func (h Health) Probe(ctx context.Context, t probe.Target) probe.Outcome {
	return h.Prober.Probe(ctx, t, h.Credentials)
}
