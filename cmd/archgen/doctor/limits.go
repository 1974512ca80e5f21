package doctor

import (
	"context"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
)

// Limits is the part of the reader of the machine's limits that checks need.
type Limits interface {
	Read() limits.Have
	// Exists reports whether Podman has a volume or a network of that name.
	Exists(kind, name string) bool
}

// limitChecks is a check for each limit.
func limitChecks() []check {
	list := make([]check, 0, len(limits.All()))
	for _, l := range limits.All() {
		list = append(list, check{name: string(l), about: "the limit of " + string(l), run: func(_ context.Context, e *Env) Result {
			return e.judgeLimit(l)
		}})
	}
	return list
}

// judgeLimit compares what the installed apps need of a limit with what there is.
func (e *Env) judgeLimit(l units.Limit) Result {
	findings, err := e.Findings()
	if err != nil {
		return warn("", "can't be checked without the apps and the manager: %v", err)
	}
	for _, f := range findings {
		switch {
		case f.Limit != l:
		case f.IsShort():
			return problem(f.Fix(), "%v", f)
		default:
			return fine("%v", f)
		}
	}
	return fine("no limit is known")
}

// findings compares the limits with what the apps need when all of them run.
func (e *Env) findings() ([]limits.Finding, error) {
	a, err := e.Apps()
	if err != nil {
		return nil, err
	}
	services, err := e.Services()
	if err != nil {
		return nil, err
	}
	found := make(map[string]units.Unit, len(services))
	for name, s := range services {
		found[name] = s.State
	}
	more := limits.Missing(a.Want.Apps, a.Want.Shared, found, e.Limits.Exists)
	return limits.Compare(e.Limits.Read(), more, e.Scope), nil
}
