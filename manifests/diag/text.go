package diag

import "strconv"

// Quote puts a value of a manifest into quotes for a message, with escapes for what
// can't be seen.
func Quote(s string) string { return strconv.QuoteToGraphic(s) }

// Shorten cuts a value that is too long for a message.
func Shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
