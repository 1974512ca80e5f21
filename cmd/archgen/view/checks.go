package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
)

var severityColors = map[doctor.Severity]ui.Color{doctor.OK: ui.Green, doctor.Warning: ui.Yellow, doctor.Problem: ui.Red}

// Checks prints the results of checks, each with the commands that fix a problem below it.
func Checks(w io.Writer, style ui.Style, results []doctor.Result) {
	width := 0
	for _, r := range results {
		width = max(width, len(r.Name))
	}
	for _, r := range results {
		severity := style.Paint(severityColors[r.Severity], fmt.Sprintf("%-7s", r.Severity))
		fmt.Fprintf(w, "%s  %-*s  %s\n", severity, width, r.Name, r.Detail)
		for line := range strings.Lines(r.Fix) {
			fmt.Fprintf(w, "         %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}
