package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
)

// appearance is how a status is printed.
type appearance struct {
	// width is that of the terminal, 0 where there is none.
	width int
	color bool
	now   time.Time
}

// columns is the table's, and spare those that go first, one by one, where the
// terminal is too narrow.
var (
	columns = []string{"APP", "STATE", "LEVEL", "SINCE", "RESTARTS", "ADDRESS", "IMAGE"}
	spare   = []string{"IMAGE", "RESTARTS", "ADDRESS", "SINCE"}
)

// table has a line for each app, and below it one for what is wrong with it.
func (l appearance) table(apps []appStatus) []string {
	rows := make([]row, 0, len(apps))
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

// row is one line of the table and the note below it.
type row struct {
	cells []string
	note  string
	paint string
}

func (l appearance) row(name string, c condition, note string, isRight bool, lan string) row {
	address := lan
	if address == "" && len(c.Ports) > 0 {
		address = c.Ports[0].Address + ":" + c.Ports[0].Host
	}
	if note == "" {
		note = c.detail
	}
	return row{
		cells: []string{name, c.stateText(), orDash(c.Level), l.time(c.since), strconv.Itoa(int(c.Restarts)), orDash(address), orDash(shortImage(c.Image))},
		note:  note, paint: paintOf(c, isRight),
	}
}

// lay aligns rows below the names of the columns.
func (l appearance) lay(rows []row) []string {
	widths := make([]int, len(columns))
	for i, title := range columns {
		widths[i] = len(title)
		for _, r := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r.cells[i]))
		}
	}
	shown := l.fitting(widths)
	lines := []string{l.line(columns, widths, shown, "")}
	for _, r := range rows {
		lines = append(lines, l.line(r.cells, widths, shown, r.paint))
		if r.note != "" {
			lines = append(lines, l.cut("  "+r.note))
		}
	}
	return lines
}

// fitting is the columns that the terminal has room for.
func (l appearance) fitting(widths []int) []bool {
	shown, total := make([]bool, len(widths)), -2
	for i, w := range widths {
		shown[i] = true
		total += w + 2
	}
	for _, title := range spare {
		if l.width == 0 || total <= l.width {
			break
		}
		i := slices.Index(columns, title)
		shown[i] = false
		total -= widths[i] + 2
	}
	return shown
}

// line pads cells to the widths of their columns. Only the state is painted.
func (l appearance) line(cells []string, widths []int, shown []bool, paint string) string {
	var b strings.Builder
	for i, cell := range cells {
		if !shown[i] {
			continue
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		if i == 1 && l.color && paint != "" {
			cell = "\x1b[" + paint + "m" + cell + "\x1b[0m"
		}
		b.WriteString(cell + pad)
	}
	return strings.TrimRight(b.String(), " ")
}

// cut makes a line fit the terminal.
func (l appearance) cut(text string) string {
	if l.width == 0 || utf8.RuneCountInString(text) <= l.width {
		return text
	}
	return string([]rune(text)[:l.width-1]) + "…"
}

// paintOf is green, yellow or red.
func paintOf(c condition, isRight bool) string {
	switch {
	case !isRight:
		return "31"
	case c.State == units.IsRunning && c.Reason == "", c.State == units.IsDone:
		return "32"
	}
	return "33"
}

// one shows everything about an app.
func (l appearance) one(a appStatus) []string {
	lines := []string{strings.TrimSpace(a.ID + "  " + strings.TrimSpace(a.Name+" "+a.Version))}
	say := func(title, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("  %-9s %s", title, text))
		}
	}
	stated := a.stateText()
	if l.color {
		stated = "\x1b[" + paintOf(a.condition, a.isRight) + "m" + stated + "\x1b[0m"
	}
	say("state", stated)
	say("why", a.Reason.Meaning(a.ID))
	say("level", a.Level)
	say("detail", a.detail)
	if a.Error != a.detail {
		say("error", a.Error)
	}
	if !a.since.IsZero() {
		say("since", a.since.Local().Format(time.DateTime)+" ("+age(l.now.Sub(a.since))+")")
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
		say(map[bool]string{true: "rights"}[i == 0], l.cut(fmt.Sprintf("%s (%s%s)", oneLine(r.ID), r.Severity, missing)))
	}
	if len(a.Parts) < 2 {
		return lines
	}
	rows := make([]row, 0, len(a.Parts))
	for _, p := range a.Parts {
		rows = append(rows, l.row(p.Name, p.condition, p.Error, p.isRight, ""))
	}
	return append(append(lines, ""), l.lay(rows)...)
}

// plain is the reasons that say no more than the state.
var plain = []units.Reason{
	units.BecauseCrashing, units.BecauseFailed, units.BecausePaused, units.BecauseStarting, units.BecauseStopping,
}

func (c condition) stateText() string {
	switch {
	case c.Reason == "", slices.Contains(plain, c.Reason):
		return string(c.State)
	case c.Reason == units.BecauseStopped:
		return string(c.Reason)
	}
	return string(c.State) + " (" + string(c.Reason) + ")"
}

// time is relative on a terminal, where it is looked at now.
func (l appearance) time(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case l.width > 0:
		return age(l.now.Sub(t))
	}
	return t.Local().Format(time.RFC3339)
}

// age is a time in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(max(0, int(d.Seconds()))) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
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

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// oneLine makes what an app said fit for a terminal.
func oneLine(text string) string { return strings.Join(strings.Fields(printable(text)), " ") }

// printable leaves out what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
}

// terminalSize is 0, 0 where w is no terminal.
func terminalSize(w io.Writer) (width, height int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	if size.Col == 0 { // a terminal that does not know
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// watcher shows what is new.
type watcher struct {
	cli    *cli
	args   []string
	asJSON bool
	shown  map[string]string
}

func (w *watcher) look(ctx context.Context, l *live, from *source) error {
	s, err := w.cli.survey(ctx, l, from)
	if err != nil {
		return err
	}
	apps, err := selectApp(s.apps(ctx), w.args)
	if err != nil {
		return err
	}
	width, height := terminalSize(w.cli.stdout)
	switch {
	case w.asJSON:
		return w.document(apps)
	case width == 0:
		w.changes(apps, s.now)
		return nil
	}
	look := appearance{width: width, color: w.cli.color(w.cli.stdout), now: s.now}
	lines := look.table(apps)
	if len(w.args) == 1 {
		lines = look.one(apps[0])
	}
	if len(lines) >= height && height > 2 {
		lines = append(lines[:height-2], fmt.Sprintf("… and %d lines more", len(lines)-height+2))
	}
	_, err = io.WriteString(w.cli.stdout, "\x1b[H"+strings.Join(lines, "\x1b[K\n")+"\x1b[K\n\x1b[J")
	return err
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
