package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/healthd/bus"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

func (c *cli) statusCommand() *cobra.Command {
	var from source
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status [ID]",
		Short: "Show how the apps are, and why",
		Long: `status shows each app with its state and the reason for it, how far it serves,
and what went wrong last. With an ID it says what the reason means, and shows
everything that is known of one app, part by part. Apps that run and are not
installed any more are shown too.

Levels: alive (it runs), serving (it answers as it should), synced (it has
caught up), loading, needs-user (it waits for a person).

Nothing is changed, and Podman is not run for it. Apps are asked at the same
time; one that has not answered after two seconds counts as not answering.

Exit status: 0 all that should run does; 1 it failed, or there is no such app;
3 an app does not run, or does not answer, that should.`,
		Example: `  archgen status
  archgen status lnd
  archgen status --watch
  archgen status --json > status.json`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if watch {
				return c.watchStatus(&from, args, asJSON)
			}
			return c.status(&from, args, asJSON)
		},
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until interrupted; off a terminal, print what changes")
	return cmd
}

// appStatus is how an app is. The names of the fields are a contract.
type appStatus struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	condition
	LANAddress string       `json:"lan_address"`
	Error      string       `json:"error"`
	Parts      []partStatus `json:"parts"`
	// Rights is what the app can do beyond its own containers, or asks for; empty where
	// its manifest can't be read, or is gone.
	Rights []listedRight `json:"rights"`
	// isRight: it runs and answers, or there is a reason why it should not.
	isRight bool
}

// partStatus is how one service of an app is.
type partStatus struct {
	// Name is that of the container: ID, or ID.PART.
	Name    string `json:"name"`
	Service string `json:"service"`
	condition
	Error   string `json:"error"`
	isRight bool
}

// condition is what apps and their parts have in common.
type condition struct {
	State units.Phase `json:"state"`
	// Reason is empty where there is nothing to say.
	Reason units.Reason `json:"reason"`
	Health units.Health `json:"health"`
	// Level is how far it serves, empty where it does not run.
	Level string `json:"level"`
	// ExitCode is how it ended, 128 and the signal where it was killed.
	ExitCode *int `json:"exit_code"`
	// StartedAt is null where it does not run.
	StartedAt *time.Time `json:"started_at"`
	Restarts  uint32     `json:"restarts"`
	Image     string     `json:"image"`
	// Created is when the container was made.
	Created *time.Time   `json:"created"`
	Ports   []units.Port `json:"ports"`
	// since is when it came to be in its state.
	since time.Time
	// detail says more about the level or the reason, for a person.
	detail string
}

func (c *cli) status(from *source, args []string, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, from.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := c.survey(ctx, l, from)
	if err != nil {
		return err
	}
	apps, err := selectApp(s.apps(ctx), args)
	if err != nil {
		return err
	}
	if err := c.printStatus(s, apps, args, asJSON); err != nil {
		return err
	}
	if slices.ContainsFunc(apps, func(a appStatus) bool { return !a.isRight }) {
		return partError{errReported}
	}
	return nil
}

func selectApp(apps []appStatus, args []string) ([]appStatus, error) {
	if len(args) == 0 {
		return apps, nil
	}
	i := slices.IndexFunc(apps, func(a appStatus) bool { return a.ID == args[0] })
	if i < 0 {
		return nil, unknownApp(args[0], apps)
	}
	return apps[i : i+1], nil
}

func unknownApp(id string, apps []appStatus) error {
	ids := make([]string, 0, len(apps))
	for _, a := range apps {
		ids = append(ids, a.ID)
	}
	return noSuchApp(id, ids)
}

func noSuchApp(id string, ids []string) error {
	if len(ids) == 0 {
		return fmt.Errorf("there is no app %q: none is installed; archgen catalog shows what can be", id)
	}
	return fmt.Errorf("there is no app %q; there are: %s", id, strings.Join(ids, ", "))
}

func (c *cli) printStatus(s *snapshot, apps []appStatus, args []string, asJSON bool) error {
	if asJSON {
		return c.printJSON(statusDocument(apps))
	}
	if err := c.sayProblems(s); err != nil {
		return err
	}
	look := appearance{ui.StyleOf(c.stdout, c.getenv), s.now}
	lines := look.table(apps)
	switch {
	case len(args) == 1:
		lines = look.one(apps[0])
	case len(apps) == 0:
		fmt.Fprintln(c.stderr, "no app is installed; archgen catalog shows what can be")
		return nil
	}
	_, err := fmt.Fprintln(c.stdout, strings.Join(lines, "\n"))
	return err
}

