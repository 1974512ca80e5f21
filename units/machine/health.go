package machine

import (
	"cmp"
	"context"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/status"
)

// Health asks services from the host's side.
type Health struct {
	Prober      *probe.Prober
	Credentials probe.Credentials
}

// Ask asks a running service once, by the probe that its file carries. Without
// one, what the unit is known to be counts. A pass that asks once takes a service that could
// not be asked for one that does not answer.
func (h Health) Ask(ctx context.Context, file units.File, _ units.Part, u units.Unit) (units.Health, string) {
	t, ok := status.TargetsOf(file)[status.Serving]
	if !ok {
		return u.Health, "its check fails in the container"
	}
	o := h.Probe(ctx, t)
	return cmp.Or(status.HealthOf(o), units.Failing), o.Detail
}

// Probe asks a target once.
func (h Health) Probe(ctx context.Context, t probe.Target) probe.Outcome {
	return h.Prober.Probe(ctx, t, h.Credentials)
}
