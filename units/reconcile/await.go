package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// Await is Run for a caller that needs the outcome of every app. If some are still starting after
// the host's WaitTimeout, it runs further passes over them until they are up or down, or until the
// timeout. It does not hold the lock in between: an app that starts for an hour delays no other
// pass. For apps that the operator named, the outcome of another pass counts, too, such as one of
// healthd that began the start or saw it fail.
func Await(ctx context.Context, desired func() (units.Desired, error), host Host, timeout time.Duration) (Report, error) {
	began := host.Now()
	var want units.Desired
	report, err := Run(ctx, func() (_ units.Desired, err error) {
		want, err = desired()
		return want, err
	}, host)
	report = report.waitedFor(want)
	for err == nil {
		open := starting(report)
		if len(open) == 0 || host.Now().Sub(began) >= timeout {
			report.lastWords(ctx, host, timeout)
			break
		}
		if err = arrival(ctx, open, host, began.Add(timeout)); err != nil {
			break
		}
		var next Report
		next, err = Run(ctx, only(desired, open), host)
		report = report.then(next)
	}
	return report, err
}

// foundOut is the outcome of an awaited app that a pass leaves for a reason.
var foundOut = map[units.Reason]Outcome{
	units.ReasonStarting: Starting, units.ReasonDependencyStarting: Starting, units.ReasonStopping: Starting, units.ReasonJobUnderWay: Starting, units.ReasonNotAnsweringYet: Starting,
	units.ReasonRestartedBySystemd: NotServing, units.ReasonBackingOff: NotServing, units.ReasonGaveUp: NotServing, units.ReasonLimitReached: NotServing,
	units.ReasonRolledBack: RolledBack,
}

// waitedFor sets the outcome of apps that the operator named and that the pass left as they are.
// In a rotation it does so only for what waits for it: other reasons are from before.
func (r Report) waitedFor(want units.Desired) Report {
	r.Results = slices.Clone(r.Results)
	for _, a := range r.Actions {
		app, _ := want.Find(a.App)
		if want.Complete && !app.IsAwaited || app.Rotating && a.Reason != units.ReasonDependencyStarting || a.Kind != units.Leave {
			continue
		}
		i := slices.IndexFunc(r.Results, func(b Result) bool { return b.App == a.App && b.Outcome == Unchanged })
		if outcome, known := foundOut[a.Reason]; known && i >= 0 {
			r.Results[i].Outcome, r.Results[i].Error = outcome, a.Reason.Meaning()
		}
	}
	return r
}

func starting(r Report) []string {
	var ids []string
	for _, a := range r.Results {
		if a.Outcome == Starting {
			ids = append(ids, a.App)
		}
	}
	return ids
}

// only is the desired state of some apps, without their requests, which are carried out already.
func only(desired func() (units.Desired, error), ids []string) func() (units.Desired, error) {
	return func() (units.Desired, error) {
		want, err := desired()
		want.Complete, want.Invalid, want.Ungranted = false, nil, nil
		want.Apps = slices.DeleteFunc(slices.Clone(want.Apps), func(a units.App) bool { return !slices.Contains(ids, a.ID) })
		for i := range want.Apps {
			want.Apps[i].Request = units.Leave
		}
		return want, err
	}
}

// arrival waits until one of the apps is up or down, or until the deadline.
func arrival(ctx context.Context, ids []string, host Host, deadline time.Time) error {
	for {
		if err := pause(ctx); err != nil {
			return err
		}
		found, err := host.Services.Observe(ctx, nil, true)
		if err != nil {
			return err
		}
		onTheWay := map[string]bool{}
		for service, u := range found {
			if u.IsOnItsWay() {
				onTheWay[units.AppOf(service)] = true
			}
		}
		if host.Now().After(deadline) || slices.ContainsFunc(ids, func(id string) bool { return !onTheWay[id] }) {
			return nil
		}
	}
}

// then combines the reports of two passes. The second one covers some of the apps of the first.
func (r Report) then(next Report) Report {
	left := map[string]units.Reason{}
	for _, a := range next.Actions {
		switch {
		case a.Kind == units.Leave:
			left[a.App] = a.Reason
		case a.Changes():
			r.Actions = append(r.Actions, a)
		}
	}
	r.Results = slices.Clone(r.Results)
	for _, a := range next.Results {
		i := slices.IndexFunc(r.Results, func(b Result) bool { return b.App == a.App })
		if i < 0 {
			continue
		}
		switch reason, isLeft := left[a.App]; {
		case a.Outcome != Unchanged:
			r.Results[i] = a
		case isLeft && isOnTheWay[reason]:
		case isLeft && !isUp[reason]:
			r.Results[i].Outcome, r.Results[i].Error = NotServing, "it was started and is not up: "+string(reason)
		default:
			r.Results[i].Outcome, r.Results[i].Error = Done, ""
		}
	}
	return r
}

// isOnTheWay is the reasons of apps that may still come up, isUp those of apps that are up.
var (
	isOnTheWay = map[units.Reason]bool{units.ReasonStarting: true, units.ReasonDependencyStarting: true, units.ReasonStopping: true, units.ReasonJobUnderWay: true, units.ReasonNotAnsweringYet: true}
	isUp       = map[units.Reason]bool{units.ReasonLoading: true, units.ReasonNeedsUser: true}
)

// lastWords adds the last log lines of apps that are not up.
func (r Report) lastWords(ctx context.Context, host Host, timeout time.Duration) {
	for i, a := range r.Results {
		switch {
		case a.Outcome == Starting:
			r.Results[i].Error = fmt.Sprintf("it is not up after %v; it continues to start", timeout)
		case a.Outcome != NotServing || len(a.Log) > 0:
			continue
		}
		r.Results[i].Log = host.Services.Log(ctx, units.ServiceName(a.App), logLines)
	}
}
