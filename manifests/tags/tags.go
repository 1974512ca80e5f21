// Package tags owns the order of an image's tags: which tag of a registry's list follows the one that a
// manifest names.
//
// It asks no registry. It knows no versions and no convention about them: tags that differ in more than
// their numbers have no order.
package tags

import (
	"cmp"
	"strings"
)

// Newer returns the newest of a list of tags that follows the present one. A tag follows it if they differ
// in their numbers only, and the first number that differs is greater. same is the newest of those with
// the same first number, and major the newest of those with a greater one. Each is empty without one.
func Newer(present string, list []string) (same, major string) {
	now := parse(present)
	for _, tag := range list {
		t := parse(tag)
		if t.shape != now.shape || len(now.numbers) == 0 || compare(t, now) <= 0 {
			continue
		}
		newest := &same
		if number(t.numbers[0], now.numbers[0]) > 0 {
			newest = &major
		}
		if *newest == "" || compare(t, parse(*newest)) > 0 {
			*newest = tag
		}
	}
	return same, major
}

// Version returns the version that a tag is of that follows the present one, given the version that the
// present one is of. It is empty unless the present tag has that version at its beginning, or after a text
// without digits.
func Version(present, newer, version string) string {
	now, next, of := parse(present), parse(newer), parse(version)
	before, after, isIn := strings.Cut(present, version)
	isCut := strings.IndexFunc(after, isDigit) == 0 && strings.LastIndexFunc(version, isDigit) == len(version)-1
	if !isIn || isCut || len(of.numbers) == 0 || strings.ContainsFunc(before, isDigit) || now.shape != next.shape {
		return ""
	}
	var text strings.Builder
	for _, r := range of.shape {
		if r != '0' {
			text.WriteRune(r)
			continue
		}
		text.WriteString(next.numbers[0])
		next.numbers = next.numbers[1:]
	}
	return text.String()
}

// parsed is a tag: what is between its numbers, and the numbers as they are written.
type parsed struct {
	shape   string
	numbers []string
}

func parse(tag string) (p parsed) {
	var shape strings.Builder
	for tag != "" {
		n := strings.IndexFunc(tag, func(r rune) bool { return !isDigit(r) })
		if n < 0 {
			n = len(tag)
		}
		if n > 0 {
			p.numbers = append(p.numbers, tag[:n])
			shape.WriteByte('0')
			tag = tag[n:]
			continue
		}
		n = strings.IndexFunc(tag, isDigit)
		if n < 0 {
			n = len(tag)
		}
		shape.WriteString(tag[:n])
		tag = tag[n:]
	}
	p.shape = shape.String()
	return p
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// compare orders tags of one shape by their numbers.
func compare(a, b parsed) int {
	for i := range a.numbers {
		if c := number(a.numbers[i], b.numbers[i]); c != 0 {
			return c
		}
	}
	return 0
}

// number orders numbers of any length.
func number(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
