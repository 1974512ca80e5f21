package machine

import (
	"context"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// Health asks services from the host's side.
type Health struct {
	Prober      *probe.Prober
	Credentials probe.Credentials
}

// meanings is what a probe's answer means for a service.
var meanings = map[probe.State]units.Health{
	probe.Serving: units.Serving, probe.Loading: units.Loading, probe.NeedsUser: units.NeedsUser,
	probe.Unreachable: units.Failing, probe.Wrong: units.Failing,
}

// Ask asks a running service once, by the probe that its file carries. Without
// one, what the unit is known to be counts.
func (h Health) Ask(ctx context.Context, file units.File, _ units.Part, u units.Unit) (units.Health, string) {
	o, ok := h.Outcome(ctx, file)
	if !ok {
		return u.Health, "its check fails in the container"
	}
	return Meaning(o), o.Detail
}

// Meaning is what an answer means for a service.
func Meaning(o probe.Outcome) units.Health { return meanings[o.State] }

// Outcome asks by the probe that a file carries, and reports false without one.
func (h Health) Outcome(ctx context.Context, file units.File) (probe.Outcome, bool) {
	return h.Level(ctx, file, "serving")
}

// Level asks by the probe that a file carries for a level: alive, serving or
// synced. It reports false without one.
func (h Health) Level(ctx context.Context, file units.File, level string) (probe.Outcome, bool) {
	mark, _ := units.ReadOwnership(file.Content)
	text := mark.Probe(level)
	if text == "" {
		return probe.Outcome{}, false
	}
	target, err := probe.Parse([]byte(text))
	if err != nil {
		return probe.Outcome{State: probe.Wrong, Reason: probe.NotAsked, Detail: err.Error()}, true
	}
	return h.Prober.Probe(ctx, target, h.Credentials), true
}
