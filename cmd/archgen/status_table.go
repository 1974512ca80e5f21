package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
)

// appearance is how a status is printed.
type appearance struct {
	ui.Style
	now time.Time
}

// columns is the table's, and spare those that go first, one by one, where the
// terminal is too narrow.
var (
	columns = []string{"APP", "STATE", "LEVEL", "SINCE", "RESTARTS", "ADDRESS", "IMAGE"}
	spare   = []string{"IMAGE", "RESTARTS", "ADDRESS", "SINCE"}
)

// table has a line for each app, and below it one for what is wrong with it.
func (l appearance) table(apps []appStatus) []string {
	rows := make([]ui.Row, 0, len(apps))
	for _, a := range apps {
		rows = append(rows, l.row(a.ID, a.condition, brief(a.ID, a.Error), a.isRight, a.LANAddress))
	}
	return l.lay(rows)
}

// brief leaves the directory of an app's own manifest out of an error.
func brief(id, text string) string {
	file, _, _ := strings.Cut(text, ": ")
	if i := strings.LastIndex(file, "/"+id+"."); i >= 0 && text[0] == '/' {
		return text[i+1:]
	}
	return text
}

// lay lays rows out below the names of the columns.
func (l appearance) lay(rows []ui.Row) []string {
	return ui.Table{Titles: columns, Optional: spare, Painted: "STATE", Rows: rows}.Lines(l.Style)
}

func (l appearance) row(name string, c condition, note string, isRight bool, lan string) ui.Row {
	address := lan
	if address == "" && len(c.Ports) > 0 {
		address = c.Ports[0].Address + ":" + c.Ports[0].Host
	}
	if note == "" {
		note = c.detail
	}
	return ui.Row{
		Cells: []string{name, c.stateText(), ui.Dash(c.Level), l.time(c.since), strconv.Itoa(int(c.Restarts)), ui.Dash(address), ui.Dash(shortImage(c.Image))},
		Note:  note, Color: colorOf(c, isRight),
	}
}

// colorOf is green, yellow or red.
func colorOf(c condition, isRight bool) ui.Color {
	switch {
	case !isRight:
		return ui.Red
	case c.State == units.PhaseRunning && c.Reason == "", c.State == units.PhaseDone:
		return ui.Green
	}
	return ui.Yellow
}

// one shows everything about an app.
func (l appearance) one(a appStatus) []string {
	lines := []string{strings.TrimSpace(a.ID + "  " + strings.TrimSpace(a.Name+" "+a.Version))}
	say := func(title, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("  %-9s %s", title, text))
		}
	}
	say("state", l.Paint(colorOf(a.condition, a.isRight), a.stateText()))
	say("why", a.Reason.Meaning())
	say("mend", a.Reason.Mend(a.ID, units.User))
	say("level", a.Level)
	say("detail", a.detail)
	if a.Error != a.detail {
		say("error", a.Error)
	}
	if !a.since.IsZero() {
		say("since", a.since.Local().Format(time.DateTime)+" ("+ui.Age(l.now.Sub(a.since))+")")
	}
	say("restarts", strconv.Itoa(int(a.Restarts)))
	if a.ExitCode != nil {
		say("exit code", strconv.Itoa(*a.ExitCode))
	}
	say("image", a.Image)
	for i, p := range a.Ports {
		say(map[bool]string{true: "ports"}[i == 0], fmt.Sprintf("%s:%s → %s/%s", p.Address, p.Host, p.Container, p.Protocol))
	}
	say("LAN", a.LANAddress)
	for i, r := range a.Rights {
		missing := ""
		if r.Granted == rights.Nobody {
			missing = ", not granted"
		}
		say(map[bool]string{true: "rights"}[i == 0], l.Cut(fmt.Sprintf("%s (%s%s)", ui.OneLine(r.ID), r.Severity, missing)))
	}
	if len(a.Parts) < 2 {
		return lines
	}
	rows := make([]ui.Row, 0, len(a.Parts))
	for _, p := range a.Parts {
		rows = append(rows, l.row(p.Name, p.condition, p.Error, p.isRight, ""))
	}
	return append(append(lines, ""), l.lay(rows)...)
}

// plain is the reasons that say no more than the state.
var plain = []units.Reason{
	units.ReasonRestartedBySystemd, units.ReasonFailed, units.ReasonPaused, units.ReasonStarting, units.ReasonStopping,
}

func (c condition) stateText() string {
	switch {
	case c.Reason == "", slices.Contains(plain, c.Reason):
		return string(c.State)
	case c.Reason == units.ReasonStoppedByOperator:
		return string(c.Reason)
	}
	return string(c.State) + " (" + string(c.Reason) + ")"
}

// time is relative on a terminal, where it is looked at now.
func (l appearance) time(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case l.Width > 0:
		return ui.Age(l.now.Sub(t))
	}
	return t.Local().Format(time.RFC3339)
}

// shortImage leaves the registry out, and most of a digest.
func shortImage(image string) string {
	name, digest, pinned := strings.Cut(image, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	if !pinned {
		return name
	}
	return name + "@" + digest[:min(len(digest), len("sha256:")+12)]
}

// watcher shows what is new.
type watcher struct {
	cli    *cli
	args   []string
	asJSON bool
	shown  map[string]string
}

func (w *watcher) look(ctx context.Context, l *host, from *source) error {
	s, err := w.cli.survey(ctx, l, from)
	if err != nil {
		return err
	}
	apps, err := selectApp(s.apps(ctx), w.args)
	if err != nil {
		return err
	}
	width, height := ui.Size(w.cli.stdout)
	switch {
	case w.asJSON:
		return w.document(apps)
	case width == 0:
		w.changes(apps, s.now)
		return nil
	}
	look := appearance{ui.StyleOf(w.cli.stdout, w.cli.getenv), s.now}
	lines := look.table(apps)
	if len(w.args) == 1 {
		lines = look.one(apps[0])
	}
	return ui.Redraw(w.cli.stdout, height, lines)
}

// document prints everything on one line, where anything is new.
func (w *watcher) document(apps []appStatus) error {
	line, err := json.Marshal(statusDocument(apps))
	if err != nil || string(line) == w.shown[""] {
		return err
	}
	w.shown[""] = string(line)
	_, err = fmt.Fprintf(w.cli.stdout, "%s\n", line)
	return err
}

// changes prints a line for each app that is not as it was.
func (w *watcher) changes(apps []appStatus, now time.Time) {
	gone := w.shown
	w.shown = make(map[string]string, len(apps))
	for _, a := range apps {
		text := strings.TrimSpace(a.stateText() + " " + a.Level)
		if a.Error != "" {
			text += ": " + a.Error
		}
		if w.shown[a.ID] = text; gone[a.ID] != text {
			fmt.Fprintf(w.cli.stdout, "%s %s: %s\n", now.Format(time.TimeOnly), a.ID, text)
		}
		delete(gone, a.ID)
	}
	for id := range gone {
		fmt.Fprintf(w.cli.stdout, "%s %s: gone\n", now.Format(time.TimeOnly), id)
	}
}
