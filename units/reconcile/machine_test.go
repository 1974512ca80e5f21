package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// machine is a fake machine whose passes have to do what their previews say.
type machine struct{ *reconciletest.Machine }

func newMachine() *machine { return &machine{reconciletest.New()} }

func app(id, version string, needs ...string) units.App {
	file := units.File{Name: "app@" + id + ".container", App: id, Digest: version, Content: []byte(version)}
	return units.App{
		ID: id, Enabled: true, Needs: needs, ManifestDigest: version, Files: units.Set{file},
		Parts: []units.Part{{Service: "app@" + id + ".service", File: file.Name, Digest: version}},
	}
}

// digestOf is the digest of a file, empty if it is missing.
func (m *machine) digestOf(name string) string {
	f, _ := m.File(name)
	return f.Digest
}

// mainOf is the service of an app with one part.
func (m *machine) mainOf(app string) units.Unit { return m.Unit(units.ServiceName(app)) }

var errNoRoute = errors.New("no route to registry")

// failing has every call with a verb fail.
func failing(verb string, err error) func(string, string) error {
	return func(called, _ string) error {
		if called == verb {
			return err
		}
		return nil
	}
}

// run is a pass over some apps. It must do what its preview says.
func (m *machine) run(t *testing.T, apps ...units.App) reconcile.Report {
	t.Helper()
	want := units.Desired{Apps: apps, Complete: true}
	plan := m.preview(t, want)
	r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, m.Host())
	if err != nil {
		t.Fatal(err)
	}
	if d := deviations(plan, r); len(d) > 0 {
		t.Errorf("the preview and the pass differ:\n%s", strings.Join(d, "\n"))
	}
	return r
}

// preview is the plan of a pass. It leaves no trace on the machine.
func (m *machine) preview(t *testing.T, want units.Desired) units.Plan {
	t.Helper()
	defer func(looks, rewrites int) { m.Looks, m.Rewrites = looks, rewrites }(m.Looks, m.Rewrites)
	plan, err := reconcile.Preview(t.Context(), want, m.Host())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// followsStop reports whether an action only ends what the plan stops: a service that failed when it
// was stopped, or that another one has started again.
func followsStop(a units.Action, plan units.Plan) bool {
	isPlanned := slices.ContainsFunc(plan.Stops, func(s units.Action) bool { return s.App == a.App && s.Target == a.Target && s.Reason == a.Reason })
	return isPlanned && (a.Kind == units.ResetFailed || a.Kind == units.Stop)
}

// deviations is the actions that only the pass or only its preview has. How an app fares is not
// known in advance, so what follows from that, or is not done because of it, is no deviation.
func deviations(plan units.Plan, r reconcile.Report) (list []string) {
	isBad := map[string]bool{}
	for _, a := range r.Results {
		isBad[a.App] = a.Outcome != reconcile.Done && a.Outcome != reconcile.Unchanged
	}
	planned := plan.Actions()
	for _, a := range r.Actions {
		if i := slices.Index(planned, a); i >= 0 {
			planned = slices.Delete(planned, i, i+1)
		} else if a.Reason == units.ReasonNeedRolledBack {
			continue // it follows from the outcome of another app
		} else if a.App != "" && !isBad[a.App] && !followsStop(a, plan) {
			list = append(list, fmt.Sprintf("done but not planned: %+v", a))
		}
	}
	for _, a := range planned {
		if a.App != "" && !isBad[a.App] {
			list = append(list, fmt.Sprintf("planned but not done: %+v", a))
		}
	}
	return list
}

func results(r reconcile.Report) []string {
	list := make([]string, 0, len(r.Results))
	for _, a := range r.Results {
		text := a.App + " " + string(a.Outcome)
		if a.Error != "" {
			text += ": " + a.Text()
		}
		list = append(list, text)
	}
	return list
}

func equal(t *testing.T, what string, want, got []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: -want +got:\n%s", what, d)
	}
}

func reasons(r reconcile.Report) []string {
	list := make([]string, 0, len(r.Actions))
	for _, a := range r.Actions {
		list = append(list, string(a.Reason))
	}
	return list
}

// all is the desired state of a machine with some apps, and some that of a pass over some of its apps.
func all(apps ...units.App) func() (units.Desired, error) {
	return func() (units.Desired, error) { return units.Desired{Apps: apps, Complete: true}, nil }
}

func some(apps ...units.App) func() (units.Desired, error) {
	return func() (units.Desired, error) { return units.Desired{Apps: apps}, nil }
}
