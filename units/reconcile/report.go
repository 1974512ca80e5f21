package reconcile

import (
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// Outcome is the result of a pass for one app.
type Outcome string

// The outcomes.
const (
	// Unchanged: there was nothing to do.
	Unchanged Outcome = "unchanged"
	// Done: the app was changed and verified.
	Done Outcome = "done"
	// Watched: the app was changed and serves. A later pass verifies that it stays up.
	Watched Outcome = "watched"
	// NotServing: the app was started and does not serve.
	NotServing Outcome = "not-serving"
	// Starting: the app is not up yet, for longer than a pass waits. A later pass verifies it.
	Starting Outcome = "starting"
	// RolledBack: the app did not serve after a change and returned to its previous files.
	RolledBack Outcome = "rolled-back"
	// Failed: an action failed.
	Failed Outcome = "failed"
)

// Result is the outcome of one app, and why.
type Result struct {
	App     string  `json:"app"`
	Outcome Outcome `json:"outcome"`
	// Error says in one sentence what went wrong.
	Error string `json:"error,omitempty"`
	// NotRestored is why the app does not return to its previous files, if it has any that differ.
	NotRestored string `json:"not_restored,omitempty"`
	// Notes is further information for the operator.
	Notes []string `json:"notes,omitempty"`
	// Log is the last lines of the app's log, or of Podman's generator about it.
	Log []string `json:"log,omitempty"`
}

// RefusedBy is the results of the apps that a plan refuses, as a pass would report them.
func RefusedBy(plan units.Plan) []Result {
	list := make([]Result, 0, len(plan.Refused))
	for _, r := range plan.Refused {
		list = append(list, Result{App: r.App, Outcome: Failed, Error: r.Err.Error()})
	}
	return list
}

// Text is all that went wrong.
func (r Result) Text() string {
	if r.NotRestored == "" {
		return r.Error
	}
	return r.Error + "; its previous files are not restored: " + r.NotRestored
}

// Report is what a pass did.
type Report struct {
	// Actions is every action that was carried out or left, in order.
	Actions []units.Action `json:"actions"`
	// Results has one entry for each app of the pass, by id.
	Results []Result `json:"results"`
	// Apps is the apps as the pass used them: those that were rolled back with their last-good
	// files.
	Apps []units.App `json:"-"`
	// Units is the services as they were when the pass decided.
	Units map[string]units.Unit `json:"-"`
	// Undone is the planned actions for apps some of whose files could not be changed.
	Undone []units.Action `json:"-"`
	// Ours is the unit files of archgen as they were when the pass decided.
	Ours units.Set `json:"-"`
	// Due is when the first delayed repair may be made, the zero time if there is none.
	Due time.Time `json:"-"`
}

// Changed reports whether the pass changed anything.
func (r Report) Changed() bool {
	return slices.ContainsFunc(r.Actions, units.Action.Changes)
}

// Has reports whether an app has this outcome.
func (r Report) Has(o Outcome) bool {
	return slices.ContainsFunc(r.Results, func(a Result) bool { return a.Outcome == o })
}

// Count returns how many apps failed in any way, and how many did not.
func (r Report) Count() (failed, well int) {
	for _, a := range r.Results {
		switch a.Outcome {
		case Unchanged, Done, Watched:
			well++
		case NotServing, Starting, RolledBack, Failed:
			failed++
		}
	}
	return failed, well
}

// Of returns the report with only the results of some apps.
func (r Report) Of(ids []string) Report {
	r.Results = slices.DeleteFunc(slices.Clone(r.Results), func(a Result) bool { return !slices.Contains(ids, a.App) })
	return r
}
