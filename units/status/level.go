package status

import (
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// Level is how far a running app serves. It is empty where the app is down or has no probe.
type Level string

// The levels, the lowest first.
const (
	// Silent: it runs and does not answer.
	Silent Level = "silent"
	// Alive: it answers at all.
	Alive Level = "alive"
	// Loading: it answers that it is not ready yet.
	Loading Level = "loading"
	// NeedsUser: it waits for a person.
	NeedsUser Level = "needs-user"
	// Serving: it answers correctly.
	Serving Level = "serving"
	// Synced: it has caught up.
	Synced Level = "synced"
)

// Levels is all levels, the lowest first.
var Levels = []Level{Silent, Alive, Loading, NeedsUser, Serving, Synced}

// isBelow reports whether a level is lower than another. No level counts as serving,
// because nothing says otherwise.
func (l Level) isBelow(other Level) bool {
	rank := func(l Level) int {
		if l == "" {
			return len(Levels)
		}
		return slices.Index(Levels, l)
	}
	return rank(l) < rank(other)
}

// Reached returns the states of an answer with which an app has reached the level of a
// probe: alive, serving or synced. It returns nil for any other level. An app that waits
// for a person counts as serving, because it can do no more by itself.
func Reached(level Level) []probe.State { return reached[level] }

var reached = map[Level][]probe.State{
	Alive:   {probe.Serving, probe.NeedsUser, probe.Loading},
	Serving: {probe.Serving, probe.NeedsUser},
	Synced:  {probe.Serving},
}

// Answer is the combined result of a service's probes.
type Answer struct {
	Health units.Health
	// Level is empty if the service could not be probed.
	Level  Level
	Detail string
	// Progress is the progress of a loading app, from 0 to 1, or -1 if unknown.
	Progress float64
}

// Ask probes a service for serving, then for synced if it serves or for alive if it fails. ask
// returns the outcome of the probe for a level, nil if the service has none; it has one for
// serving. serving is the outcome of that.
func Ask(ask func(Level) *probe.Outcome) (a Answer, serving probe.Outcome) {
	serving = *ask(Serving)
	switch HealthOf(serving) {
	case units.Serving:
		return AnswerOf(serving, nil, ask(Synced)), serving
	case units.Failing:
		return AnswerOf(serving, ask(Alive), nil), serving
	case units.HealthUnknown, units.Loading, units.NeedsUser, units.Unhealthy:
	}
	return AnswerOf(serving, nil, nil), serving
}

// AnswerOf combines the outcomes of probes: that for serving and, if they ran, those for
// alive and synced.
func AnswerOf(serving probe.Outcome, alive, synced *probe.Outcome) Answer {
	a := Answer{Health: HealthOf(serving), Detail: serving.Detail, Progress: serving.Progress}
	switch {
	case a.Health == units.HealthUnknown:
	case a.Health == units.Loading:
		a.Level = Loading
	case a.Health == units.NeedsUser:
		a.Level = NeedsUser
	case a.Health == units.Serving:
		a.Level, a.Detail, a.Progress = Serving, "", -1
		switch {
		case synced == nil:
		case slices.Contains(reached[Synced], synced.State):
			a.Level = Synced
		default:
			a.Detail, a.Progress = synced.Detail, synced.Progress
		}
	case alive != nil && slices.Contains(reached[Alive], alive.State):
		a.Level = Alive
	default:
		a.Level = Silent
	}
	return a
}

// HealthOf returns the health that one answer stands for. It is unknown if the service
// could not be probed.
func HealthOf(o probe.Outcome) units.Health {
	if o.Reason == probe.NotAsked || o.Reason == probe.NoCredentials {
		return units.HealthUnknown
	}
	return healths[o.State]
}

var healths = map[probe.State]units.Health{
	probe.Serving: units.Serving, probe.Loading: units.Loading, probe.NeedsUser: units.NeedsUser,
	probe.Unreachable: units.Failing, probe.Wrong: units.Failing,
}

// levels maps the health from Podman's check to a level.
var levels = map[units.Health]Level{
	units.Serving: Serving, units.Loading: Loading, units.NeedsUser: NeedsUser, units.Unhealthy: Silent, units.Failing: Silent,
}

// TargetsOf returns the probes in a container file, by level. Without a probe for serving
// it returns none.
func TargetsOf(file units.File) map[Level]probe.Target {
	mark, _ := units.ReadOwnership(file.Content)
	list := map[Level]probe.Target{}
	for _, level := range []Level{Alive, Serving, Synced} {
		text := mark.Probe(string(level))
		if level == Alive && text == mark.Probe(string(Serving)) {
			continue // its answer is known already
		}
		if t, err := probe.Parse([]byte(text)); err == nil {
			list[level] = t
		}
	}
	if _, ok := list[Serving]; !ok {
		return nil
	}
	return list
}

// StartText is the text that systemctl status shows for an answer while a service starts.
func StartText(o probe.Outcome) string {
	if o.State == probe.Loading {
		return string(Loading) + ": " + o.Detail
	}
	return "waiting: " + o.Detail
}

// ofStart parses a StartText.
func ofStart(text string) (level Level, detail string) {
	kind, detail, found := strings.Cut(oneLine(text), ": ")
	if found && kind == string(Loading) {
		return Loading, detail
	}
	return "", detail
}