func statusDocument(apps []appStatus) any {
	return struct {
		Apps []appStatus `json:"apps"`
	}{append([]appStatus{}, apps...)}
}

// sayProblems says what keeps more than one app from being judged.
func (c *cli) sayProblems(s *snapshot) error {
	for _, err := range s.problems {
		c.say(err)
	}
	list := s.compiled.Diags
	if s.compiled.Result != nil { // the rows of the apps say the rest
		list = slices.DeleteFunc(slices.Clone(list), func(d diag.Diagnostic) bool { return !isError(d) || manifests.AppOf(d.File) != "" })
	}
	return c.printer(s.compiled).Print(c.stderr, list)
}

func isError(d diag.Diagnostic) bool { return d.Severity == diag.Error }

// apps is how each app is that is installed or of which something is there.
func (s *snapshot) apps(ctx context.Context) []appStatus {
	list := make([]appStatus, 0, len(s.services))
	for _, id := range s.ids() {
		list = append(list, s.app(id))
	}
	s.lastWords(ctx, list)
	return list
}

func (s *snapshot) app(id string) appStatus {
	a := appStatus{ID: id, Parts: []partStatus{}, Rights: rightsOfApp(s.compiled, id)}
	if m := s.manifest(id); m != nil {
		a.Name, a.Version = m.Document.App.Name, m.Document.App.Version
	}
	for _, service := range s.services[id] {
		a.Parts = append(a.Parts, s.part(id, service))
	}
	a.sum()
	if len(a.Parts) == 0 {
		a.Reason = s.reason(id, units.ServiceName(id))
	}
	a.LANAddress = s.lanAddress(a.Ports)
	if d := s.complaint(id); d != "" {
		a.Error = d
	}
	return a
}

// sum makes of the parts what the app is: what its main part is, but where
// another is worse off.
func (a *appStatus) sum() {
	a.condition = condition{State: units.PhaseStopped, Ports: []units.Port{}}
	if len(a.Parts) == 0 {
		return
	}
	a.condition, a.isRight = a.Parts[0].condition, true
	a.Ports = []units.Port{}
	worst := 0
	for i := range a.Parts {
		p := &a.Parts[i]
		a.Ports = append(a.Ports, p.Ports...)
		a.isRight = a.isRight && p.isRight
		if i > 0 {
			a.Restarts += p.Restarts
		}
		if a.Parts[worst].isRight && !p.isRight || a.Parts[worst].isRight == p.isRight && p.State.IsWorse(a.Parts[worst].State) {
			worst = i
		}
	}
	if p := a.Parts[worst]; worst > 0 && !p.isRight {
		a.State, a.Reason, a.Health, a.Level, a.ExitCode = p.State, p.Reason, p.Health, p.Level, p.ExitCode
		a.since = p.since
		a.detail = strings.TrimPrefix(p.Name, a.ID+".") + ": " + cmp.Or(p.detail, p.stateText())
	}
}

// part is how a service is.
func (s *snapshot) part(id, service string) partStatus {
	found, answer := s.found[service], s.answers[service]
	u := found.State
	u.Health = cmp.Or(answer.health, u.Health)
	name := units.ContainerOf(service)
	p := partStatus{Name: name, Service: service, condition: condition{
		State: stateOf(u, found.Systemd.SubState), Reason: s.reason(id, service), Restarts: found.Systemd.NRestarts, Ports: []units.Port{},
	}}
	if file, ok := s.file(service); ok {
		p.Image, p.Ports = file.Image(), file.Ports()
	}
	p.since = changed(found.Systemd.StateChangeTimestamp)
	switch p.State {
	case units.PhaseRunning, units.PhasePaused, units.PhaseDone:
		p.since = changed(found.Systemd.ActiveEnterTimestamp)
		p.StartedAt = moment(p.since)
	case units.PhaseFailed, units.PhaseRestarting, units.PhaseStopped:
		p.ExitCode = exitOf(found.Systemd.ExecMainCode, found.Systemd.ExecMainStatus)
	case units.PhaseStarting, units.PhaseStopping:
	}
	p.Created = moment(found.Container.Created)
	switch p.State {
	case units.PhaseRunning:
		p.Health, p.Level, p.detail = u.Health, levelOf(u.Health, answer), answer.detail
		if u.Health == units.Unhealthy {
			p.detail = cmp.Or(ui.OneLine(found.Container.Output), p.detail)
		}
	case units.PhaseStarting:
		p.Level, p.detail = levelOfStart(found.Systemd.StatusText)
	case units.PhaseFailed, units.PhaseRestarting:
		p.detail = endings[found.Systemd.Result]
	case units.PhaseDone, units.PhaseStopping, units.PhasePaused, units.PhaseStopped:
	}
	switch p.Reason {
	case units.ReasonBackingOff, units.ReasonGaveUp:
		p.detail = repairsOf(s.history[id])
	case units.ReasonMasked:
		p.detail = "to have it started again: " + s.want.Scope.Systemctl("unmask "+service)
	case units.ReasonRolledBack:
		p.detail = cmp.Or(p.detail, "it did not serve with its newest manifest; archgen restart "+id+" tries that again")
	default: // says enough
	}
	p.isRight = isRight(p.condition)
	if p.State == units.PhaseRunning && (u.Health == units.Unhealthy || u.Health == units.Failing) {
		p.Error = p.detail
	}
	return p
}

