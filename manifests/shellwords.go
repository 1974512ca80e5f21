package manifests

import (
	"fmt"
	"strings"
)

// shellOnly is characters that only a shell interprets. One outside quotes shows
// that the author expects a shell, and none runs.
const shellOnly = ";&|<>`"

// splitWords splits a command as a shell does, without running one: it
// interprets quotes and backslashes, and expands nothing.
func splitWords(s string) (Words, error) {
	var (
		list   Words
		word   strings.Builder
		inWord bool
		quote  byte
	)
	for i := 0; i < len(s); i++ {
		b := s[i]
		switch {
		case quote == '\'' && b != '\'':
			word.WriteByte(b)
		case b == quote && quote != 0:
			quote = 0
		case b == '\\':
			i++
			if i == len(s) {
				return nil, fmt.Errorf("it ends with a backslash")
			}
			if quote == '"' && !strings.ContainsRune("\"\\$`\n", rune(s[i])) {
				word.WriteByte('\\')
			}
			word.WriteByte(s[i])
			inWord = true
		case quote != 0:
			word.WriteByte(b)
		case b == '\'' || b == '"':
			quote, inWord = b, true
		case strings.IndexByte(" \t\n", b) >= 0:
			if inWord {
				list = append(list, word.String())
				word.Reset()
			}
			inWord = false
		case strings.IndexByte(shellOnly, b) >= 0 || b == '$' && strings.HasPrefix(s[i+1:], "("):
			return nil, fmt.Errorf("%q needs a shell, and none runs: write a list with sh, -c and the script, or quote it", b)
		default:
			word.WriteByte(b)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if inWord {
		list = append(list, word.String())
	}
	return list, nil
}
