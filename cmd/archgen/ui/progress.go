package ui

import (
	"fmt"
	"io"
	"strings"
)

// Progress prints the steps of a command while it takes them.
type Progress struct{ To io.Writer }

// Begin prints that a step begins, and why.
func (p Progress) Begin(step, why string) { fmt.Fprintf(p.To, "%s (%s) …\n", step, why) }

// Done prints that a step is done, and why it was taken.
func (p Progress) Done(step, why string) { fmt.Fprintf(p.To, "%s (%s)\n", step, why) }

// Failed prints that a step failed.
func (p Progress) Failed(step string) { fmt.Fprintf(p.To, "%s failed\n", step) }

// Redraw replaces what is on a terminal by lines. Those that do not fit its height
// are counted.
func Redraw(w io.Writer, height int, lines []string) error {
	if len(lines) >= height && height > 2 {
		hidden := len(lines) - height + 2
		lines = append(lines[:height-2:height-2], fmt.Sprintf("… and %d lines more", hidden))
	}
	_, err := io.WriteString(w, "\x1b[H"+strings.Join(lines, "\x1b[K\n")+"\x1b[K\n\x1b[J")
	return err
}