// repairsOf says what was done about an app so far, and when something is again.
func repairsOf(r units.Record) string {
	why := ""
	if r.Why != "" {
		why = " (" + string(r.Why) + ")"
	}
	return fmt.Sprintf("%s%s did not help; the next comes after %s", ui.Count(r.Tries, "repair"), why, r.Next().Local().Format(time.TimeOnly))
}

// endings says how a service came to its end where its exit code does not.
var endings = map[string]string{
	"timeout":         "it took longer than its start or stop timeout",
	"oom-kill":        "the kernel killed it: out of memory",
	"start-limit-hit": "it was started too often in too short a time",
	"resources":       "systemd could not set up its start",
}

// stateOf takes what is known of a service into one word.
func stateOf(u units.Unit, sub string) units.Phase {
	if word := u.Phase(); word != units.PhaseRunning || sub != "exited" {
		return word
	}
	return units.PhaseDone
}

// isRight reports whether nobody has to look after it.
func isRight(c condition) bool {
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

// levelOf says how far a running service serves.
func levelOf(h units.Health, a reply) string {
	switch h {
	case units.Loading:
		return "loading" + percent(a.progress)
	case units.NeedsUser:
		return "needs-user"
	case units.Serving:
		if a.synced {
			return "synced"
		}
		return "serving" + percent(a.progress)
	case units.HealthUnknown, units.Failing, units.Unhealthy:
	}
	return "alive"
}

// levelOfStart reads what archgen wait says while systemd waits for it.
func levelOfStart(text string) (level, detail string) {
	kind, detail, found := strings.Cut(ui.OneLine(text), ": ")
	if found && kind == "loading" {
		return kind, detail
	}
	return "", detail
}

func percent(progress float64) string {
	if progress <= 0 {
		return ""
	}
	return " " + strconv.Itoa(int(100*progress)) + " %"
}

// changed is a time of systemd's.
func changed(microseconds uint64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(microseconds)).Truncate(time.Second)
}

// moment is a time as JSON shows it, null for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// exitOf is the exit code of a shell for how a process ended: 1 means that it
// exited, 2 and 3 that a signal ended it. It is nil where none has.
func exitOf(how, status int32) *int {
	code := int(status)
	switch how {
	case 1:
		return &code
	case 2, 3:
		code += 128
		return &code
	}
	return nil
}

// complaint is the first error of an app's manifest.
func (s *snapshot) complaint(id string) string {
	for _, d := range s.compiled.Diags {
		if d.Severity == diag.Error && manifests.AppOf(d.File) == id {
			return strings.TrimSuffix(d.String(), " ["+string(d.Code)+"]")
		}
	}
	return ""
}

func (s *snapshot) manifest(id string) *manifests.Manifest {
	i := slices.IndexFunc(s.compiled.Loaded.Manifests, func(m *manifests.Manifest) bool { return manifests.AppOf(m.File) == id })
	if i < 0 {
		return nil
	}
	return s.compiled.Loaded.Manifests[i]
}

// How often status --watch looks by itself: alone it finds every change, while
// healthd tells of changes it shows how the time passes.
const lookAlone, lookTold = time.Second, 5 * time.Second

func lookEvery(isTold bool) time.Duration {
	if isTold {
		return lookTold
	}
	return lookAlone
}

// watchStatus shows the status again and again until it is interrupted.
func (c *cli) watchStatus(from *source, args []string, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, from.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	tick := time.NewTicker(lookAlone)
	defer tick.Stop()
	told := bus.Watch(ctx, from.scope())
	w := watcher{cli: c, args: args, asJSON: asJSON, shown: map[string]string{}}
	for {
		err := w.look(ctx, l, from)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case isTold, more := <-told:
			if !more {
				told = nil
			}
			tick.Reset(lookEvery(isTold))
		}
	}
}
