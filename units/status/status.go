// Package status owns how what was seen of an app becomes one status: its services, the
// answers to their probes, what a pass would do, the history of repairs and the error of
// the manifest. archgen status, D-Bus, Prometheus and archgen wait have it from here.
//
// It never asks systemd or an app, never reads a file, and never decides what is done.
package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/archipelago-os/archipelago/units"
)

// Scene is what was seen of an app at one moment.
type Scene struct {
	ID    string
	Scope units.Scope
	// Services is those of the app, main first.
	Services []Service
	// Actions is what a pass would do for the app, or leaves, and why.
	Actions []units.Action
	// Pull is the state of the unit that gets what the app lacks.
	Pull units.ActiveState
	// Refused is why an app has a manifest and may not be changed.
	Refused units.Reason
	// RolledBack: its manifest was tried and did not serve. Removed: it has none any more.
	RolledBack, Removed bool
	// Record is what was done to repair it.
	Record units.Record
	// Diagnostic is the first error of its manifest.
	Diagnostic string
	// WaitsFor is the apps that it requires, UsedBy those that require it.
	WaitsFor, UsedBy []string
	// Lines is the last lines that units wrote, of those that Unexplained lists.
	Lines map[string][]string
}

// Service is what was seen of one service.
type Service struct {
	Name string
	Unit units.Unit
	// File is its container file, empty where there is none.
	File units.File
	// Answer is empty where it was not asked.
	Answer Answer
}

// Look is one look at the machine.
type Look struct {
	Want units.Desired
	// Units is what systemd says of each service.
	Units map[string]units.Unit
	// Actions is what a pass would do, or leaves, and why.
	Actions []units.Action
	History units.History
}

// Scenes is the scenes of apps, by id, without what their services and texts are.
func (l Look) Scenes(ids []string) map[string]Scene {
	refused, apps, usedBy, actions := l.Want.Refused(), map[string]units.App{}, map[string][]string{}, map[string][]units.Action{}
	for _, app := range l.Want.Apps {
		apps[app.ID] = app
		for _, id := range app.Needs {
			if !slices.Contains(usedBy[id], app.ID) {
				usedBy[id] = append(usedBy[id], app.ID)
			}
		}
	}
	for _, a := range l.Actions {
		actions[a.App] = append(actions[a.App], a)
	}
	list := make(map[string]Scene, len(ids))
	for _, id := range ids {
		app, isWanted := apps[id]
		list[id] = Scene{
			ID: id, Scope: l.Want.Scope, Actions: actions[id], Pull: l.Units[units.PullOf(id)].Active,
			Refused: refused[id], Removed: l.Want.Complete && !isWanted && refused[id] == "",
			RolledBack: isWanted && l.History.RolledBack(app), Record: l.History[id],
			WaitsFor: slices.Compact(slices.Sorted(slices.Values(app.Needs))), UsedBy: slices.Sorted(slices.Values(usedBy[id])),
		}
	}
	return list
}

