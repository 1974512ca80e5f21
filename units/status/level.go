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
	// Serving: it answers as it should.
	Serving Level = "serving"
	// Synced: it has caught up.
	Synced Level = "synced"
)

// Levels is all levels, the lowest first.
var Levels = []Level{Silent, Alive, Loading, NeedsUser, Serving, Synced}

// isBelow reports whether an app serves less far than another. One without a level counts
// as one that serves: nothing says that it does not.
func (l Level) isBelow(other Level) bool {
	rank := func(l Level) int {
		if l == "" {
			return len(Levels)
		}
		return slices.Index(Levels, l)
	}
	return rank(l) < rank(other)
}

// Reached returns the states of an answer with which an app has reached a level that a
// probe asks for: alive, serving or synced. It is nil for any other level. An app that
// waits for a person has done what it can by itself to serve.
func Reached(level Level) []probe.State { return reached[level] }

var reached = map[Level][]probe.State{
	Alive:   {probe.Serving, probe.NeedsUser, probe.Loading},
	Serving: {probe.Serving, probe.NeedsUser},
	Synced:  {probe.Serving},
}

// Answer is what a service answered to its probes.
type Answer struct {
	Health units.Health
	// Level is empty where it could not be asked.
	Level  Level
	Detail string
	// Progress is how far a loading app is, from 0 to 1; -1 where it did not say.
	Progress float64
}

// AnswerOf is what the outcomes of probes amount to: that of the probe for serving and,
// where they were asked, those for alive and for synced.
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

// HealthOf is what one answer says of the health of a service. It is unknown where the
// service could not be asked, which says nothing about it.
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

// levels is what the result of a check that Podman runs amounts to.
var levels = map[units.Health]Level{
	units.Serving: Serving, units.Loading: Loading, units.NeedsUser: NeedsUser, units.Unhealthy: Silent, units.Failing: Silent,
}

// TargetsOf is the probes that a container file carries, by the level that each asks for.
// Without one for serving there is none.
func TargetsOf(file units.File) map[Level]probe.Target {
	mark, _ := units.ReadOwnership(file.Content)
	list := map[Level]probe.Target{}
	for _, level := range []Level{Alive, Serving, Synced} {
		text := mark.Probe(string(level))
		if level == Alive && text == mark.Probe(string(Serving)) {
			continue // its answer is known
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

// StartText is what a service that starts shows of an answer in systemctl status.
func StartText(o probe.Outcome) string {
	if o.State == probe.Loading {
		return string(Loading) + ": " + o.Detail
	}
	return "waiting: " + o.Detail
}

// ofStart reads a StartText.
func ofStart(text string) (level Level, detail string) {
	kind, detail, found := strings.Cut(oneLine(text), ": ")
	if found && kind == string(Loading) {
		return Loading, detail
	}
	return "", detail
}
