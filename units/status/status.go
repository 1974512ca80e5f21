// Package status owns the computation of an app's one status, from its services, the
// answers to their probes, the plan of a pass, the history of repairs and the error of the
// manifest. archgen status, D-Bus, Prometheus and archgen wait all use it.
//
// It never queries systemd or an app, never reads a file, and never decides what is done.
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
	"github.com/archipelago-os/archipelago/units/limits"
)

// Scene is all that is known about an app at one moment.
type Scene struct {
	ID    string
	Scope units.Scope
	// Services is the services of the app, main first.
	Services []Service
	// Actions is what a pass would do for the app or leave undone, and why.
	Actions []units.Action
	// Pull is the state of the app's pull unit.
	Pull units.ActiveState
	// Refused is the reason why an app with a manifest may not be changed.
	Refused units.Reason
	// RolledBack: its manifest did not serve. Removed: it no longer has a manifest.
	RolledBack, Removed bool
	// Record is its history of repairs.
	Record units.Record
	// Diagnostic is the first error of its manifest.
	Diagnostic string
	// WaitsFor is the apps that it requires, UsedBy those that require it.
	WaitsFor, UsedBy []string
	// TrialUntil is when the trial of its release ends, the zero time if it is not on trial.
	TrialUntil time.Time
	// Lines is the last log lines of the units that Unexplained lists.
	Lines map[string][]string
}

// Service is all that is known about one service.
type Service struct {
	Name string
	Unit units.Unit
	// File is its container file, empty if there is none.
	File units.File
	// Answer is empty if the service was not probed.
	Answer Answer
}

// Look is a snapshot of the machine.
type Look struct {
	Want units.Desired
	// Units is the state of each service in systemd.
	Units map[string]units.Unit
	// Actions is what a pass would do or leave undone, and why.
	Actions []units.Action
	History units.History
	// Trials is when the trials of releases end, by app.
	Trials map[string]time.Time
}

// Scenes returns the scenes of apps by ID, without their services and log lines.
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
			TrialUntil: l.Trials[id],
		}
	}
	return list
}

// Services returns the services of each app, the main one first: those of rendered apps,
// those with files, and those of which systemd knows more than the name.
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

// App is the status of an app. The names of the fields are a contract.
type App struct {
	ID string `json:"id"`
	Condition
	// WaitsFor is the IDs of the apps that have to serve before it starts. UsedBy is the
	// IDs of the apps that wait for it.
	WaitsFor []string `json:"waits_for"`
	UsedBy   []string `json:"used_by"`
	// NextRepairAt is the earliest time of the next repair, null if none is delayed.
	NextRepairAt *time.Time `json:"next_repair_at"`
	// TrialUntil is when the trial of its release ends, null if it is not on trial.
	TrialUntil *time.Time `json:"trial_until"`
	Parts      []Part     `json:"parts"`
}

// Part is the status of one service of an app.
type Part struct {
	// Name is the name of the container: ID, or ID.PART.
	Name    string `json:"name"`
	Service string `json:"service"`
	Condition
}

// Condition is the status fields that apps and their parts share.
type Condition struct {
	State units.Phase `json:"state"`
	// Reason is empty if the state needs no explanation. Meaning explains the reason.
	Reason  units.Reason `json:"reason"`
	Meaning string       `json:"meaning"`
	// Mend is the command that fixes the reason, empty if no command does.
	Mend   string       `json:"mend"`
	Health units.Health `json:"health"`
	// Level is how far it serves. It is empty if the app is down or has no probe.
	Level Level `json:"level"`
	// Progress is the progress of a loading app, from 0 to 1, null if unknown.
	Progress *float64 `json:"progress"`
	// Detail says more about the level or the reason. Error is what went wrong. Log is the
	// last lines that a failed app wrote.
	Detail string   `json:"detail"`
	Error  string   `json:"error"`
	Log    []string `json:"log"`
	// ExitCode is its exit code, or 128 plus the number of the signal that killed it.
	ExitCode *int `json:"exit_code"`
	// Since is when it entered its state, null if it was never started. StartedAt is null
	// if it is not running.
	Since     *time.Time `json:"since"`
	StartedAt *time.Time `json:"started_at"`
	// Restarts is systemd's NRestarts, summed over all parts.
	Restarts uint32 `json:"restarts"`
	Image    string `json:"image"`
	// Digest is the digest of the unit file that the container runs from.
	Digest string `json:"digest"`
	// Created is the creation time of the container.
	Created *time.Time   `json:"created"`
	Ports   []units.Port `json:"ports"`
}

