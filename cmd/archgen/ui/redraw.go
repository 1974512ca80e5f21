package ui

import (
	"fmt"
	"io"
	"strings"
)

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
