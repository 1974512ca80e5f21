// Package statusview owns the survey of all apps by archgen status, and how it is printed: a
// table, all details of one app, and changes. It decides no state (units/status does) and changes
// nothing.
package statusview

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

// App is the status of an app with what its manifest says.
type App struct {
	status.App
	compile.Description
	// LANAddress is the address of the first port for other machines, or empty.
	LANAddress string `json:"lan_address"`
}

// View prints statuses.
type View struct {
	ui.Style
	Now time.Time
}

// columns is the columns of the table, and spare those that are left out, in this order, if
// the terminal is too narrow.
var (
	columns = []string{"APP", "STATE", "LEVEL", "SINCE", "RESTARTS", "ADDRESS", "IMAGE"}
	spare   = []string{"IMAGE", "RESTARTS", "ADDRESS", "SINCE"}
)

// Table has a line for each app, and below it a line for its error.
func (v View) Table(apps []App) []string {
	rows := make([]ui.Row, 0, len(apps))
	for _, a := range apps {
		rows = append(rows, v.row(a.ID, a.Condition, brief(a.ID, a.Error), a.IsRight(), a.LANAddress))
	}
	return v.lay(rows)
}

// brief leaves the directory of an app's own manifest out of an error.
func brief(id, text string) string {
	file, _, _ := strings.Cut(text, ": ")
	if i := strings.LastIndex(file, "/"+id+"."); i >= 0 && text[0] == '/' {
		return text[i+1:]
	}
	return text
}

// lay formats rows below the names of the columns.
func (v View) lay(rows []ui.Row) []string {
	return ui.Table{Titles: columns, Optional: spare, Painted: "STATE", Rows: rows}.Lines(v.Style)
}

func (v View) row(name string, c status.Condition, note string, isRight bool, lan string) ui.Row {
	address := lan
	if address == "" && len(c.Ports) > 0 {
		address = c.Ports[0].Address + ":" + c.Ports[0].Host
	}
	return ui.Row{
		Cells: []string{name, c.StateText(), ui.Dash(levelText(c)), v.time(c.Since), strconv.Itoa(int(c.Restarts)), ui.Dash(address), ui.Dash(shortImage(c.Image))},
		Note:  cmp.Or(note, c.Detail), Color: colorOf(c, isRight),
	}
}

// levelText is the level of an app and its progress.
func levelText(c status.Condition) string {
	if c.Progress == nil {
		return string(c.Level)
	}
	return string(c.Level) + " " + strconv.Itoa(int(100**c.Progress)) + " %"
}

// colorOf is green, yellow or red.
func colorOf(c status.Condition, isRight bool) ui.Color {
	switch {
	case !isRight:
		return ui.Red
	case c.State == units.PhaseRunning && c.Reason == "", c.State == units.PhaseDone:
		return ui.Green
	}
	return ui.Yellow
}

// One shows all details of an app.
func (v View) One(a App) []string {
	lines := []string{strings.TrimSpace(a.ID + "  " + strings.TrimSpace(a.Name+" "+a.Version))}
	say := func(title, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("  %-9s %s", title, text))
		}
	}
	say("state", v.Paint(colorOf(a.Condition, a.IsRight()), a.StateText()))
	say("why", a.Meaning)
	say("fix", a.Mend)
	say("level", levelText(a.Condition))
	say("detail", a.Detail)
	if a.Error != a.Detail {
		say("error", a.Error)
	}
	if a.NextRepairAt != nil {
		say("repair", "not before "+a.NextRepairAt.Local().Format(time.DateTime))
	}
	if a.Since != nil {
		say("since", a.Since.Local().Format(time.DateTime)+" ("+ui.Age(v.Now.Sub(*a.Since))+")")
	}
	if a.TrialUntil != nil {
		say("trial", "until "+a.TrialUntil.Local().Format(time.DateTime))
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
	if a.UI != nil {
		say("UI", a.UI.URL)
	}
	for i, r := range a.Rights {
		missing := ""
		if r.Granted == rights.Nobody {
			missing = ", not granted"
		}
		say(map[bool]string{true: "rights"}[i == 0], v.Cut(fmt.Sprintf("%s (%s%s)", ui.OneLine(r.ID), r.Severity, missing)))
	}
	if len(a.Parts) < 2 {
		return lines
	}
	rows := make([]ui.Row, 0, len(a.Parts))
	for _, p := range a.Parts {
		rows = append(rows, v.row(p.Name, p.Condition, p.Error, p.IsRight(), ""))
	}
	return append(append(lines, ""), v.lay(rows)...)
}

// time is relative on a terminal, where a person reads it now.
func (v View) time(t *time.Time) string {
	switch {
	case t == nil:
		return "-"
	case v.Width > 0:
		return ui.Age(v.Now.Sub(*t))
	}
	return t.Local().Format(time.RFC3339)
}

// shortImage omits the registry and most of a digest.
func shortImage(image string) string {
	name, digest, pinned := strings.Cut(image, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	if !pinned {
		return name
	}
	return name + "@" + digest[:min(len(digest), len("sha256:")+12)]
}

// Changes is the status of apps as it was last printed.
type Changes map[string]string

// Lines has a line for each app whose status changed.
func (c *Changes) Lines(apps []App, now time.Time) (lines []string) {
	before := *c
	*c = make(Changes, len(apps))
	for _, a := range apps {
		text := strings.TrimSpace(a.StateText() + " " + levelText(a.Condition))
		if a.Error != "" {
			text += ": " + a.Error
		}
		if (*c)[a.ID] = text; before[a.ID] != text {
			lines = append(lines, now.Format(time.TimeOnly)+" "+a.ID+": "+text)
		}
		delete(before, a.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		lines = append(lines, now.Format(time.TimeOnly)+" "+id+": gone")
	}
	return lines
}