// Services is the services of each app, the main one first: those of apps, those that files
// are for, and those of which systemd knows more than the name.
func Services(apps []units.App, files units.Set, found map[string]units.Unit) map[string][]string {
	list := map[string][]string{}
	add := func(id, service string) {
		if id != "" && service != "" && !slices.Contains(list[id], service) {
			list[id] = append(list[id], service)
		}
	}
	for _, app := range apps {
		for _, p := range app.Parts {
			add(app.ID, p.Service)
		}
	}
	for _, f := range files {
		add(f.App, units.ServiceOf(f.Name))
	}
	for _, service := range slices.Sorted(maps.Keys(found)) {
		if u := found[service]; u.Loaded || u.Active != units.Inactive {
			add(units.AppOf(service), service)
		}
	}
	for _, services := range list {
		slices.SortStableFunc(services, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	}
	return list
}

// App is how an app is. The names of the fields are a contract.
type App struct {
	ID string `json:"id"`
	Condition
	// WaitsFor is the ids of the apps that have to serve before it starts, UsedBy those of
	// the apps that wait for it.
	WaitsFor []string `json:"waits_for"`
	UsedBy   []string `json:"used_by"`
	// NextRepairAt is when the next repair may be made, null where none is put off.
	NextRepairAt *time.Time `json:"next_repair_at"`
	Parts        []Part     `json:"parts"`
}

// Part is how one service of an app is.
type Part struct {
	// Name is that of the container: ID, or ID.PART.
	Name    string `json:"name"`
	Service string `json:"service"`
	Condition
}

// Condition is what apps and their parts have in common.
type Condition struct {
	State units.Phase `json:"state"`
	// Reason is empty where there is nothing to say. Meaning explains it, and Mend is the
	// command that fixes it, empty where none does.
	Reason  units.Reason `json:"reason"`
	Meaning string       `json:"meaning"`
	Mend    string       `json:"mend"`
	Health  units.Health `json:"health"`
	// Level is how far it serves, empty where it is down or has no probe.
	Level Level `json:"level"`
	// Progress is how far a loading app is, from 0 to 1, null where it does not say.
	Progress *float64 `json:"progress"`
	// Detail says more about the level or the reason, Error what went wrong, and Log is the
	// last lines that a failed app wrote.
	Detail string   `json:"detail"`
	Error  string   `json:"error"`
	Log    []string `json:"log"`
	// ExitCode is how it ended, 128 and the signal where it was killed.
	ExitCode *int `json:"exit_code"`
	// Since is when it came to be in its state, null where it never was started. StartedAt
	// is null where it does not run.
	Since     *time.Time `json:"since"`
	StartedAt *time.Time `json:"started_at"`
	// Restarts is systemd's NRestarts, of all parts together.
	Restarts uint32 `json:"restarts"`
	Image    string `json:"image"`
	// Digest is that of the unit file from which the container runs.
	Digest string `json:"digest"`
	// Created is when the container was made.
	Created *time.Time   `json:"created"`
	Ports   []units.Port `json:"ports"`
}

// Of is the status of an app.
func Of(s Scene) App {
	a := App{ID: s.ID, WaitsFor: notNil(s.WaitsFor), UsedBy: notNil(s.UsedBy), Parts: []Part{}}
	for _, v := range s.Services {
		a.Parts = append(a.Parts, s.part(v))
	}
	a.sum()
	if len(a.Parts) == 0 {
		a.explain(s, Service{Name: units.ServiceName(s.ID)})
	}
	switch {
	case s.Diagnostic != "":
		a.Error = s.Diagnostic
	case a.Reason == units.ReasonPullFailed:
		a.Error = lastLine(s.Lines[units.PullOf(s.ID)])
	}
	if a.Reason == units.ReasonBackingOff || a.Reason == units.ReasonGaveUp {
		a.NextRepairAt = moment(s.Record.Next())
	}
	return a
}

// sum makes of the parts what the app is: the worst of them speaks for it, the main one
// where others are no worse.
func (a *App) sum() {
	a.Condition = Condition{State: units.PhaseStopped, Log: []string{}, Ports: []units.Port{}}
	if len(a.Parts) == 0 {
		return
	}
	main, worst := a.Parts[0], a.Parts[0]
	for _, p := range a.Parts[1:] {
		if p.isWorse(worst.Condition) {
			worst = p
		}
	}
	a.Condition = worst.Condition
	a.Image, a.Digest, a.Created, a.StartedAt = main.Image, main.Digest, main.Created, main.StartedAt
	a.Error, a.Log, a.Restarts, a.Ports = "", []string{}, 0, []units.Port{}
	for _, p := range a.Parts {
		a.Restarts += p.Restarts
		a.Ports = append(a.Ports, p.Ports...)
		if p.Error != "" && a.Error == "" {
			a.Error, a.Log = a.prefix(p)+p.Error, p.Log
		}
	}
	if prefix := a.prefix(worst); prefix != "" && !worst.IsRight() {
		a.Detail = prefix + cmp.Or(worst.Detail, worst.StateText())
	}
}

// prefix names a part that is not the main one.
func (a *App) prefix(p Part) string {
	if p.Name == a.ID {
		return ""
	}
	return strings.TrimPrefix(p.Name, a.ID+".") + ": "
}

// isWorse reports whether a part is in a worse way than another: by its state, and where
// that is as bad, by how far it serves.
func (c Condition) isWorse(than Condition) bool {
	if c.State.IsWorse(than.State) || than.State.IsWorse(c.State) {
		return c.State.IsWorse(than.State)
	}
	return c.Level.isBelow(than.Level)
}

// part is how a service is.
func (s Scene) part(v Service) Part {
	u := v.Unit
	p := Part{Name: units.ContainerOf(v.Name), Service: v.Name, Condition: Condition{
		State: u.Phase(), Since: moment(u.Run.Since), Restarts: u.Run.Restarts, Created: moment(u.Run.Created), Digest: u.Digest,
		Image: v.File.Image(), Ports: v.File.Ports(), Log: []string{},
	}}
	switch p.State {
	case units.PhaseRunning:
		p.StartedAt = p.Since
		p.serve(v)
	case units.PhasePaused, units.PhaseDone:
		p.StartedAt = p.Since
	case units.PhaseStarting:
		p.Level, p.Detail = ofStart(u.Run.StatusText)
	case units.PhaseFailed, units.PhaseRestarting:
		p.Detail, p.Log = endings[u.Run.Result], notNil(s.Lines[v.Name])
		p.Error = lastLine(p.Log)
		p.end(u.Run)
	case units.PhaseStopped:
		p.end(u.Run)
	case units.PhaseStopping:
	}
	p.explain(s, v)
	if p.State == units.PhaseRunning && !p.IsRight() {
		p.Error = p.Detail
	}
	return p
}

// serve fills in how far a running service serves.
func (c *Condition) serve(v Service) {
	c.Health = cmp.Or(v.Answer.Health, v.Unit.Health)
	c.Level, c.Detail = cmp.Or(v.Answer.Level, levels[v.Unit.Health]), v.Answer.Detail
	if v.Answer.Level != "" && v.Answer.Progress > 0 {
		c.Progress = &v.Answer.Progress
	}
	if v.Unit.Health == units.Unhealthy {
		c.Detail = cmp.Or(oneLine(v.Unit.Run.CheckOutput), c.Detail)
	}
}

func (c *Condition) end(r units.Run) {
	if r.HasExitCode {
		c.ExitCode = &r.ExitCode
	}
}

// endings says how a service came to its end where its exit code does not.
var endings = map[string]string{
	"timeout":         "it took longer than its start or stop timeout",
	"oom-kill":        "the kernel killed it: out of memory",
	"start-limit-hit": "it was started too often in too short a time",
	"resources":       "systemd could not set up its start",
}

// explain fills in the reason, and what it means.
func (c *Condition) explain(s Scene, v Service) {
	c.Reason = s.reason(v, c.Health)
	c.Meaning, c.Mend = c.Reason.Meaning(), c.Reason.Mend(s.ID, s.Scope)
	switch c.Reason {
	case units.ReasonBackingOff, units.ReasonGaveUp:
		c.Detail = repairs(s.Record)
	case units.ReasonMasked:
		c.Mend = s.Scope.Systemctl("unmask " + v.Name)
	case units.ReasonRolledBack:
		c.Detail = cmp.Or(c.Detail, "it did not serve with its newest manifest; "+c.Mend+" tries that again")
	default: // says enough
	}
}

// repairs says what was done about an app so far.
func repairs(r units.Record) string {
	noun, why := "repairs", ""
	if r.Tries == 1 {
		noun = "repair"
	}
	if r.Why != "" {
		why = " (" + string(r.Why) + ")"
	}
	return fmt.Sprintf("%d %s%s did not help", r.Tries, noun, why)
}

// IsRight reports whether an app needs nobody's attention: all its parts run and answer, or
// there is a reason why they should not.
func (a App) IsRight() bool {
	return len(a.Parts) > 0 && !slices.ContainsFunc(a.Parts, func(p Part) bool { return !p.IsRight() })
}

// IsRight is that of one part.
func (c Condition) IsRight() bool {
	switch c.State {
	case units.PhaseRunning:
		return c.Health != units.Unhealthy && c.Health != units.Failing
	case units.PhaseDone, units.PhaseStarting, units.PhaseStopping:
		return true
	case units.PhaseStopped:
		return slices.Contains([]units.Reason{
			units.ReasonStoppedByOperator, units.ReasonDisabled, units.ReasonMasked, units.ReasonMainStopped, units.ReasonRemoved, units.ReasonInvalidManifest, units.ReasonNotGranted,
		}, c.Reason)
	case units.PhaseFailed, units.PhaseRestarting, units.PhasePaused:
	}
	return c.Reason == units.ReasonRemoved || c.Reason == units.ReasonDisabled
}

// plain is the reasons that say no more than the state.
var plain = []units.Reason{
	units.ReasonRestartedBySystemd, units.ReasonFailed, units.ReasonPaused, units.ReasonStarting, units.ReasonStopping,
}

// StateText is the state with the reason.
func (c Condition) StateText() string {
	switch {
	case c.Reason == "", slices.Contains(plain, c.Reason):
		return string(c.State)
	case c.Reason == units.ReasonStoppedByOperator:
		return string(c.Reason)
	}
	return string(c.State) + " (" + string(c.Reason) + ")"
}

// Unexplained is the units whose last lines say what went wrong: services that ended by
// themselves, and the unit that could not get what the app lacks.
func (a App) Unexplained() []string {
	var list []string
	for _, p := range a.Parts {
		if p.State == units.PhaseFailed || p.State == units.PhaseRestarting {
			list = append(list, p.Service)
		}
	}
	if a.Reason == units.ReasonPullFailed {
		list = append(list, units.PullOf(a.ID))
	}
	return list
}

func lastLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return oneLine(lines[len(lines)-1])
}

// oneLine is text on one line, without characters that a terminal would obey.
func oneLine(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, w)
	}
	return strings.Join(words, " ")
}

// moment is a time as JSON shows it, null for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func notNil(list []string) []string { return append([]string{}, list...) }
