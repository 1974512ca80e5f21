package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/imports"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// storeApp is one app of a store.
type storeApp struct {
	*importer.Result
	dir     string
	written []string
	// err is why nothing was written although it should be.
	err error
}

// importStore imports each app of a store by itself.
func (c *cli) importStore(o *importOptions, f imports.Format, dirs []string) error {
	if o.id != "" {
		return usageError{errors.New("--id is for one app, and the directory holds several")}
	}
	answers, err := o.answers()
	if err != nil {
		return err
	}
	unanswered := func(importer.Question) (string, bool) { return "", false }
	apps := make([]storeApp, 0, len(dirs))
	results := make([]*importer.Result, 0, len(dirs))
	for _, dir := range dirs {
		r, err := imports.App(f, dir, "", o.out, answers, unanswered)
		if err != nil {
			r = &importer.Result{ID: filepath.Base(dir)}
		}
		apps = append(apps, storeApp{Result: r, dir: dir, err: err})
		results = append(results, r)
	}
	if key := answers.Unasked(results...); key != "" {
		return usageError{fmt.Errorf("--set %s answers no question of these apps", key)}
	}
	c.writeStore(o, apps)
	if err := c.printStore(o, apps); err != nil {
		return err
	}
	return concludeStore(apps)
}

// writeStore writes the apps, each if it can. Of two with one id the first is written.
func (c *cli) writeStore(o *importOptions, apps []storeApp) {
	by := map[string]string{}
	for i := range apps {
		a := &apps[i]
		if a.err != nil || !o.writes(a.Result) {
			continue
		}
		if other, isTaken := by[a.ID]; isTaken {
			a.err = fmt.Errorf("%s has the id %s, too", other, a.ID)
			continue
		}
		by[a.ID] = a.dir
		if a.written, a.err = imports.Write(a.Result, o.out, o.force); a.err == nil {
			a.err = c.checkImported(filepath.Join(o.out, a.Files[0].Path), true)
		}
	}
}

// printStore prints a table of the apps, or all of their findings for programs.
func (c *cli) printStore(o *importOptions, apps []storeApp) error {
	if o.asJSON {
		all := make([]document, 0, len(apps))
		for _, a := range apps {
			d := imported(a.Result, a.written)
			d["directory"] = a.dir
			if a.err != nil {
				d["error"] = a.err.Error()
			}
			all = append(all, d)
		}
		return c.printJSON(document{"apps": all})
	}
	table := ui.Table{Titles: []string{"APP", "VERSION", "KEPT", "ASKED", "APPROXIMATED", "DROPPED", "REFUSED", "WORST"}, Painted: "WORST", Optional: []string{"KEPT", "VERSION"}}
	for _, a := range apps {
		table.Rows = append(table.Rows, a.row())
	}
	lines := table.Lines(ui.StyleOf(c.stdout, c.getenv))
	_, err := fmt.Fprintf(c.stdout, "%s\n%s\n", strings.Join(lines, "\n"), tally(apps))
	return err
}

// worstColors is how the table shows the severities.
var worstColors = map[importer.Severity]ui.Color{importer.Approximated: ui.Yellow, importer.Dropped: ui.Yellow, importer.Refused: ui.Red}

func (a storeApp) row() ui.Row {
	counts := a.Counts()
	row := ui.Row{Cells: []string{a.ID, a.Version}, Color: worstColors[a.Worst()]}
	for _, s := range []importer.Severity{importer.Kept, importer.Asked, importer.Approximated, importer.Dropped, importer.Refused} {
		row.Cells = append(row.Cells, strconv.Itoa(counts[s]))
	}
	worst := string(a.Worst())
	if a.err != nil {
		worst, row.Note, row.Color = "failed", a.err.Error(), ui.Red
	}
	row.Cells = append(row.Cells, worst)
	return row
}

// tally is one line about all apps.
func tally(apps []storeApp) string {
	count := func(is func(storeApp) bool) (n int) {
		for _, a := range apps {
			if is(a) {
				n++
			}
		}
		return n
	}
	return fmt.Sprintf("%d apps: %d without loss, %d with loss, %d that need what a manifest can't say; %d written", len(apps),
		count(func(a storeApp) bool { return !a.IsLossy() }),
		count(func(a storeApp) bool { return a.IsLossy() && a.Worst() != importer.Refused }),
		count(func(a storeApp) bool { return a.Worst() == importer.Refused }),
		count(func(a storeApp) bool { return len(a.written) > 0 }))
}

// concludeStore ends with the exit code of the worst app.
func concludeStore(apps []storeApp) error {
	fails := func(a storeApp) bool { return a.err != nil || len(a.written) == 0 }
	switch {
	case slices.ContainsFunc(apps, fails):
		return errReported
	case slices.ContainsFunc(apps, func(a storeApp) bool { return a.IsLossy() }):
		return lossy{errReported}
	}
	return nil
}