// Of returns the status of an app.
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
	a.TrialUntil = moment(s.TrialUntil)
	return a
}

// sum derives the status of the app from its parts: the one in the worst state decides, the
// main part if others are no worse.
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

// prefix is the name of a part for messages, empty for the main part.
func (a *App) prefix(p Part) string {
	if p.Name == a.ID {
		return ""
	}
	return strings.TrimPrefix(p.Name, a.ID+".") + ": "
}

// isWorse compares parts by their state, and for equally bad states by their level.
func (c Condition) isWorse(than Condition) bool {
	if c.State.IsWorse(than.State) || than.State.IsWorse(c.State) {
		return c.State.IsWorse(than.State)
	}
	return c.Level.isBelow(than.Level)
}

// part returns the status of a service.
func (s Scene) part(v Service) Part {
	u := v.Unit
	p := Part{Name: units.ContainerOf(v.Name), Service: v.Name, Condition: Condition{
		State: u.Phase(), Since: moment(u.Run.Since), Restarts: u.Restarts, Created: moment(u.Run.Created), Digest: u.Digest,
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

// serve sets the level of a running service.
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

// endings explains results of systemd that have no meaningful exit code.
var endings = map[string]string{
	"timeout":         "it took longer than its start or stop timeout",
	"oom-kill":        "the kernel killed it: out of memory",
	"start-limit-hit": "it was started too often in too short a time",
	"resources":       "systemd could not set up its start",
}

// explain sets the reason and its meaning.
func (c *Condition) explain(s Scene, v Service) {
	c.Reason = s.reason(v, c.Health)
	if limit := s.limit(v); limit != "" && ofEnding[c.Reason] {
		c.Reason, c.Detail = units.ReasonLimitReached, limits.Explain(limit)
	}
	c.Meaning, c.Mend = c.Reason.Meaning(), c.Reason.Mend(s.ID, s.Scope)
	switch c.Reason {
	case units.ReasonBackingOff, units.ReasonGaveUp:
		c.Detail = repairs(s.Record)
	case units.ReasonUnreadable:
		c.Detail = v.Unit.Unreadable
	case units.ReasonMasked:
		c.Mend = s.Scope.Systemctl("unmask " + v.Name)
	case units.ReasonRolledBack:
		c.Detail = cmp.Or(c.Detail, "it did not serve with its newest manifest; "+c.Mend+" tries that again")
	default: // the reason says enough
	}
}

// repairs describes the repairs made so far.
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

// IsRight reports whether an app needs no attention: all its parts run and answer, or are
// down for a good reason.
func (a App) IsRight() bool {
	return len(a.Parts) > 0 && !slices.ContainsFunc(a.Parts, func(p Part) bool { return !p.IsRight() })
}

// IsRight reports the same for one part.
func (c Condition) IsRight() bool {
	switch c.State {
	case units.PhaseRunning:
		return c.Reason != units.ReasonUnreadable && c.Health != units.Unhealthy && c.Health != units.Failing
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

// plain is the reasons that repeat the state.
var plain = []units.Reason{
	units.ReasonRestartedBySystemd, units.ReasonFailed, units.ReasonPaused, units.ReasonStarting, units.ReasonStopping,
}

// StateText returns the state with its reason.
func (c Condition) StateText() string {
	switch {
	case c.Reason == "", slices.Contains(plain, c.Reason):
		return string(c.State)
	case c.Reason == units.ReasonStoppedByOperator:
		return string(c.Reason)
	}
	return string(c.State) + " (" + string(c.Reason) + ")"
}

// Unexplained returns the units whose last log lines explain a failure: services that ended
// by themselves, and a failed pull unit.
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

// oneLine returns text on one line, without control characters that a terminal would
// interpret.
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

// moment is a time in JSON, null for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func notNil(list []string) []string { return append([]string{}, list...) }
