package imports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// storeApp is one app of a store.
type storeApp struct {
	*importer.Result
	dir     string
	written []string
	checked checked
	// err is why nothing was written although it should be.
	err error
}

// Store imports each app of a store by itself, and asks nothing.
func (s *Session) Store(ctx context.Context, f Format, dirs []string) (Outcome, error) {
	if s.ID != "" {
		return Failed, UsageError{errors.New("--id is for one app, and the directory holds several")}
	}
	unanswered := func(importer.Question) (string, bool) { return "", false }
	apps := make([]storeApp, 0, len(dirs))
	results := make([]*importer.Result, 0, len(dirs))
	for _, dir := range dirs {
		r, err := App(f, dir, "", s.Out, s.Answers, unanswered)
		if err != nil {
			r = &importer.Result{ID: filepath.Base(dir)}
		}
		apps = append(apps, storeApp{Result: r, dir: dir, err: err})
		results = append(results, r)
	}
	if key := s.Answers.Unasked(results...); key != "" {
		return Failed, UsageError{fmt.Errorf("--set %s answers no question of these apps", key)}
	}
	s.writeStore(ctx, apps)
	if err := s.printStore(apps); err != nil {
		return Failed, err
	}
	return outcomeOf(apps), nil
}

// writeStore writes the apps, each if it can. Of two with one id the first is written.
func (s *Session) writeStore(ctx context.Context, apps []storeApp) {
	by := map[string]string{}
	for i := range apps {
		a := &apps[i]
		if a.err != nil || !s.writes(a.Result) {
			continue
		}
		if other, isTaken := by[a.ID]; isTaken {
			a.err = fmt.Errorf("%s has the id %s, too", other, a.ID)
			continue
		}
		by[a.ID] = a.dir
		if a.written, a.err = Write(a.Result, s.Out, s.Force); a.err == nil {
			a.checked, a.err = s.check(ctx, filepath.Join(s.Out, a.Files[0].Path))
			a.err = cmp.Or(a.err, a.checked.refusal())
		}
	}
}

// printStore prints a table of the apps and how they differ from their images, or all of their
// findings for programs.
func (s *Session) printStore(apps []storeApp) error {
	if s.AsJSON {
		all := make([]document, 0, len(apps))
		for _, a := range apps {
			d := imported(a.Result, a.written)
			d["directory"], d["images"] = a.dir, list(a.checked.images)
			if a.err != nil {
				d["error"] = a.err.Error()
			}
			all = append(all, d)
		}
		return ui.JSON(s.Stdout, document{"apps": all, "notes": list(s.images.notes)})
	}
	table := ui.Table{Titles: []string{"APP", "VERSION", "KEPT", "ASKED", "APPROXIMATED", "DROPPED", "REFUSED", "WORST"}, Painted: "WORST", Optional: []string{"KEPT", "VERSION"}}
	for _, a := range apps {
		table.Rows = append(table.Rows, a.row())
	}
	lines := table.Lines(ui.StyleOf(s.Stdout, s.Getenv))
	if _, err := fmt.Fprintf(s.Stdout, "%s\n%s\n", strings.Join(lines, "\n"), tally(apps)); err != nil {
		return err
	}
	for _, a := range apps {
		if len(a.checked.images) == 0 {
			continue
		}
		if err := a.checked.print(s, a.checked.images); err != nil {
			return err
		}
	}
	s.note()
	return nil
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

// outcomeOf is that of the worst app.
func outcomeOf(apps []storeApp) Outcome {
	fails := func(a storeApp) bool { return a.err != nil || len(a.written) == 0 }
	isLossy := func(a storeApp) bool { return a.IsLossy() || a.checked.images.HasErrors() }
	switch {
	case slices.ContainsFunc(apps, fails):
		return Failed
	case slices.ContainsFunc(apps, isLossy):
		return Lossy
	}
	return Whole
}
