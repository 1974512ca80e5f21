// Package trial owns the watch over releases that are on trial after an update: what ends a trial, and
// for a daemon, when to have systemd end it.
//
// It changes no app and no record: cmd/archgen/updates/updater does.
package trial

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/update"
)

// Verdict is how a trial stands.
type Verdict struct {
	Kind Kind
	// Why explains Failed and Superseded. Service is the one that failed.
	Why, Service string
}

// Kind is the kind of a verdict.
type Kind int

// The kinds of verdicts.
const (
	// Pending: nothing has failed so far.
	Pending Kind = iota
	// Passed: the time is over, and nothing has failed.
	Passed
	// Failed: the app, or another one that was up before the update, ended or did not answer.
	Failed
	// Superseded: an operator has decided about the app.
	Superseded
)

// Seen is the machine at one time.
type Seen struct {
	Now time.Time
	// Boot identifies the boot.
	Boot    string
	Units   map[string]units.Unit
	History units.History
	// OnTrial is the apps that are on trial. A failure of one of them is that of its own release.
	OnTrial map[string]bool
	// IsShaken: an app that the app needs is not up, or came up during the trial.
	IsShaken bool
}

// tolerated is how many automatic restarts say nothing of a release if they may have another cause: the
// service is of another app, the machine has booted, or an app that the app needs was down.
const tolerated = 2

// Judge says how a trial stands. It ignores services that were not observed.
func Judge(j *update.Journal, seen Seen) Verdict {
	for _, own := range []bool{true, false} {
		for _, service := range slices.Sorted(maps.Keys(j.Trial.Restarts)) {
			u, isSeen := seen.Units[service]
			app := units.AppOf(service)
			if !isSeen || (app == j.App) != own || !own && seen.OnTrial[app] {
				continue
			}
			if v := judge(j, seen, service, u); v.Kind != Pending {
				return v
			}
		}
	}
	if !seen.Now.Before(j.Trial.Until) {
		return Verdict{Kind: Passed}
	}
	return Verdict{}
}

// judge is the verdict of one service.
func judge(j *update.Journal, seen Seen, service string, u units.Unit) Verdict {
	app := units.AppOf(service)
	isOwn := app == j.App
	allowed := j.Trial.Restarts[service]
	if !isOwn || seen.IsShaken {
		allowed += tolerated
	}
	if seen.Boot != j.Trial.Boot {
		allowed = tolerated
	}
	repairs := seen.History[app]
	switch {
	case u.Active == units.Failed && !u.Stopped && u.Limit == "":
		return Verdict{Failed, service + " failed", service}
	case u.Restarts > allowed, u.Restarting && u.Restarts >= allowed:
		return Verdict{Failed, fmt.Sprintf("%s ended by itself %v after it served", service, seen.Now.Sub(j.Trial.Since).Round(time.Second)), service}
	case repairs.Last.After(j.Trial.Since) && isFailure[repairs.Why]:
		return Verdict{Failed, fmt.Sprintf("%s was repaired: %s", app, repairs.Why.Meaning()), units.ServiceName(app)}
	case isOwn && u.IsAtRest() && !u.IsOnItsWay():
		return Verdict{Kind: Superseded, Why: "it was stopped in its trial"}
	}
	return Verdict{}
}

// isFailure is the reasons for repairs that a release is blamed for.
var isFailure = map[units.Reason]bool{units.ReasonNotServing: true, units.ReasonFailed: true}
