package reconcile

import (
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// Outcome is what became of one app in a pass.
type Outcome string

// The outcomes.
const (
	// Unchanged: there was nothing to do.
	Unchanged Outcome = "unchanged"
	// Done: what was done was verified.
	Done Outcome = "done"
	// NotServing: it was started and does not serve.
	NotServing Outcome = "not-serving"
	// Starting: it is not up yet, for longer than a pass waits. A later pass finds
	// out whether it serves.
	Starting Outcome = "starting"
	// RolledBack: it did not serve after a change, and has its last good files back.
	RolledBack Outcome = "rolled-back"
	// Failed: something could not be done.
	Failed Outcome = "failed"
)

// Result is what became of one app, and why.
type Result struct {
	App     string  `json:"app"`
	Outcome Outcome `json:"outcome"`
	// Error says what went wrong, in one sentence.
	Error string `json:"error,omitempty"`
	// Notes is what a person should know besides.
	Notes []string `json:"notes,omitempty"`
	// Log is the last lines that the app or Podman's generator wrote about it.
	Log []string `json:"log,omitempty"`
}

// Report is what a pass did.
type Report struct {
	// Actions is everything that was done or knowingly left, in order.
	Actions []units.Action `json:"actions"`
	// Results has one entry for each app of the pass, by id.
	Results []Result `json:"results"`
	// Apps is what the pass took the apps to be: those whose manifests were rolled back
	// with the files that count.
	Apps []units.App `json:"-"`
	// Units is how the services were when the pass decided what to do.
	Units map[string]units.Unit `json:"-"`
	// Due is when the first repair may be made that was put off, the zero time
	// where none was.
	Due time.Time `json:"-"`
}

// Changed reports whether the pass changed anything.
func (r Report) Changed() bool {
	return slices.ContainsFunc(r.Actions, units.Action.Changes)
}

// Has reports whether the pass came to that for an app.
func (r Report) Has(o Outcome) bool {
	return slices.ContainsFunc(r.Results, func(a Result) bool { return a.Outcome == o })
}

// Count returns how many apps failed in some way, and how many did not.
func (r Report) Count() (failed, well int) {
	for _, a := range r.Results {
		switch a.Outcome {
		case Unchanged, Done:
			well++
		case NotServing, Starting, RolledBack, Failed:
			failed++
		}
	}
	return failed, well
}

// Of is the report with the results of some apps.
func (r Report) Of(ids []string) Report {
	r.Results = slices.DeleteFunc(slices.Clone(r.Results), func(a Result) bool { return !slices.Contains(ids, a.App) })
	return r
}
