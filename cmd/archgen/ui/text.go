package ui

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Printable removes control characters. Any white space becomes a space.
func Printable(text string) string {
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

// OneLine is printable text on one line, with single spaces between words.
func OneLine(text string) string { return strings.Join(strings.Fields(Printable(text)), " ") }

// Lines is printable text that keeps its line breaks.
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = Printable(l)
	}
	return strings.Join(lines, "\n")
}

// Prefix puts a prefix before text that is not empty.
func Prefix(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// Shorten cuts text to a number of characters.
func Shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// Dash is text, or a dash if it is empty.
func Dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// DashList is a list with commas, or a dash if it is empty.
func DashList(list []string) string { return Dash(strings.Join(list, ",")) }

// Count is a number and a noun: 1 app, 2 apps.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// Age is a duration in its largest unit.
func Age(d time.Duration) string {
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
