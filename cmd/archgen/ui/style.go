package ui

import "io"

// Style is what an output can show.
type Style struct {
	// Width is the width of the terminal in columns, 0 without a terminal.
	Width int
	Color bool
}

// StyleOf is the style of a writer.
func StyleOf(w io.Writer, getenv func(string) string) Style {
	width, _ := Size(w)
	return Style{Width: width, Color: HasColor(w, getenv)}
}

// HasColor reports whether w is a terminal with colours.
func HasColor(w io.Writer, getenv func(string) string) bool {
	_, isTerminal := Terminal(w)
	return isTerminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// Color is a colour of text; the empty one changes nothing.
type Color string

// The colours.
const (
	Red    Color = "31"
	Green  Color = "32"
	Yellow Color = "33"
)

// Paint colours text if the style has colours.
func (s Style) Paint(c Color, text string) string {
	if !s.Color || c == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Cut makes a line fit the terminal.
func (s Style) Cut(line string) string {
	if s.Width == 0 {
		return line
	}
	return Shorten(line, s.Width)
}
