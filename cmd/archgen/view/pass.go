package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// moment is the shortest time that is worth a line.
const moment = 100 * time.Millisecond

// Step prints an action of a pass as it happens. Files are written together, and printed
// after that.
func Step(w io.Writer, e reconcile.Event) {
	step := string(e.Kind) + ui.Prefix(" ", e.Target)
	isFile := e.Kind == units.Write || e.Kind == units.Remove || e.Kind == units.Reload
	switch {
	case e.Watched >= moment:
		fmt.Fprintf(w, "%s serves; watched for another %v\n", e.App, e.Watched.Round(moment))
	case e.Watched > 0:
	case isFile && e.Ended && e.Err == nil:
		fmt.Fprintf(w, "%s (%s)\n", step, e.Reason)
	case isFile:
	case !e.Ended:
		fmt.Fprintf(w, "%s (%s) …\n", step, e.Reason)
	case e.Err != nil:
		fmt.Fprintf(w, "%s failed\n", step)
	}
}

// Limit prints the warning that a limit of the machine is too low, with the commands that raise it.
func Limit(w io.Writer, f limits.Finding) {
	fmt.Fprintf(w, "warning: %v\n", f)
	for line := range strings.Lines(f.Fix()) {
		fmt.Fprintf(w, "    %s\n", strings.TrimSuffix(line, "\n"))
	}
}

// Report prints the report of a pass, or idle if the pass did nothing.
func Report(w io.Writer, r reconcile.Report, idle string) {
	explained := map[string]bool{} // by its result
	for _, a := range r.Results {
		explained[a.App] = a.Error != ""
	}
	for _, a := range r.Actions {
		if a.Kind == units.Leave && !explained[a.App] {
			fmt.Fprintf(w, "%s: left as it is (%s)\n", strings.TrimSpace(a.App+ui.Prefix(" ", a.Target)), a.Reason)
		}
	}
	isTold := func(a reconcile.Result) bool { return a.Outcome != reconcile.Unchanged }
	for _, a := range r.Results {
		if !isTold(a) {
			continue
		}
		fmt.Fprintf(w, "%s: %s%s\n", a.App, a.Outcome, ui.Prefix(": ", ui.Printable(a.Text())))
		for _, line := range slices.Concat(a.Notes, a.Log) {
			fmt.Fprintf(w, "    %s\n", ui.Printable(line))
		}
	}
	if !r.Changed() && !slices.ContainsFunc(r.Results, isTold) {
		fmt.Fprintln(w, idle)
	}
}

// Plan prints the actions of a plan, and as Report does the apps that it refuses.
func Plan(w io.Writer, plan units.Plan) {
	for _, a := range plan.Actions() {
		fmt.Fprintf(w, "%s%s (%s)\n", a.Kind, ui.Prefix(" ", cmp.Or(a.Target, a.App)), a.Reason)
	}
	for _, r := range reconcile.RefusedBy(plan) {
		fmt.Fprintf(w, "%s: %s: %s\n", r.App, r.Outcome, ui.Printable(r.Error))
	}
	if plan.Idle() && len(plan.Refused) == 0 {
		fmt.Fprintln(w, "nothing to do")
	}
}
